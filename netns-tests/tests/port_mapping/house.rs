//! A home behind a router that maps ports, and somebody outside.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use hopmesh::reach::port_mapping::{Event, Mapping, Network, Outcome, Params, PortMapping, Protocol, Report};
use netns_tests::{Lab, Machine, Process, Underlay};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// For whatever a busy machine takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The data socket's port.
pub(crate) const PORT: u16 = 41_000;
/// The router's address outside. Not one for documentation: miniupnpd maps no port of those.
pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(45, 83, 7, 1);
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
pub(crate) const HOME: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 7);
/// So short that a renewal is due every 2 s, and a mapping that is not renewed ends within the test.
pub(crate) const SHORT_S: u64 = 4;

/// A new port for every destination, and nothing comes in unasked; with the chains that miniupnpd fills.
const RULES: &str = r#"
table ip natlab {
  chain pre { type nat hook prerouting priority dstnat; policy accept; }
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "eth0" meta l4proto { tcp, udp } masquerade to :1024-65535 fully-random
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "eth0" ct state established,related accept
    iifname "eth0" drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "eth0" ct state established,related accept
    iifname "eth0" ct status dnat accept
    iifname "eth0" drop
  }
}
table inet mini {
  chain forward { type filter hook forward priority filter; policy accept; }
  chain prerouting { type nat hook prerouting priority dstnat; policy accept; }
  chain postrouting { type nat hook postrouting priority srcnat; policy accept; }
}
"#;

/// What every miniupnpd here is told.
const CONFIGURATION: &str = "\
ext_ifname=eth0
listening_ip=lan
min_lifetime=2
max_lifetime=86400
uuid=78a7ab2c-8d63-4d8c-8bde-3a5b7d2f7b7b
upnp_table_name=mini
upnp_nat_table_name=mini
upnp_forward_chain=forward
upnp_nat_chain=prerouting
upnp_nat_postrouting_chain=postrouting
";
pub(crate) const ADDRESS: &str = "ext_ip=45.83.7.1\n";
pub(crate) const ALL_PROTOCOLS: &str = "enable_upnp=yes\nenable_natpmp=yes\n";
pub(crate) const ALLOW: &str = "allow 1024-65535 192.168.1.0/24 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n";
pub(crate) const DENY: &str = "deny 0-65535 0.0.0.0/0 0-65535\n";

/// A home, whose namespace the test's thread is in.
pub(crate) struct House {
    pub(crate) runtime: Runtime,
    /// The data socket.
    socket: UdpSocket,
    pub(crate) daemon: Option<Process>,
    pub(crate) router: Machine,
    outside: Machine,
    pub(crate) home: Machine,
    _lab: Lab,
}

