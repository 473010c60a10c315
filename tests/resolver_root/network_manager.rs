//! The real NetworkManager with its dnsmasq.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use hopmesh::resolver::{Host, Kind, Plan, Resolver, restore};
use hopmesh::store::StateDirectory;
use rustix::process::{Pid, Signal, kill_process};

use crate::bus::{Daemon, PATIENCE, add_user, start, start_bus};
use crate::machine::{OURS, THEIRS, alone, join_mesh, look_up, plan};
use crate::server::{OUR_ANSWER, Server, THEIR_ANSWER};

pub(crate) const PACKAGES: [&str; 3] = ["network-manager", "libndp0", "dnsmasq-base"];
const CONNECTION: &str = "/etc/NetworkManager/system-connections/eth0.nmconnection";
/// What we tell dnsmasq.
pub(crate) const OUR_FILE: &str = "/etc/NetworkManager/dnsmasq.d/hopmesh-hm0.conf";

/// The dnsmasq that NetworkManager leaves behind when it ends.
pub(crate) struct Dnsmasq;

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let id = fs::read_to_string("/run/NetworkManager/dnsmasq.pid").ok();
        if let Some(id) = id.and_then(|id| Pid::from_raw(id.trim().parse().ok()?)) {
            let _ = kill_process(id, Signal::TERM);
        }
    }
}

/// NetworkManager, on a machine whose network has a DNS server.
pub(crate) async fn start_network_manager(dns: &str) -> (Daemon, Dnsmasq, Daemon) {
    add_user("dnsmasq");
    let settings =
        format!("[main]\nplugins=keyfile\ndns={dns}\nrc-manager=symlink\nsystemd-resolved=false\n");
    fs::write("/etc/NetworkManager/NetworkManager.conf", settings).unwrap();
    let connection = format!(
        "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\n[ipv4]\nmethod=manual\naddress1={THEIRS}/24\ndns={THEIRS};\n[ipv6]\nmethod=disabled\n"
    );
    fs::create_dir_all("/etc/NetworkManager/system-connections").unwrap();
    fs::write(CONNECTION, connection).unwrap();
    // It reads no connections that others may read.
    fs::set_permissions(CONNECTION, fs::Permissions::from_mode(0o600)).unwrap();
    let bus = start_bus();
    let manager = start("/usr/sbin/NetworkManager", &["--no-daemon"], "org.freedesktop.NetworkManager").await;
    // Which is the order in which they end.
    (manager, Dnsmasq, bus)
}

/// Asks until the answer is that: NetworkManager starts dnsmasq and says nothing of when it is ready.
pub(crate) fn await_answer(name: &str, answer: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look_up(name);
        if found.as_deref() == Some(answer) {
            return;
        }
        assert!(Instant::now() < deadline, "{name}: {found:?}");
    }
}

#[test]
fn dnsmasq_asks_us_for_names_of_the_mesh_and_nobody_else() {
    alone(&PACKAGES, |netlink| async move {
        let tun = join_mesh(&netlink).await;
        let (ours, theirs) = (Server::ours(OURS), Server::theirs(THEIRS));
        let _daemons = start_network_manager("dnsmasq").await;
        await_answer("www.example.org", THEIR_ANSWER);
        let host = Host::default();
        let state = StateDirectory::open("/run/state".as_ref()).unwrap();
        let mut resolver = Resolver::detect(host.clone()).await;
        assert_eq!(*resolver.kind(), Kind::NetworkManager);
        resolver.apply(&plan(tun.index(), &[OURS]), &state).await.unwrap();
        await_answer("a.home.internal", OUR_ANSWER);
        theirs.asked();
        assert_eq!(look_up("b.home.internal").as_deref(), Some(OUR_ANSWER));
        assert_eq!(theirs.asked(), [""; 0], "names of the mesh got out");
        ours.asked();
        assert_eq!(look_up("mail.example.org").as_deref(), Some(THEIR_ANSWER));
        assert_eq!(ours.asked(), [""; 0], "names of others were asked of us");

        // As after a kill -9, at the next start.
        drop(resolver);
        assert!(restore(&host, &state).await.unwrap());
        assert!(!Path::new(OUR_FILE).exists());
        await_answer("c.home.internal", THEIR_ANSWER);
        assert!(!restore(&host, &state).await.unwrap());
    });
}

#[test]
fn dnsmasq_asks_us_for_all_names_while_there_is_an_exit() {
    alone(&PACKAGES, |netlink| async move {
        let tun = join_mesh(&netlink).await;
        let (ours, theirs) = (Server::of_all_names(OURS), Server::theirs(THEIRS));
        let _daemons = start_network_manager("dnsmasq").await;
        await_answer("mail.example.org", THEIR_ANSWER);
        // The guard lets no question through to the network's own server.
        drop(theirs);
        let state = StateDirectory::open("/run/state".as_ref()).unwrap();
        let mut resolver = Resolver::detect(Host::default()).await;
        let all = Plan { is_everything: true, ..plan(tun.index(), &[OURS]) };
        resolver.apply(&all, &state).await.unwrap();
        await_answer("www.example.org", OUR_ANSWER);
        await_answer("a.home.internal", OUR_ANSWER);
        assert!(ours.asked().contains(&"www.example.org".to_owned()));
        resolver.revert(&state).await.unwrap();
    });
}

#[test]
fn without_dnsmasq_network_manager_is_left_alone() {
    alone(&PACKAGES, |_| async {
        let _theirs = Server::theirs(THEIRS);
        let _daemons = start_network_manager("default").await;
        await_answer("www.example.org", THEIR_ANSWER);
        let resolver = Resolver::detect(Host::default()).await;
        assert!(matches!(resolver.kind(), Kind::Nothing(_)), "{:?}", resolver.kind());
        assert!(resolver.describe().contains("dns=dnsmasq"), "{}", resolver.describe());
    });
}
