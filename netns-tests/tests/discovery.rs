//! Nodes that have no address of each other that is still true: who finds whom by which carrier alone.

use std::time::Duration;

use netns_tests::{Implementation, Internet, Lab, Machine, Mainline, NatKind, OwnDht, Up, peer, wait_until};

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

/// The configuration that uses nothing but the DHT that is entered by nodes of this kind.
fn dht_only(dht: &Mainline, by: Implementation) -> String {
    assert_eq!(dht.nodes(), 20);
    let entries = dht.entries(by);
    format!("[lan]\nenabled = false\n[dht]\nbootstrap = {entries:?}\n[port_mapping]\nenabled = false\n")
}

#[test]
fn nodes_with_stale_addresses_find_each_other_by_a_dht_alone() {
    find_each_other_by(Implementation::Ours);
}

/// libtorrent's nodes name none but their own kind: what is found was kept and told by them.
#[test]
fn nodes_with_stale_addresses_find_each_other_by_another_implementation_of_the_dht() {
    find_each_other_by(Implementation::Libtorrent);
}

fn find_each_other_by(implementation: Implementation) {
    let internet = Internet::new();
    let dht = internet.mainline();
    let (a, b) = (internet.public("a"), internet.public("b"));
    network(&[&a, &b], &dht_only(&dht, implementation));
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
    let dht = internet.mainline();
    let (a, b) = (internet.public("a"), internet.public("b"));
    network(&[&a, &b], &dht_only(&dht, Implementation::Ours));
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

#[test]
fn the_dht_is_entered_again_when_nobody_is_left_where_it_was_entered_first() {
    let internet = Internet::new();
    let mut dht = OwnDht::new(&internet);
    let (a, b) = (internet.public("a"), internet.public("b"));
    network(&[&a, &b], &dht.toml());
    for machine in [&a, &b] {
        let what = format!("{} knows all nodes of the DHT", machine.name());
        wait_until(&what, BY_DHT, || {
            (machine.json(&["netcheck"])["dht"]["nodes"].as_u64() >= Some(3)).then_some(())
        });
        machine.stop();
    }
    dht.lose_entry();
    let homes = [NatKind::PortRestricted, NatKind::AddrRestricted].map(|kind| internet.home(kind));
    a.carry_to(&homes[0]);
    b.carry_to(&homes[1]);
    a.up();
    let joined = b.up();
    await_connected(&a, "b", BY_DHT);
    a.must_ping(joined.v4.into());
}
