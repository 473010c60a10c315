//! WireGuard guests: wireguard-go behind NATs, in the network by a member. The judge is another implementation of the protocol.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use netns_tests::{
    DEADLINE, Guest, Internet, Lab, Machine, NatKind, OwnEtc, Plan, RESOLVER, Router, captured_udp,
    hashed_transfer, rss_kib, stop_ping, wait_until,
};
use serde_json::Value;

/// A guest that is told of by its host is known everywhere within this.
const TOLD: Duration = Duration::from_secs(5);
/// A guest says something every 25 s, and after a new address with its next packet.
const FOLLOWED: Duration = Duration::from_secs(5);

/// Bytes that go each way, in segments that a tunnel narrower than the mesh must cut.
const BULK: usize = 8 << 20;

/// What `guest add` prints for wg-quick.
fn add(host: &Machine, args: &[&str]) -> String {
    let json = host.json(&[&["guest", "add"], args].concat());
    json["configuration"].as_str().expect("`guest add --json` has `configuration`").to_owned()
}

fn answers(from: &Machine, to: IpAddr) -> bool {
    from.run(&["ping", "-c", "1", "-W", "1", &to.to_string()]).code == Some(0)
}

/// Waits for an answer to a ping.
fn reaches(from: &Machine, to: IpAddr, patience: Duration) {
    let what = format!("{} reaches {to}", from.name());
    wait_until(&what, patience, || answers(from, to).then_some(()));
}

/// What the resolver of the guest's configuration says.
fn look_up(guest: &Guest<'_>, name: &str, kind: &str) -> String {
    let server = format!("@{}", guest.dns[0]);
    guest.machine().run(&["dig", "+short", "+time=1", "+tries=2", &server, name, kind]).ok().trim().to_owned()
}

fn home(internet: &Internet, kind: NatKind) -> Router {
    internet.home(Plan::new(kind))
}

/// The guest called `name` in a list of them.
fn guest<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list["guests"].as_array()?.iter().find(|guest| guest["name"] == name)
}

#[test]
fn guests_behind_nats_are_in_the_network_by_a_member_and_gone_when_removed() {
    let internet = Internet::new();
    let resolver = internet.public("resolver");
    let asked = resolver.start(&["python3", "-u", "-c", RESOLVER]);
    asked.wait_stdout(DEADLINE, |text| text.contains("ready").then_some(())).expect("it answers");
    let founder = internet.public("nas");
    let address = resolver.underlay4().expect("it has IPv4");
    let etc = OwnEtc::new(&founder, &format!("nameserver {address}\n"));
    let up = founder.adopt(founder.launch(&etc.wrap(), &["up", "--node-name", "nas"], None));
    // Not an admin, so that it has to be given addresses for its guests.
    let host = internet.public("host");
    let joined = host.join(&founder.invite(&[]));
    let routers = [NatKind::PortRestricted, NatKind::SymRandom].map(|kind| home(&internet, kind));
    let (pocket, bag) = (routers[0].machine("pocket"), routers[1].machine("bag"));
    let configuration = add(&host, &["phone"]);
    let phone = Guest::up(&pocket, &configuration);
    let tablet = Guest::up(&bag, &add(&founder, &["tablet", "--address", &sibling(up.v4)]));

    for to in up.addresses().into_iter().chain(joined.addresses()) {
        reaches(&pocket, to, DEADLINE);
        reaches(&bag, to, DEADLINE);
    }
    for to in &phone.addresses {
        reaches(&founder, *to, TOLD);
        reaches(&host, *to, TOLD);
        reaches(&bag, *to, TOLD);
    }
    assert_eq!(tablet.addresses[0].to_string(), sibling(up.v4), "the address that was wished for");
    for name in ["phone.home.internal", "phone.host.home.internal"] {
        assert_eq!(look_up(&phone, name, "A"), phone.addresses[0].to_string(), "{name}");
        assert_eq!(look_up(&tablet, name, "AAAA"), phone.addresses[1].to_string(), "{name}");
    }
    // It knows no other server, so names of others are passed on; those of the mesh are not.
    assert_eq!(look_up(&tablet, "www.example.org", "A"), "203.0.113.7");
    assert_eq!(look_up(&tablet, "nobody.home.internal", "A"), "");
    let told = asked.stdout();
    assert!(told.contains("www.example.org") && !told.contains("internal"), "the resolver was asked {told}");
    let reverse = tablet.machine().run(&[
        "dig",
        "+short",
        &format!("@{}", tablet.dns[0]),
        "-x",
        &phone.addresses[1].to_string(),
    ]);
    assert_eq!(reverse.ok().trim(), "phone.home.internal.");
    for (ours, theirs) in up.addresses().into_iter().zip(&phone.addresses) {
        hashed_transfer(&pocket, &founder, ours, BULK);
        hashed_transfer(&founder, &pocket, *theirs, BULK);
    }

    let listed = founder.json(&["peers"]);
    assert_eq!(guest(&listed, "phone").expect("it stands behind its host")["host"], "host");
    let own = host.json(&["guest", "list"]);
    let tunnel = &guest(&own, "phone").expect("its host knows it")["tunnel"];
    assert!(tunnel["last_handshake_s"].is_number() && tunnel["rx_bytes"].as_u64() > Some(1000), "{own}");

    // Its NAT gets another address: its next packet tells its host.
    routers[0].renumber();
    reaches(&pocket, up.v4.into(), FOLLOWED);
    reaches(&founder, phone.addresses[0], FOLLOWED);

    // The host starts anew, and begins where it has heard its guest: that one knows of nothing.
    host.stop();
    host.run_node(&["up"]);
    reaches(&founder, phone.addresses[0], FOLLOWED);
    reaches(&pocket, joined.v4.into(), FOLLOWED);

    let _ = host.json(&["guest", "remove", "phone"]);
    assert!(!answers(&pocket, joined.v4.into()), "at once");
    wait_until("nobody knows the guest any more", TOLD, || {
        guest(&founder.json(&["guest", "list"]), "phone").is_none().then_some(())
    });
    assert_eq!(look_up(&tablet, "phone.home.internal", "A"), "");
    assert!(!answers(&founder, phone.addresses[0]));
    reaches(&bag, up.v4.into(), FOLLOWED);
}

