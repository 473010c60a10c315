//! Exits: all traffic by another machine, and nothing beside it, whatever happens to the exit or to the node.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netns_tests::{
    Capture, Conduct, DEADLINE, Guest, Internet, Ipv6, Machine, NatKind, OwnEtc, Plan, Process, RESOLVER,
    Router, Underlay, wait_until,
};
use rustix::process::Signal;
use serde_json::Value;

/// A site is reached, or is not, within this.
const PATIENCE: Duration = Duration::from_secs(2);
/// Questions that are asked in all; with every tenth come two connections.
const QUESTIONS: u64 = 10_000;

/// Asks names that nobody else asks, of all servers in turn, and connects to sites, until it is ended; says how often.
const FLOOD: &str = r#"
import collections, itertools, socket, sys, time
servers, sites = sys.argv[1].split(","), sys.argv[2].split(",")
family = lambda address: socket.AF_INET6 if ":" in address else socket.AF_INET
open_ones = collections.deque()
for i in itertools.count():
    label = b"leak%06d" % i
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0" + bytes([len(label)]) + label + b"\7example\3org\0\0\1\0\1"
    server = servers[i % len(servers)]
    s = socket.socket(family(server), socket.SOCK_DGRAM)
    s.setblocking(False)
    try:
        s.sendto(question, (server, 53))
    except OSError:
        pass
    open_ones.append(s)
    if i % 10 == 0:
        for site in sites:
            t = socket.socket(family(site), socket.SOCK_STREAM)
            t.setblocking(False)
            t.connect_ex((site, 81))
            open_ones.append(t)
    while len(open_ones) > 200:
        open_ones.popleft().close()
    if i % 100 == 0:
        print(i, flush=True)
        time.sleep(0.02)
"#;

/// A web server of sorts, which says whom it sees.
struct Site<'a> {
    machine: &'a Machine,
    listeners: Vec<TcpListener>,
}

impl<'a> Site<'a> {
    fn new(machine: &'a Machine) -> Self {
        let listen = |ip: IpAddr| machine.enter(|| TcpListener::bind((ip, 80)).expect("its own address"));
        let listeners: Vec<_> = machine.underlay().into_iter().map(listen).collect();
        listeners.iter().for_each(|listener| listener.set_nonblocking(true).expect("a listener"));
        Self { machine, listeners }
    }

    /// As whom a machine appears here, at each of our addresses; nothing where it does not get through.
    fn sees(&self, from: &Machine) -> Vec<Option<IpAddr>> {
        self.machine
            .underlay()
            .into_iter()
            .zip(&self.listeners)
            .map(|(ip, listener)| sees(from, (ip, 80).into(), listener))
            .collect()
    }
}

fn sees(from: &Machine, site: SocketAddr, listener: &TcpListener) -> Option<IpAddr> {
    let mut stream = from.enter(|| TcpStream::connect_timeout(&site, PATIENCE)).ok()?;
    let own = stream.local_addr().expect("connected");
    stream.write_all(format!("{own}\n").as_bytes()).ok()?;
    wait_until("the site has the connection", PATIENCE, || {
        let (mut accepted, peer) = listener.accept().ok()?;
        accepted.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let mut said = [0; 64];
        // One before it may have been given up while the way was not there.
        let size = accepted.read(&mut said).unwrap_or(0);
        (said[..size] == *format!("{own}\n").as_bytes()).then(|| Some(peer.ip().to_canonical()))
    })
}

/// Exits `e` and `f`, a user `u` behind a home's NAT, whose router is its resolver, and a resolver that only exits ask.
struct Ground {
    internet: Internet,
    home: Router,
    exits: [Machine; 2],
    user: Machine,
    etc: OwnEtc,
    site: Machine,
    resolver: Machine,
    asked: Process,
    /// What the first exit and the user were before there was any node.
    found: [String; 2],
}

