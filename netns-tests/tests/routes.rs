//! Subnets behind machines: an office with a printer that knows nothing of the mesh.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netns_tests::{DEADLINE, Lab, Machine, Office, Up, hashed_transfer, wait_until};
use serde_json::Value;

const OFFICE: &str = "192.168.9.0/24";
const OFFICE6: &str = "fd09:0:0:9::/64";

/// What a node says of a prefix.
fn route(on: &Machine, prefix: &str) -> Value {
    let listed = on.json(&["route", "list"]);
    let routes = listed["routes"].as_array().expect("a list has routes");
    routes.iter().find(|route| route["prefix"] == prefix).cloned().unwrap_or(Value::Null)
}

fn await_state(on: &Machine, prefix: &str, state: &str) -> Value {
    wait_until(&format!("{prefix} is {state} on {}", on.name()), DEADLINE, || {
        Some(route(on, prefix)).filter(|route| route["state"] == state)
    })
}

/// A router offers prefixes, and the founder approves them.
fn serve(founder: &Machine, router: &Machine, prefixes: &[(&str, &[&str])]) {
    for (prefix, words) in prefixes {
        let advertised = router.json(&[&["route", "advertise"], *words].concat());
        assert_eq!(advertised["prefix"], **prefix);
        wait_until("the offer has come to the admin", DEADLINE, || {
            (!route(founder, prefix).is_null()).then_some(())
        });
        founder.json(&["route", "approve", router.name(), prefix]);
        await_state(router, prefix, "served");
    }
}

/// A network with a founder, a router of an office and a member; and the office with its printer.
struct Ground {
    founder: Machine,
    router: Machine,
    member: Machine,
    printer: Machine,
    office: Office,
    lab: Lab,
    up: Up,
}

fn ground() -> Ground {
    let lab = Lab::new();
    let [founder, router, member] = ["a", "r", "m"].map(|name| lab.machine(name));
    let office = lab.office("office", [192, 168, 9]);
    let printer = office.machine("printer");
    office.plug(&router);
    founder.up();
    router.join(&founder.invite(&[]));
    let up = member.join(&founder.invite(&[]));
    Ground { founder, router, member, printer, office, lab, up }
}

fn addresses(printer: &Machine) -> [IpAddr; 2] {
    [printer.underlay4().expect("IPv4").into(), printer.underlay6().expect("IPv6").into()]
}

#[test]
fn an_office_is_reached_and_every_machine_is_left_as_it_was_found() {
    let lab = Lab::new();
    let [founder, router, member] = ["a", "r", "m"].map(|name| lab.machine(name));
    let office = lab.office("office", [192, 168, 9]);
    let printer = office.machine("printer");
    let (inside, _) = office.plug(&router);
    let found = [&router, &member].map(Machine::host_snapshot);
    // It wants no routes of others, and reaches the office by the router's own network, as far as that lets it.
    founder.configure("[routes]\naccept = []\n");
    let outside = router.underlay4().expect("IPv4");
    founder.ip(&format!("route add {OFFICE} via {outside}"));
    founder.up();
    router.join(&founder.invite(&[]));
    member.join(&founder.invite(&[]));

    assert!(member.json(&["route", "list"])["routes"].as_array().is_some_and(Vec::is_empty));
    router.json(&["route", "advertise", OFFICE]);
    await_state(&member, OFFICE, "waiting");
    assert_eq!(router.run(&["cat", "/proc/sys/net/ipv4/ip_forward"]).ok(), "0\n", "nothing is forwarded yet");
    serve(&founder, &router, &[(OFFICE, &[OFFICE]), (OFFICE6, &[OFFICE6])]);
    let refused = await_state(&founder, OFFICE, "refused");
    assert!(refused["reason"].as_str().is_some_and(|why| why.contains("routes.accept")), "{refused}");
    await_state(&member, OFFICE6, "taken");
    await_state(&member, OFFICE, "taken");

    let capture = member.capture("ip or ip6");
    for address in addresses(&printer) {
        hashed_transfer(&member, &printer, address, 3_000_000);
    }
    printed(&printer, (&member, addresses(&printer)[0]), SECRET);
    let wire = capture.stop();
    assert!(
        !wire.windows(SECRET.len()).any(|window| window == SECRET),
        "a page crossed the wire in the open"
    );

    // The office is narrower than the mesh: the router's kernel says so, and whoever sends believes it.
    let narrow = |mtu: u16| {
        for (machine, link) in [(&printer, "eth0"), (&router, "eth1")] {
            machine.ip(&format!("link set {link} mtu {mtu}"));
        }
    };
    narrow(1300);
    for address in addresses(&printer) {
        hashed_transfer(&member, &printer, address, 1_000_000);
    }
    narrow(1500);
    // It counts hops, and says so from an address that members believe.
    let expired =
        member.run(&["ping", "-n", "-c", "1", "-t", "1", "-W", "5", &addresses(&printer)[0].to_string()]);
    assert!(expired.stdout.contains("Time to live exceeded"), "{}{}", expired.stdout, expired.stderr);
    // Nothing else is forwarded, although the router's kernel forwards now.
    printer.ip(&format!("route add 192.0.2.0/24 via {inside}"));
    let beyond = founder.underlay4().expect("IPv4").to_string();
    let stray = printer.run(&["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", &beyond]);
    assert_ne!(stray.code, Some(0), "the router forwards what nobody asked for: {}", stray.stdout);

    left_as_found((&founder, &router, &member), &printer, &found);
}

