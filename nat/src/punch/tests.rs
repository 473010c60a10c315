//! Two punches against each other, each behind a model of a NAT.

mod alone;
mod nat;
mod world;

use crate::limits::{BIRTHDAY_PORTS_WIDE, LINGER};
use crate::punch::{Reason, Role, Rung, Strategy};
use nat::Kind;
use std::time::Duration;
use wire::{Dependence, NatProfile};
use world::{Outcome, World};

const ALL: [Kind; 13] = [
    Kind::Open,
    Kind::Firewall,
    Kind::FullCone,
    Kind::AddressRestricted,
    Kind::PortRestricted,
    Kind::PortChanging,
    Kind::LinuxOpenInput,
    Kind::Sequential,
    Kind::Random,
    Kind::Block(512),
    Kind::Block(2048),
    Kind::ByAddress,
    Kind::RandomOpen,
];

fn meet(a: Kind, b: Kind, seed: u64) -> Outcome {
    World::new([a, b], seed).run(Rung::Likely)
}

fn strategy(a: Kind, b: Kind) -> Strategy {
    crate::punch::strategy(&a.profile(), &b.profile())
}

/// How many of so many seeds meet.
fn successes(a: Kind, b: Kind, seeds: u64) -> u64 {
    (0..seeds).filter(|seed| meet(a, b, *seed).have_met()).count() as u64
}

#[test]
fn cells_of_plain_low_ttl_and_sequence_always_meet() {
    for a in ALL {
        for b in ALL {
            let is_sure = matches!(
                strategy(a, b),
                Strategy::Plain | Strategy::LowTtl | Strategy::Sequential(_) | Strategy::BothSequential
            );
            if is_sure {
                assert_eq!(successes(a, b, 20), 20, "{a:?} and {b:?} by {:?}", strategy(a, b));
            }
        }
    }
}

#[test]
fn birthdays_meet_nine_times_of_ten() {
    for a in ALL {
        for b in ALL {
            if let Strategy::Birthday { .. } = strategy(a, b) {
                let met = successes(a, b, 40);
                assert!(met >= 36, "{a:?} and {b:?}: {met} of 40");
            }
        }
    }
}

#[test]
fn blocks_meet_as_theory_says() {
    for (a, b, least) in [
        (Kind::Block(512), Kind::Block(512), 36),
        (Kind::Block(512), Kind::Block(2048), 36),
        (Kind::Block(2048), Kind::Block(2048), 36),
        (Kind::Sequential, Kind::Block(512), 36),
        (Kind::Random, Kind::Block(512), 17),
    ] {
        for (a, b) in [(a, b), (b, a)] {
            assert!(matches!(strategy(a, b), Strategy::BlockBirthday { .. }), "{a:?} and {b:?}");
            let met = successes(a, b, 40);
            assert!(met >= least, "{a:?} and {b:?}: {met} of 40");
        }
    }
}

#[test]
fn a_host_with_an_open_input_chain_needs_the_low_ttl() {
    let by = |strategy| {
        let meets = |seed: &u64| {
            let mut world = World::new([Kind::LinuxOpenInput; 2], *seed);
            world.skew_ms = 100;
            world.run_by([strategy; 2]).have_met()
        };
        (0..20).filter(meets).count()
    };
    assert_eq!(by(Strategy::LowTtl), 20);
    assert!(by(Strategy::Plain) < 10, "the model confuses such a NAT");
}

#[test]
fn packets_are_lost_and_clocks_differ() {
    for (a, b) in [
        (Kind::PortRestricted, Kind::PortRestricted),
        (Kind::LinuxOpenInput, Kind::LinuxOpenInput),
        (Kind::FullCone, Kind::Random),
        (Kind::Sequential, Kind::PortRestricted),
        (Kind::Sequential, Kind::Sequential),
        (Kind::PortRestricted, Kind::Random),
    ] {
        for skew in [-100, 100] {
            let meets = |seed: &u64| {
                let mut world = World::new([a, b], *seed);
                (world.loses_percent, world.skew_ms) = (20, skew);
                world.run(Rung::Likely).have_met()
            };
            let met = (0..40).filter(meets).count();
            assert!(met >= 36, "{a:?} and {b:?}, {skew} ms: {met} of 40");
        }
    }
}

#[test]
fn sequences_are_met_while_others_use_the_nat() {
    for (a, b) in [(Kind::Sequential, Kind::Sequential), (Kind::Sequential, Kind::Firewall)] {
        let meets = |seed: &u64| {
            let mut world = World::new([a, b], *seed);
            world.others = 12;
            world.run(Rung::Likely).have_met()
        };
        assert_eq!((0..20).filter(meets).count(), 20, "{a:?} and {b:?}");
    }
}