fn ground() -> Ground {
    let internet = Internet::new();
    let public = |name: &str| internet.public_on(name, Underlay::Dual, None);
    let [resolver, site] = ["resolver", "site"].map(public);
    let asked = resolver.start(&["python3", "-u", "-c", RESOLVER]);
    asked.wait_stdout(DEADLINE, |text| text.contains("ready").then_some(())).expect("it answers");
    let exits = ["e", "f"].map(public);
    let address = resolver.underlay4().expect("it has IPv4");
    let home = internet.home(Plan::new(NatKind::PortRestricted).ipv6(Ipv6::Firewall));
    let user = home.machine("u");
    // Strict, as some distributions have it: what comes must come whence the answer would go.
    let strict =
        user.run(&["sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > $f; done"]);
    assert_eq!(strict.code, Some(0));
    let found = [&exits[0], &user].map(Machine::host_snapshot);
    for (number, exit) in exits.iter().enumerate() {
        let etc = OwnEtc::new(exit, &format!("nameserver {address}\n"));
        let words = ["up", "--node-name", exit.name()];
        if number == 0 {
            exit.adopt(exit.launch(&etc.wrap(), &words, None));
        } else {
            let invite = exits[0].invite(&[]);
            let words = ["join", &invite, "--node-name", exit.name()];
            exit.adopt(exit.launch(&etc.wrap(), &words, None));
        }
    }
    let etc = OwnEtc::new(&user, &format!("nameserver {}\n", user.router()));
    Ground { internet, home, exits, user, etc, site, resolver, asked, found }
}

impl Ground {
    fn start(&self) {
        let node = self.user.launch(&self.etc.wrap(), &["up", "--node-name", "u"], None);
        self.user.adopt(node);
    }

    /// As whom the site sees the user when all leaves by this exit.
    fn by(exit: &Machine) -> Vec<Option<IpAddr>> {
        exit.underlay().into_iter().map(Some).collect()
    }

    fn await_way(&self, site: &Site<'_>, seen: &[Option<IpAddr>]) {
        wait_until(&format!("the site sees {seen:?}"), DEADLINE, || {
            (site.sees(&self.user) == seen).then_some(())
        });
    }

    /// Whether a name is resolved the way the user's programs do it.
    fn resolves(&self, name: &str) -> bool {
        let words = ["timeout", "8", "getent", "ahostsv4", name];
        self.user.run(&[&self.etc.wrap()[..], &words].concat()).stdout.contains("203.0.113.7")
    }
}

fn exit_of(status: &Value) -> (&str, &str) {
    (status["exit"]["node"].as_str().unwrap_or(""), status["exit"]["state"].as_str().unwrap_or(""))
}

/// All that leaves the user's machine and does not carry the mesh: neither sealed datagrams, nor what keeps addresses, nor beacons,
/// nor the DHT's, which is entered where the resolver says that every name is.
fn beside_the_mesh(user: &Machine) -> Capture<'_> {
    let own: Vec<String> = user.underlay().iter().map(|own| format!("not dst host {own}")).collect();
    user.capture(&format!(
        "not arp and {} and not dst host 203.0.113.7 and not udp dst port 41820 and not udp dst port 41819 and not ip6[6] = 0 \
        and not (icmp6 and ip6[40] >= 133 and ip6[40] <= 136)",
        own.join(" and ")
    ))
}

/// Whether a capture has nothing but a header and what marks the end.
fn nothing_in(pcap: &[u8], user: &Machine) {
    let path = user.folder().join("leaks.pcap");
    fs::write(&path, pcap).expect("the folder is ours");
    let read = ["tcpdump", "-n", "-e", "-r", path.to_str().expect("plain text"), "not udp port 4"];
    let leaks = user.run(&read).stdout;
    assert!(leaks.is_empty(), "this left beside the exit:\n{leaks}");
}

/// Has all be exits, and the user know it.
fn offered(user: &Machine, exits: &[Machine]) {
    for exit in exits {
        exit.json(&["exit", "offer"]);
    }
    for exit in exits {
        wait_until("the offer is known", DEADLINE, || {
            let listed = user.json(&["exit", "list"]);
            listed["exits"].as_array()?.iter().any(|listed| listed["node"] == exit.name()).then_some(())
        });
    }
}