/// A page.
const SECRET: &[u8] = b"printed for nobody else's eyes";

/// Sends a page to the printer's own address by way of `target`, and expects it there.
fn printed(printer: &Machine, (member, target): (&Machine, IpAddr), page: &[u8]) {
    let own = addresses(printer)[usize::from(target.is_ipv6())];
    let listener = printer.enter(|| TcpListener::bind((own, 0)).expect("its own address"));
    let port = listener.local_addr().expect("bound").port();
    let mut sender =
        member.enter(|| TcpStream::connect_timeout(&(target, port).into(), DEADLINE).expect("a way"));
    sender.write_all(page).expect("just connected");
    drop(sender);
    let mut received = vec![];
    let (mut stream, _) = listener.accept().expect("it connects");
    stream.read_to_end(&mut received).expect("it ends");
    assert_eq!(received, page);
}

fn left_as_found(
    (founder, router, member): (&Machine, &Machine, &Machine),
    printer: &Machine,
    found: &[String; 2],
) {
    let [address, _] = addresses(printer);
    let is_left = |machine: &Machine, found: &str, how: &str| {
        let now = machine.host_snapshot();
        assert_eq!(difference(found, &now), "", "{} is not as it was found, {how}", machine.name());
    };
    router.stop();
    member.stop();
    is_left(router, &found[0], "stopped");
    is_left(member, &found[1], "stopped");
    // What was offered is offered again.
    router.up();
    member.up();
    await_state(router, OFFICE, "served");
    await_state(member, OFFICE, "taken");
    member.must_ping(address);
    router.kill();
    member.kill();
    assert_ne!(router.host_snapshot(), found[0], "kill -9 leaves what the test is about");
    for machine in [router, member] {
        assert_eq!(machine.json(&["restore-host"])["restored"], true);
        assert_eq!(machine.json(&["restore-host"])["restored"], false);
    }
    is_left(router, &found[0], "killed and restored");
    is_left(member, &found[1], "killed and restored");
    router.up();
    router.kill();
    router.up();
    router.json(&["route", "withdraw", OFFICE]);
    router.json(&["route", "withdraw", OFFICE6]);
    founder.json(&["route", "reject", router.name(), OFFICE]);
    router.stop();
    is_left(router, &found[0], "killed, and stopped after the next start");
}

/// Lines of one text alone.
fn difference(before: &str, after: &str) -> String {
    let lines = |text: &str, other: &str, mark: &str| -> String {
        let alone = text.lines().filter(|line| !other.lines().any(|other| other == *line));
        alone.map(|line| format!("{mark} {line}\n")).collect()
    };
    lines(before, after, "-") + &lines(after, before, "+")
}

