//! A machine that joins, and the one that has invited it: both behind NATs, and nothing between them but a DHT.

use std::time::Duration;

use netns_tests::{Internet, Machine, NatKind, OwnDht, PathKind, await_path, peer, wait_until};

/// A path between members that have just met is found within this.
const FOUND: Duration = Duration::from_secs(20);
/// A node learns from the DHT where it is seen in a second or two.
const SEEN: Duration = Duration::from_secs(30);

/// Lets a machine behind the second kind join by that invite, and talk to the one that made it.
fn join_behind(internet: &Internet, dht: &OwnDht, issuer: &Machine, invite: &str, kind: NatKind) {
    let home = internet.home(kind);
    let joiner = home.machine("b");
    joiner.configure(&dht.toml());
    let joined = joiner.join(invite);
    issuer.must_ping(joined.v4.into());
    for (machine, other) in [(issuer, "b"), (&joiner, "a")] {
        await_path(machine, other, FOUND, PathKind::is_direct);
    }
    assert_eq!(peer(&issuer.status(), "b")["state"], "connected");
}

#[test]
fn a_machine_joins_by_a_dht_when_the_addresses_of_its_invite_are_dead() {
    let internet = Internet::new();
    let dht = OwnDht::new(&internet);
    let issuer = internet.public("a");
    issuer.configure(&dht.toml());
    issuer.up();
    let invite = issuer.invite(&[]);
    issuer.stop();
    let home = internet.home(NatKind::PortRestricted);
    issuer.carry_to(&home);
    issuer.up();
    join_behind(&internet, &dht, &issuer, &invite, NatKind::PortRestricted);
}

/// The invite names where the issuer's NAT can be knocked at, which is too early then, and which some NATs take ill.
#[test]
fn a_machine_joins_by_a_dht_when_it_has_knocked_at_the_issuers_nat_before() {
    for (issuers, joiners) in [
        (NatKind::PortRestricted, NatKind::AddrRestrictedX),
        (NatKind::PortRestrictedX, NatKind::PortRestrictedX),
        (NatKind::LinuxOpenInput, NatKind::LinuxOpenInput),
    ] {
        let internet = Internet::new();
        let dht = OwnDht::new(&internet);
        let home = internet.home(issuers);
        let issuer = home.machine("a");
        issuer.configure(&dht.toml());
        issuer.up();
        let wan = format!("{}:", home.wan4());
        wait_until("a knows where it is seen", SEEN, || {
            issuer.json(&["netcheck"]).to_string().contains(&wan).then_some(())
        });
        let invite = issuer.invite(&[]);
        join_behind(&internet, &dht, &issuer, &invite, joiners);
    }
}