impl House {
    pub(crate) fn new() -> Self {
        let lab = Lab::new();
        let [router, outside, home] =
            ["router", "outside", "home"].map(|name| lab.machine_on(name, Underlay::V4));
        router.ip(&format!("addr add {OUTSIDE}/32 dev eth0"));
        outside.ip(&format!("route add {OUTSIDE}/32 dev eth0"));
        home.ip("link del eth0");
        router.ip(&format!(
            "link add lan type veth peer name eth0 netns {}\naddr add {GATEWAY}/24 dev lan\nlink set lan up",
            home.namespace()
        ));
        home.ip(&format!("addr add {HOME}/24 dev eth0\nlink set eth0 up\nroute add default via {GATEWAY}"));
        let _set = router.run(&["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]).ok();
        let rules = file(&router, "rules.nft", RULES);
        let _set = router.run(&["nft", "-f", rules.to_str().expect("a plain path")]).ok();
        let namespace = File::open(format!("/run/netns/{}", home.namespace())).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let socket = UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { runtime, socket, daemon: None, router, outside, home, _lab: lab }
    }

    /// Starts the router's daemon, and waits until it listens.
    pub(crate) fn serve(&mut self, parts: &[&str]) {
        let configuration =
            file(&self.router, "miniupnpd.conf", &(CONFIGURATION.to_owned() + &parts.concat()));
        let pid = self.router.folder().join("miniupnpd.pid");
        let [configuration, pid] = [&configuration, &pid].map(|path| path.to_str().expect("a plain path"));
        let daemon = self.router.start(&["miniupnpd", "-d", "-f", configuration, "-P", pid]);
        for line in ["HTTP listening on port", "Listening for NAT-PMP/PCP traffic"] {
            let speaks = line.starts_with("HTTP") || parts.contains(&ALL_PROTOCOLS);
            let said = |text: &str| text.contains(line).then_some(());
            assert!(!speaks || daemon.wait_stderr(PATIENCE, said).is_some(), "{}", daemon.stderr());
        }
        self.daemon = Some(daemon);
    }

    pub(crate) fn actor(&self, lease_s: u64, protocols: &[Protocol], local: Ipv4Addr) -> PortMapping {
        let port = PORT.try_into().expect("not 0");
        let lease = Duration::from_secs(lease_s);
        let _runtime = self.runtime.enter();
        let actor = PortMapping::start(Params { port, lease, protocols: protocols.to_vec() });
        actor.set_network(Some(Network { gateway: GATEWAY, local }));
        actor
    }

    pub(crate) fn event(&self, actor: &mut PortMapping) -> Event {
        let next = async { timeout(PATIENCE, actor.next_event()).await };
        self.runtime.block_on(next).expect("the actor tells what happens")
    }

    /// The next mapping; whatever else there is but reports is a failure.
    pub(crate) fn mapped(&self, actor: &mut PortMapping) -> Mapping {
        loop {
            match self.event(actor) {
                Event::Mapped(mapping) => return mapping,
                Event::State(report) => {
                    assert!(!matches!(report.outcome, Outcome::Failed { .. }), "{report}");
                }
                Event::Lost => panic!("the mapping was lost"),
            }
        }
    }

    /// The next report of how asking ended.
    pub(crate) fn result(&self, actor: &mut PortMapping) -> Report {
        loop {
            if let Event::State(report) = self.event(actor)
                && report.outcome != Outcome::Asking
            {
                return report;
            }
        }
    }

    pub(crate) fn close(&self, actor: PortMapping) {
        self.runtime.block_on(actor.close());
    }

    /// Sends something unasked from outside; gives the address that it came from there.
    pub(crate) fn knock(&self, to: SocketAddr, words: &str) -> SocketAddr {
        self.outside.enter(|| {
            let stranger = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
            stranger.connect(to).unwrap();
            stranger.send(words.as_bytes()).unwrap();
            stranger.local_addr().unwrap()
        })
    }

    /// What reached the data socket next, and from where.
    pub(crate) fn heard(&self) -> (String, SocketAddr) {
        let mut bytes = [0; 100];
        let (length, from) = self.socket.recv_from(&mut bytes).expect("something arrives");
        (String::from_utf8_lossy(&bytes[..length]).into_owned(), from)
    }

    pub(crate) fn expect_open(&self, to: SocketAddr) {
        let from = self.knock(to, "open?");
        assert_eq!(self.heard(), ("open?".to_owned(), from));
    }

    /// What is sent to `to` does not arrive: a later answer to a question of ours comes first.
    pub(crate) fn expect_closed(&self, to: SocketAddr) {
        let friend = SocketAddr::from((self.outside.underlay4().expect("it has one"), 7));
        let echo = self.outside.enter(|| UdpSocket::bind(friend).unwrap());
        echo.set_read_timeout(Some(PATIENCE)).unwrap();
        self.knock(to, "closed?");
        self.socket.send_to(b"echo", friend).unwrap();
        let mut bytes = [0; 100];
        let (length, from) = echo.recv_from(&mut bytes).expect("what we send goes out");
        assert_ne!(from.port(), PORT, "the NAT keeps ports: the test proves less than it says");
        echo.send_to(&bytes[..length], from).unwrap();
        assert_eq!(self.heard(), ("echo".to_owned(), friend));
    }

    /// How many ports the router maps.
    pub(crate) fn mapped_ports(&self) -> usize {
        let table = self.router.run(&["nft", "list", "chain", "inet", "mini", "prerouting"]).ok();
        table.lines().filter(|line| line.contains("dnat")).count()
    }
}

fn file(machine: &Machine, name: &str, text: &str) -> PathBuf {
    let path = machine.folder().join(name);
    fs::write(&path, text).unwrap();
    path
}