#[test]
fn what_clashes_is_refused_and_shown_and_never_leads_packets_astray() {
    let Ground { founder, router, member, printer, office, lab, up } = ground();
    let [address, _] = addresses(&printer);
    serve(&founder, &router, &[(OFFICE, &[OFFICE])]);
    await_state(&member, OFFICE, "taken");
    member.must_ping(address);
    // The machine comes to a network that has the same addresses: that goes first, at once.
    member.ip("link add home type bridge\nlink set home up\naddr add 192.168.9.200/25 dev home");
    let refused = await_state(&member, OFFICE, "refused");
    assert!(refused["reason"].as_str().is_some_and(|why| why.contains("192.168.9.128/25")), "{refused}");
    let problems = member.status()["problems"].to_string();
    assert!(problems.contains(OFFICE), "{problems}");
    let leads = |machine: &Machine, to: &str| machine.run(&["ip", "route", "get", to]).ok();
    assert!(!leads(&member, "192.168.9.10").contains("hm-home"));
    member.ip("link del home");
    await_state(&member, OFFICE, "taken");
    member.must_ping(address);

    // An admin approves what holds the address of a peer: datagrams to it go their old way.
    let far = lab.machine("far");
    far.roam();
    far.join(&founder.invite(&[]));
    let (peer, whole) = (far.underlay4().expect("IPv4"), "198.51.100.0/24");
    wait_until("the peer answers", DEADLINE, || {
        (netns_tests::peer(&member.status(), "far")["state"] == "connected").then_some(())
    });
    serve(&founder, &router, &[(whole, &[whole])]);
    let refused = await_state(&member, whole, "refused");
    assert!(refused["reason"].as_str().is_some_and(|why| why.contains("far")), "{refused}");
    assert!(!leads(&member, &peer.to_string()).contains("hm-home"));
    assert_eq!(router.hopmesh(&["route", "advertise", "0.0.0.0/0"]).code, Some(2));
    assert_eq!(founder.hopmesh(&["route", "approve", "r", "0.0.0.0/0"]).code, Some(2));
    let own = format!("{}/32", up.v4);
    assert_eq!(router.hopmesh(&["route", "advertise", &own]).code, Some(1));
    drop(office);
}

#[test]
fn a_download_goes_on_when_its_router_is_killed() {
    let Ground { founder, router, member, printer, office, lab, up } = ground();
    let second = lab.machine("s");
    let ways = [office.plug(&second).0, router_address(&router)];
    second.join(&founder.invite(&[]));
    for machine in [&router, &second] {
        serve(&founder, machine, &[(OFFICE, &[OFFICE, "--no-snat"])]);
    }
    let taken = wait_until("both routers are known", DEADLINE, || {
        let route = route(&member, OFFICE);
        let usable = route["routers"]
            .as_array()?
            .iter()
            .filter(|r| r["is_approved"] == true && r["is_offered"] == true);
        (usable.count() == 2 && route["state"] == "taken").then_some(route)
    });
    let is_first = taken["via"] == "r";
    let (used, other, back) =
        if is_first { (&router, &second, ways[0]) } else { (&second, &router, ways[1]) };
    // The office sends everything back by the other router: there are two ways, and each end sees but one.
    printer.ip(&format!("route add {} via {back}", network_of(&up)));
    let [address, _] = addresses(&printer);
    member.must_ping(address);
    let listener = printer.enter(|| TcpListener::bind((address, 0)).expect("its own address"));
    let target = listener.local_addr().expect("bound");
    let sender = std::thread::spawn(move || send_slowly(&listener));
    let mut stream = member.enter(|| TcpStream::connect_timeout(&target, DEADLINE).expect("a way"));
    stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
    let mut block = vec![0; 1 << 16];
    let mut received = 0;
    while received < SLOW_SIZE / 4 {
        received += stream.read(&mut block).expect("it goes on");
    }
    used.kill();
    loop {
        match stream.read(&mut block).expect("it goes on without its router") {
            0 => break,
            size => received += size,
        }
    }
    assert_eq!(received, SLOW_SIZE);
    sender.join().expect("it has sent everything");
    assert_eq!(route(&member, OFFICE)["via"], other.name());
}

/// How much comes slowly.
const SLOW_SIZE: usize = 4_000_000;