/// An address near the first of a range that nobody has.
fn sibling(first: std::net::Ipv4Addr) -> String {
    let [a, b, ..] = first.octets();
    format!("{a}.{b}.3.77")
}

#[test]
fn a_guest_is_reached_behind_every_nat_that_lets_udp_out() {
    let internet = Internet::new();
    let host = internet.public("host");
    let up = host.up();
    let kinds = NatKind::ALL.into_iter().filter(|kind| *kind != NatKind::UdpBlocked);
    let homes: Vec<Router> = kinds.map(|kind| home(&internet, kind)).collect();
    let machines: Vec<Machine> =
        homes.iter().map(|router| router.machine(&format!("{:?}", router.kind()))).collect();
    let guests: Vec<Guest<'_>> = (machines.iter().enumerate())
        .map(|(number, machine)| Guest::up(machine, &add(&host, &[&format!("guest{number}")])))
        .collect();
    // One behind another: from each to the next, and to the host.
    for (guest, next) in guests.iter().zip(guests.iter().cycle().skip(1)) {
        reaches(guest.machine(), up.v6.into(), DEADLINE);
        reaches(next.machine(), up.v4.into(), DEADLINE);
        reaches(guest.machine(), next.addresses[0], DEADLINE);
        reaches(&host, guest.addresses[1], DEADLINE);
    }
}

/// Datagrams of a flood, a second.
const FLOOD_PER_S: u32 = 20_000;
/// How long it lasts.
const FLOOD_S: u32 = 6;
/// A device that comes meanwhile has a session. Asked for a cookie it would show it 5 s later.
const SESSION: Duration = Duration::from_secs(2);
/// Memory may grow by this, in KiB.
const GROWTH_KIB: u64 = 16 * 1024;

#[test]
fn a_flood_of_real_initiations_costs_members_and_guests_nothing_that_they_notice() {
    let lab = Lab::new();
    let (host, up, other, joined) = lab.pair();
    let [device, later, stranger] = ["device", "later", "stranger"].map(|name| lab.machine(name));
    let (configuration, second) = (add(&host, &["phone"]), add(&host, &["tablet"]));
    let capture = device.capture("udp");
    let phone = Guest::up(&device, &configuration);
    reaches(&device, joined.v4.into(), DEADLINE);
    let sent = captured_udp(&capture.stop());
    // Its MAC is right, whoever sends it again: only the cookie tells that the sender is not where it says.
    let initiation = sent.into_iter().find(|datagram| datagram.starts_with(&[1, 0, 0, 0])).expect("it began");
    let (pid, memory) = (host.pid(), rss_kib(host.pid()));
    let (members, guests) = (other.ping_on(up.v4.into(), 50), other.ping_on(phone.addresses[0], 50));
    let target = SocketAddr::new(host.underlay()[0], up.port);
    let socket = stranger.enter(|| UdpSocket::bind("0.0.0.0:0").expect("any port"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (burst, pause) = (FLOOD_PER_S / 500, Duration::from_millis(2));
            for _ in 0..FLOOD_S * 500 {
                (0..burst).for_each(|_| drop(socket.send_to(&initiation, target)));
                std::thread::sleep(pause);
            }
        });
        wait_until("the flood is there", DEADLINE, || {
            (host.status()["drops"]["guest"].as_u64()? > u64::from(FLOOD_PER_S)).then_some(())
        });
        let _tablet = Guest::up(&later, &second);
        reaches(&later, joined.v4.into(), SESSION);
    });
    for steady in [members, guests] {
        let ping = stop_ping(steady);
        assert!(ping.lost().len() * 100 <= ping.received as usize, "{}", ping.text);
    }
    assert!(host.runs() && host.pid() == pid);
    let grown = rss_kib(pid).saturating_sub(memory);
    assert!(grown < GROWTH_KIB, "grown by {grown} KiB");
    let counted = host.status()["drops"]["guest"].as_u64().unwrap_or(0);
    assert!(counted > 100, "replays were counted: {counted}");
    reaches(&device, up.v6.into(), FOLLOWED);
}