/// A firewall is loaded anew, and rules of routing are removed by who does not know them: on each machine ours are put back, one while
/// the other holds.
fn others_throw_rules_away(user: &Machine, exit: &Machine) {
    let tables = |machine: &Machine| machine.run(&["nft", "list", "tables"]).ok();
    let rules = |family: &str| user.run(&["ip", family, "rule", "show", "pref", "30000"]).ok();
    let before = (tables(user), tables(exit), ["-4", "-6"].map(rules));
    let has_guard = before.0.contains("hopmesh-home-exit") && before.1.contains("hopmesh-home");
    assert!(has_guard && before.2.iter().all(|rule| rule.contains("0x484d")), "{before:?}");
    for machine in [user, exit] {
        let _ = machine.run(&["nft", "flush", "ruleset"]).ok();
    }
    wait_until("rules of nftables are put back", DEADLINE, || {
        (tables(user) == before.0 && tables(exit) == before.1).then_some(())
    });
    for family in ["-4", "-6"] {
        let _ = user.run(&["ip", family, "rule", "del", "pref", "30000"]).ok();
    }
    wait_until("rules of routing are put back", DEADLINE, || {
        (["-4", "-6"].map(rules) == before.2).then_some(())
    });
}

#[test]
fn nothing_leaves_beside_the_exit_whatever_happens() {
    let ground = ground();
    let [first, second] = &ground.exits;
    let user = &ground.user;
    let site = Site::new(&ground.site);
    let direct = site.sees(user);
    assert_eq!(direct[0], Some(ground.home.wan4().into()));
    let joined = user.launch(&ground.etc.wrap(), &["join", &first.invite(&[]), "--node-name", "u"], None);
    user.adopt(joined);
    let refused = user.hopmesh(&["exit", "use", "e"]);
    assert!(refused.stdout.contains("does not offer to be an exit"), "{}", refused.stdout);
    offered(user, &ground.exits);

    user.json(&["exit", "use", "e"]);
    let capture = beside_the_mesh(user);
    let resolver = ground.resolver.underlay();
    let own = [user.router().to_string(), user.status()["node"]["addresses"][0].as_str().unwrap().to_owned()];
    let servers: Vec<String> = resolver.iter().map(ToString::to_string).chain(own).collect();
    let sites: Vec<String> = ground.site.underlay().iter().map(ToString::to_string).collect();
    let mut flood = user.start(&["python3", "-u", "-c", FLOOD, &servers.join(","), &sites.join(",")]);
    ground.await_way(&site, &Ground::by(first));
    assert!(ground.resolves("www.example.org"), "names are resolved by the exit");
    assert_eq!(exit_of(&user.status()), ("e", "reached"));
    others_throw_rules_away(user, first);
    ground.await_way(&site, &Ground::by(first));

    user.kill();
    assert_eq!(site.sees(user), [None, None], "the node is dead");
    assert!(!ground.resolves("dead.example.org"));
    user.json(&["restore-host"]);
    assert_eq!(site.sees(user), [None, None], "the host is as it was, but for the guard");
    ground.start();
    ground.await_way(&site, &Ground::by(first));

    first.unplug();
    wait_until("the exit is lost", DEADLINE, || (exit_of(&user.status()).1 == "silent").then_some(()));
    assert_eq!(site.sees(user), [None, None], "the exit is lost");
    let problems = user.status()["problems"].to_string();
    assert!(problems.contains("leaves by e, which does not answer"), "{problems}");
    user.json(&["exit", "use", "f"]);
    ground.await_way(&site, &Ground::by(second));
    assert!(ground.resolves("again.example.org"));
    second.json(&["exit", "withdraw"]);
    wait_until("the exit is none any more", DEADLINE, || {
        (exit_of(&user.status()).1 == "not_offered").then_some(())
    });
    assert_eq!(site.sees(user), [None, None], "the exit is none any more");

    user.json(&["down"]);
    assert_eq!(site.sees(user), [None, None], "the node is down");
    let asked = flood.wait_stdout(Duration::from_secs(120), |said| {
        let count: u64 = said.lines().last()?.parse().ok()?;
        (count >= QUESTIONS).then_some(count)
    });
    assert!(asked.is_some(), "so many questions were not asked: {}", flood.stderr());
    flood.signal(Signal::TERM);
    let _ended = flood.done(DEADLINE);
    user.json(&["exit", "use", "none"]);
    nothing_in(&capture.stop(), user);
    assert_eq!(site.sees(user), direct, "and now as before");
    let told = ground.asked.stdout();
    assert!(told.contains("www.example.org") && told.contains("again.example.org"), "the resolver was asked");
    assert!(!told.contains("dead.example.org"));
    assert!(user.host_snapshot() == ground.found[1], "the user is as it was found");
    first.plug();
    first.json(&["down"]);
    assert!(first.host_snapshot() == ground.found[0], "the exit is as it was found");
}

