//! Nodes that have no address of each other that is still true: who finds whom by which carrier alone.

use std::time::Duration;

use netns_tests::{Internet, Lab, Machine, NatKind, Process, Up, peer, wait_until};

/// A beacon is heard at once; a debug build on a busy machine takes its time to come up.
const BY_LAN: Duration = Duration::from_secs(30);
/// A node looks a peer up after 5 s, and again after 10 and 30: a look-up takes some seconds.
const BY_DHT: Duration = Duration::from_secs(90);

const LAN_ONLY: &str = "[dht]\nenabled = false\n[port_mapping]\nenabled = false\n";

fn connected(machine: &Machine, to: &str) -> bool {
    peer(&machine.status(), to)["state"] == "connected"
}

fn await_connected(machine: &Machine, to: &str, patience: Duration) {
    let what = format!("{} is connected to {to}", machine.name());
    wait_until(&what, patience, || connected(machine, to).then_some(()));
}

/// Gives a machine of a plain lab an address that nobody knows.
fn readdress(machine: &Machine, host: u32) {
    machine.ip(&format!(
        "addr flush dev eth0 scope global\naddr add 192.0.2.{host}/24 dev eth0\nroute replace default via 192.0.2.254 dev eth0"
    ));
}

/// The first is the founder; all with this configuration.
fn network<'a>(machines: &[&'a Machine], toml: &str) -> Vec<(&'a Machine, Up)> {
    let mut ups: Vec<(&Machine, Up)> = vec![];
    for machine in machines {
        machine.configure(toml);
        let up = match ups.first() {
            None => machine.up(),
            Some((founder, _)) => machine.join(&founder.invite(&[])),
        };
        ups.push((*machine, up));
    }
    for (machine, _) in &ups {
        for (other, _) in ups.iter().filter(|(other, _)| other.name() != machine.name()) {
            await_connected(machine, other.name(), BY_LAN);
        }
    }
    ups
}

#[test]
fn nodes_with_stale_addresses_find_each_other_by_beacons_alone() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    network(&[&a, &b], LAN_ONLY);
    a.stop();
    b.stop();
    readdress(&a, 101);
    readdress(&b, 102);
    a.up();
    let joined = b.up();
    await_connected(&a, "b", BY_LAN);
    a.must_ping(joined.v4.into());
}

#[test]
fn all_nodes_rebooted_at_once_with_new_addresses_form_their_network_again() {
    let lab = Lab::new();
    let machines = ["a", "b", "c", "d"].map(|name| lab.machine(name));
    let ups = network(&machines.each_ref(), LAN_ONLY);
    machines.iter().for_each(Machine::kill);
    for (machine, host) in machines.iter().zip(111..) {
        readdress(machine, host);
    }
    machines.iter().for_each(|machine| {
        machine.up();
    });
    for (machine, _) in &ups {
        for (other, up) in ups.iter().filter(|(other, _)| other.name() != machine.name()) {
            await_connected(machine, other.name(), BY_LAN);
            machine.must_ping(up.v6.into());
        }
    }
}

#[test]
fn a_machine_joins_by_an_invite_whose_addresses_are_dead_when_it_is_on_the_same_lan() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    a.configure(LAN_ONLY);
    b.configure(LAN_ONLY);
    a.up();
    let invite = a.invite(&[]);
    a.stop();
    readdress(&a, 121);
    a.up();
    let joined = b.join(&invite);
    await_connected(&a, "b", BY_LAN);
    a.must_ping(joined.v4.into());
}

/// An own DHT on public machines, and the configuration that uses it and no LAN.
struct OwnDht {
    _nodes: Vec<(Machine, Process)>,
    toml: String,
}

impl OwnDht {
    fn new(internet: &Internet) -> Self {
        let mut nodes: Vec<(Machine, Process)> = vec![];
        let mut first: Option<String> = None;
        for name in ["dht1", "dht2", "dht3"] {
            let machine = internet.public(name);
            let listen = format!("{}:6881", machine.underlay4().expect("all of them have IPv4"));
            let mut words = vec!["dht-node", "--listen", &listen];
            if let Some(first) = &first {
                words.extend(["--bootstrap", first]);
            }
            let process = machine.launch(&[], &words, None);
            let said = process.wait_stdout(BY_LAN, |text| text.contains("listen").then_some(()));
            said.expect("a DHT node says where it listens");
            first.get_or_insert(listen);
            nodes.push((machine, process));
        }
        let entry = first.expect("there are three");
        let toml = format!(
            "[lan]\nenabled = false\n[dht]\nbootstrap = [\"{entry}\"]\n[port_mapping]\nenabled = false\n"
        );
        Self { _nodes: nodes, toml }
    }
}

#[test]
fn nodes_with_stale_addresses_find_each_other_by_a_dht_alone() {
    let internet = Internet::new();
    let dht = OwnDht::new(&internet);
    let (a, b) = (internet.public("a"), internet.public("b"));
    network(&[&a, &b], &dht.toml);
    a.stop();
    b.stop();
    for machine in [&a, &b] {
        let [first, second, ..] = machine.underlay4().expect("all of them have IPv4").octets();
        machine.ip(&format!(
            "addr flush dev eth0 scope global\naddr add {first}.{second}.0.99/16 dev eth0\nroute replace default via {first}.{second}.0.1 dev eth0"
        ));
    }
    a.up();
    let joined = b.up();
    await_connected(&a, "b", BY_DHT);
    a.must_ping(joined.v4.into());
}

/// No anchor, no address that is true, and nobody who could be dialled: a DHT and two NATs.
#[test]
fn two_nodes_behind_nats_meet_with_nothing_but_a_dht() {
    let internet = Internet::new();
    let dht = OwnDht::new(&internet);
    let (a, b) = (internet.public("a"), internet.public("b"));
    network(&[&a, &b], &dht.toml);
    a.stop();
    b.stop();
    let homes = [NatKind::PortRestricted, NatKind::AddrRestricted].map(|kind| internet.home(kind));
    a.carry_to(&homes[0]);
    b.carry_to(&homes[1]);
    a.up();
    let joined = b.up();
    await_connected(&a, "b", BY_DHT);
    a.must_ping(joined.v4.into());
    assert_eq!(peer(&a.status(), "b")["path"]["kind"], "direct");
}