#[test]
fn a_sequence_does_not_knock_before_the_other_has_begun() {
    let meets = |seed: &u64| {
        let mut world = World::new([Kind::Sequential, Kind::LinuxOpenInput], *seed);
        (world.others, world.skew_ms) = (12, 100);
        world.run(Rung::Likely).have_met()
    };
    assert_eq!((0..20).filter(meets).count(), 20);
}

#[test]
fn every_attempt_ends_closes_its_sockets_and_sends_no_more_than_it_may() {
    for a in ALL {
        for b in ALL {
            for rung in Rung::ALL {
                let mut world = World::new([a, b], 1);
                let strategies = world.strategies(rung);
                // Nothing arrives: the worst that can be.
                world.loses_percent = 100;
                let outcome = world.run_by(strategies);
                for (side, strategy) in outcome.sides.iter().zip(strategies) {
                    assert_eq!(side.won, None);
                    assert!(side.open.is_empty(), "{a:?} and {b:?}: {strategy:?} leaves sockets open");
                    let (probes, sockets, seconds) = bounds(strategy);
                    assert!(side.probes <= probes, "{strategy:?}: {} probes", side.probes);
                    assert!(side.opened <= sockets, "{strategy:?}: {} sockets", side.opened);
                    assert!(side.lasted <= Duration::from_secs_f64(seconds) + LINGER, "{strategy:?}");
                }
            }
        }
    }
}

/// Probes, sockets and seconds from the start that a strategy may cost against one address.
fn bounds(strategy: Strategy) -> (u32, u16, f64) {
    match strategy {
        Strategy::Plain => (30, 0, 3.5),
        Strategy::LowTtl => (32, 0, 3.5),
        Strategy::Sequential(Role::Opens) => (22, 1, 3.5),
        Strategy::Sequential(Role::Sprays) => (160, 0, 3.5),
        Strategy::BothSequential => (300, 25, 3.5),
        Strategy::Birthday { role: Role::Opens, ports } => (512, 256, seconds(ports)),
        Strategy::Birthday { role: Role::Sprays, ports } => {
            assert!(ports <= BIRTHDAY_PORTS_WIDE);
            (u32::from(ports), 0, seconds(ports))
        }
        Strategy::BlockBirthday { probes } => {
            assert!(probes <= 5657);
            (u32::from(probes), 12, seconds(probes))
        }
        Strategy::Hopeless(_) => (0, 0, 0.0),
    }
}

fn seconds(probes: u16) -> f64 {
    (f64::from(probes) / 400.0).max(3.5)
}

#[test]
fn the_winning_socket_stays_and_all_others_are_closed() {
    for seed in 0..20 {
        let outcome = meet(Kind::Random, Kind::PortRestricted, seed);
        let [opener, sprayer] = &outcome.sides;
        if outcome.have_met() {
            let (socket, address) = opener.won.unwrap();
            assert_eq!(opener.open.iter().copied().collect::<Vec<_>>(), [socket]);
            assert!(sprayer.open.is_empty());
            assert!(opener.named.contains(&address.ip()));
        }
    }
}

#[test]
fn probes_go_to_the_peers_addresses_only() {
    for a in ALL {
        for b in ALL {
            for side in meet(a, b, 3).sides {
                assert!(side.probed.iter().all(|ip| side.named.contains(ip)), "{a:?} and {b:?}");
            }
        }
    }
}

#[test]
fn sprays_keep_their_pace() {
    let outcome = meet(Kind::Random, Kind::PortRestricted, 5);
    assert!(outcome.sides[1].probes > 20);
    let mut world = World::new([Kind::Random, Kind::PortRestricted], 5);
    world.loses_percent = 100;
    let outcome = world.run(Rung::Likely);
    let most = outcome.sides[1].most_in_a_second();
    assert!((200..=401).contains(&most), "{most} in a second");
}

#[test]
fn without_hope_nothing_is_sent() {
    let outcome = meet(Kind::Random, Kind::Random, 0);
    assert_eq!(strategy(Kind::Random, Kind::Random), Strategy::Hopeless(Reason::BothRandom));
    assert!(outcome.sides.iter().all(|side| side.probes == 0));
}

#[test]
fn what_is_not_known_is_met_on_a_higher_rung() {
    let mut world = World::new([Kind::Random, Kind::PortRestricted], 0);
    world.known = [NatProfile::default(), Kind::PortRestricted.profile()];
    assert_eq!(world.known[0].mapping, Dependence::Unknown);
    assert!(!world.run(Rung::Likely).have_met());
    let meets = |seed: &u64| {
        let mut world = World::new([Kind::Random, Kind::PortRestricted], *seed);
        world.known[0] = NatProfile::default();
        world.run(Rung::Guarded).have_met()
    };
    assert!((0..20).filter(meets).count() >= 18);
}