#[test]
fn a_guest_sends_everything_by_its_host_or_by_the_exit_of_that() {
    let ground = ground();
    let [first, second] = &ground.exits;
    let site = Site::new(&ground.site);
    let refused = first.hopmesh(&["guest", "add", "phone", "--full-tunnel"]);
    assert!(refused.stdout.contains("exit offer"), "{}", refused.stdout);
    first.json(&["exit", "offer"]);
    wait_until("the offer is known", DEADLINE, || {
        second.hopmesh(&["exit", "use", "e"]).code.filter(|code| *code == 0)
    });
    // One is a guest of the exit itself, one of a member that uses it; both are behind NATs, without IPv6.
    for (host, kind) in [(first, NatKind::PortRestricted), (second, NatKind::SymRandom)] {
        let home = ground.internet.home(Plan::new(kind));
        let name = format!("phone-of-{}", host.name());
        let phone = home.machine(&name);
        let added = host.json(&["guest", "add", &name, "--full-tunnel"]);
        let configuration = added["configuration"].as_str().expect("it is text");
        assert!(configuration.contains("\nAllowedIPs = 0.0.0.0/0, ::/0\n"), "{configuration}");
        let capture = phone.capture("tcp or port 53");
        let guest = Guest::up(&phone, configuration);
        wait_until("the site sees the exit", DEADLINE, || {
            (site.sees(&phone) == Ground::by(first)).then_some(())
        });
        let asked = phone.run(&[
            "dig",
            "+short",
            "+time=2",
            &format!("@{}", guest.dns[0]),
            &format!("{name}.example.org"),
        ]);
        assert_eq!(asked.stdout.trim(), "203.0.113.7", "of {}", host.name());
        assert!(ground.asked.stdout().contains(&name));
        nothing_in(&capture.stop(), &phone);
    }
}

/// Mbit/s of an exit, such as any machine that runs tests can forward.
const RATE_MBIT: f64 = 40.0;

#[test]
fn an_exit_s_rate_is_shared_by_users_and_not_by_connections() {
    let ground = ground();
    let [exit, other] = &ground.exits;
    let user = &ground.user;
    user.adopt(user.launch(&ground.etc.wrap(), &["join", &exit.invite(&[]), "--node-name", "u"], None));
    exit.json(&["exit", "offer"]);
    for machine in [user, other] {
        wait_until("the offer is known", DEADLINE, || {
            machine.hopmesh(&["exit", "use", "e"]).code.filter(|code| *code == 0)
        });
    }
    exit.configure_resolver(&format!("[exit]\nmax_rate = {RATE_MBIT}\n"));
    let taken = exit.json(&["reload"]);
    assert!(taken["applied"].to_string().contains("exit.max_rate"), "{taken}");
    // As far away as sites are: TCP cannot slow down to less than two segments a round trip.
    let mirror = ground.internet.public_on("mirror", Underlay::V4, Some(&Conduct::delay_ms(15)));
    let address = mirror.underlay4().expect("it has IPv4").to_string();
    let servers =
        ["5201", "5202"].map(|port| mirror.start(&["iperf3", "-s", "-1", "--forceflush", "-p", port]));
    servers.iter().for_each(|server| {
        server.wait_stdout(DEADLINE, |said| said.contains("listening").then_some(())).expect("it listens");
    });
    // Downloads: eight connections against one.
    let words = |port, count| {
        ["iperf3", "-J", "-R", "-c", &address, "-t", "8", "-O", "2", "-p", port, "-P", count]
            .map(str::to_owned)
    };
    let runs = [(user, words("5201", "8")), (other, words("5202", "1"))];
    let runs = runs.map(|(machine, words)| machine.start(&words.each_ref().map(String::as_str)));
    let rates = runs.map(|run| {
        let told: Value = serde_json::from_str(&run.done(DEADLINE).ok()).expect("it is JSON");
        told["end"]["sum_received"]["bits_per_second"].as_f64().expect("it arrived") / 1e6
    });
    println!("{rates:.1?} Mbit/s");
    let total = rates[0] + rates[1];
    assert!(total < RATE_MBIT * 1.2 && total > RATE_MBIT * 0.5, "{rates:?} Mbit/s");
    assert!(rates[1] > total * 0.3, "by connections it would be a ninth: {rates:?} Mbit/s");
    assert!(exit.status()["drops"]["exit_budget"].as_u64().is_some_and(|count| count > 0));
}