/// Sends what takes some seconds, so that something can happen meanwhile.
fn send_slowly(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().expect("it connects");
    stream.set_write_timeout(Some(DEADLINE)).expect("not zero");
    for _ in 0..40 {
        stream.write_all(&[7; SLOW_SIZE / 40]).expect("it goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn router_address(router: &Machine) -> Ipv4Addr {
    let told = router.run(&["ip", "-4", "-o", "addr", "show", "dev", "eth1"]).ok();
    let address = told.split_whitespace().find_map(|word| word.split_once('/')?.0.parse().ok());
    address.expect("it is plugged into the office")
}

fn network_of(up: &Up) -> String {
    up.json["network"]["ipv4_range"].as_str().expect("a network has a range").to_owned()
}

#[test]
fn two_offices_with_one_subnet_are_told_apart() {
    let lab = Lab::new();
    let [founder, member] = ["a", "m"].map(|name| lab.machine(name));
    founder.up();
    member.join(&founder.invite(&[]));
    let subnet = "192.168.1.0/24";
    let offices = [("north", "10.50.1.0/24"), ("south", "10.50.2.0/24")].map(|(name, known_as)| {
        let (office, router) = (lab.office(name, [192, 168, 1]), lab.machine(&format!("r{name}")));
        let printer = office.machine(&format!("p{name}"));
        let (inside, _) = office.plug(&router);
        if name == "south" {
            forwards_already(&router, &printer, (inside, &founder));
        }
        router.join(&founder.invite(&[]));
        serve(&founder, &router, &[(known_as, &[subnet, "--as", known_as])]);
        await_state(&member, known_as, "taken");
        (router, printer, known_as, office)
    });
    let [north, south] = &offices;
    assert_eq!(addresses(&north.1)[0], addresses(&south.1)[0], "the printers have one address");
    for (router, printer, known_as, _) in &offices {
        let IpAddr::V4(own) = addresses(printer)[0] else { panic!("IPv4 comes first") };
        let prefix: Vec<u8> = known_as.split('.').filter_map(|part| part.parse().ok()).collect();
        let target = SocketAddr::from(([prefix[0], prefix[1], prefix[2], own.octets()[3]], 0)).ip();
        printed(printer, (&member, target), known_as.as_bytes());
        let listed = route(&member, known_as);
        assert_eq!(
            (&listed["via"], &listed["routers"][0]["behind"]),
            (&router.name().into(), &subnet.into())
        );
    }
    // Names tell them apart as well, by the routers that publish them for the printers.
    for (router, printer, known_as, _) in &offices {
        let own = addresses(printer)[0];
        let listener = printer.enter(|| TcpListener::bind((own, 0)).expect("its own address"));
        let port = listener.local_addr().expect("bound").port().to_string();
        router.json(&["publish", printer.name(), "--port", &port, "--to", &format!("{own}:{port}")]);
        let resolved = wait_until("the printer's name is known", DEADLINE, || {
            let done = member.hopmesh(&["resolve", printer.name()]);
            (done.code == Some(0)).then(|| serde_json::from_str::<Value>(&done.stdout).expect("it is JSON"))
        });
        let mesh: IpAddr =
            resolved["instances"][0]["addresses"][0].as_str().expect("it has one").parse().unwrap();
        let mut sender =
            member.enter(|| TcpStream::connect((mesh, port.parse().unwrap())).expect("it is passed on"));
        sender.write_all(known_as.as_bytes()).expect("just connected");
        drop(sender);
        // A check of health says nothing.
        let received = listener.incoming().find_map(|stream| {
            let mut page = String::new();
            stream.expect("it connects").read_to_string(&mut page).expect("it ends");
            Some(page).filter(|page| !page.is_empty())
        });
        assert_eq!(received.as_deref(), Some(*known_as));
    }
    // Where the machine was a router before, it is one for the others as it was, and stays one.
    let (router, printer, ..) = south;
    printer.must_ping(founder.underlay4().expect("IPv4").into());
    router.stop();
    printer.must_ping(founder.underlay4().expect("IPv4").into());
}

/// Makes a machine a router between its office and the lab, of which the mesh knows nothing.
fn forwards_already(router: &Machine, printer: &Machine, (inside, outside): (Ipv4Addr, &Machine)) {
    let _ = router.run(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]).ok();
    printer.ip(&format!("route add 192.0.2.0/24 via {inside}"));
    outside.ip(&format!("route add 192.168.1.0/24 via {}", router.underlay4().expect("IPv4")));
    printer.must_ping(outside.underlay4().expect("IPv4").into());
}