/// The kernel has forgotten the guard: the node closes it again before it does anything else. And what finds peers, the DHT and beacons,
/// goes the machine's own way.
fn after_a_reboot(ground: &Ground) {
    let user = &ground.user;
    user.kill();
    assert_eq!(user.run(&["nft", "flush", "ruleset"]).code, Some(0));
    let capture = user.capture("dst host 203.0.113.7 or udp dst port 41819");
    ground.start();
    assert!(user.run(&["nft", "list", "tables"]).stdout.contains("inet hopmesh-home-exit"));
    let path = user.folder().join("capture.pcap");
    for carrier in ["dst host 203.0.113.7", "udp dst port 41819"] {
        let read = ["tcpdump", "-n", "-r", path.to_str().expect("plain text"), carrier];
        wait_until(carrier, DEADLINE, || (!user.run(&read).stdout.is_empty()).then_some(()));
    }
    drop(capture);
}

#[test]
fn local_networks_are_reached_besides_when_they_may_but_not_their_name_servers() {
    let ground = ground();
    let [exit, other] = &ground.exits;
    let user = &ground.user;
    let printer = ground.home.machine("printer");
    let site = Site::new(&ground.site);
    let page = Site::new(&printer);
    user.adopt(user.launch(&ground.etc.wrap(), &["join", &exit.invite(&[]), "--node-name", "u"], None));
    exit.json(&["exit", "offer"]);
    wait_until("the offer is known", DEADLINE, || {
        let exits = user.json(&["exit", "list"])["exits"].as_array().map(Vec::len);
        (exits == Some(1)).then_some(())
    });
    user.json(&["exit", "use", "e"]);
    ground.await_way(&site, &Ground::by(exit));
    assert_eq!(page.sees(user)[0], None);
    after_a_reboot(&ground);
    ground.await_way(&site, &Ground::by(exit));
    user.json(&["exit", "use", "e", "--allow-lan"]);
    ground.await_way(&site, &Ground::by(exit));
    assert_eq!(page.sees(user)[0], user.underlay4().map(IpAddr::V4));
    let capture = user.capture("port 53");
    let dig = format!("@{}", user.router());
    let asked = user.run(&["dig", "+time=1", "+tries=1", &dig, "www.example.org"]);
    assert_ne!(asked.code, Some(0));
    let asked = user.run(&["dig", "+tcp", "+time=1", "+tries=1", &dig, "www.example.org"]);
    assert_ne!(asked.code, Some(0));
    assert!(ground.resolves("www.example.org"));
    // Who uses an exit is none, and who is one uses none.
    let both = user.hopmesh(&["exit", "offer"]);
    assert!(both.stdout.contains("exit use none"), "{}", both.stdout);
    other.json(&["exit", "offer"]);
    let both = other.hopmesh(&["exit", "use", "e"]);
    assert!(both.stdout.contains("exit withdraw"), "{}", both.stdout);
    // What is private to the exit is not the internet.
    let office = exit.run(&["ip", "addr", "add", "192.168.77.1/24", "dev", "lo"]);
    assert_eq!(office.code, Some(0));
    let inside = user.run(&["ping", "-c", "1", "-W", "1", "192.168.77.1"]);
    assert_ne!(inside.code, Some(0), "an exit opens its office: {}", inside.stdout);
    user.json(&["exit", "use", "none"]);
    nothing_in(&capture.stop(), user);
    assert_eq!(page.sees(user)[0], user.underlay4().map(IpAddr::V4));
}
