//! Which pairs of NATs meet by which strategy: the table that was measured with real ones in network namespaces, but for
//! the strategies that guess ports.

use super::{MAIN, Place};
use crate::nat::Kind;
use std::net::SocketAddr;
use std::time::Duration;

/// How two machines try to meet, each stronger than those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strategy {
    /// Both send to the address that others see of the other.
    Plain,
    /// And to wherever something came from.
    Triggered,
    /// And first with a low TTL.
    Opener,
}

const ROUNDS: usize = 5;

/// Two machines of some kinds that have learnt each other's outer addresses from a third.
struct Pair {
    place: Place,
    machines: [usize; 2],
    seen: [SocketAddr; 2],
}

impl Pair {
    fn new(kinds: [Kind; 2]) -> Self {
        let mut place = Place::new();
        let machines = [(kinds[0], 1), (kinds[1], 2)].map(|(kind, number)| place.home(kind, number));
        let observer = place.home(Kind::Open, 9);
        let seen = machines.map(|machine| place.send(machine, place.address(observer)).unwrap().2);
        Self { place, machines, seen }
    }

    /// Whether both hear each other, when nothing needs any time and `first` always sends before the other.
    fn meets(&mut self, strategy: Strategy, first: usize) -> bool {
        let order = [first, 1 - first];
        if strategy >= Strategy::Opener {
            for side in order {
                self.place.send_by(self.machines[side], MAIN, self.seen[1 - side], Some(2));
            }
        }
        let mut heard = [None, None];
        for _ in 0..ROUNDS {
            for side in order {
                let answered = heard[side].filter(|_| strategy >= Strategy::Triggered);
                for to in [Some(self.seen[1 - side]), answered].into_iter().flatten() {
                    if let Some((receiver, _, from)) = self.place.send(self.machines[side], to) {
                        assert_eq!(receiver, self.machines[1 - side]);
                        heard[1 - side] = Some(from);
                    }
                }
            }
            self.place.now += Duration::from_millis(50);
        }
        heard.iter().all(Option::is_some)
    }
}

/// The first strategy that works in whichever order.
fn letter(kinds: [Kind; 2]) -> char {
    let works = |strategy| [0, 1].iter().all(|first| Pair::new(kinds).meets(strategy, *first));
    match [Strategy::Plain, Strategy::Triggered, Strategy::Opener].into_iter().find(|s| works(*s)) {
        Some(Strategy::Plain) => 'P',
        Some(Strategy::Triggered) => 'R',
        Some(Strategy::Opener) => 'T',
        None => '-',
    }
}

const KINDS: [Kind; 10] = [
    Kind::Open,
    Kind::Firewall,
    Kind::FullCone,
    Kind::AddrRestricted,
    Kind::PortRestricted,
    Kind::PortRestrictedX,
    Kind::LinuxOpenInput,
    Kind::SymSeq,
    Kind::SymRandom,
    Kind::SymBlock512,
];

/// Row and column as in [`KINDS`]. A dash needs guessed ports, or nothing helps.
const MEASURED: [&str; 10] = [
    "PPPPPPRRRR",
    " PPPPPT---",
    "  PPPPRRRR",
    "   PPPRRRR",
    "    PPT---",
    "     PT---",
    "      T---",
    "       ---",
    "        --",
    "         -",
];

#[test]
fn pairs_of_nats_meet_as_they_do_in_the_lab() {
    let table: Vec<String> = (0..KINDS.len())
        .map(|row| {
            let cells = (row..KINDS.len()).map(|column| letter([KINDS[row], KINDS[column]]));
            " ".repeat(row) + &cells.collect::<String>()
        })
        .collect();
    assert_eq!(table, MEASURED, "\n{}", table.join("\n"));
}

#[test]
fn a_port_that_anybody_may_use_makes_up_for_ports_that_nobody_foresees() {
    for kind in KINDS {
        assert!(['P', 'R'].contains(&letter([Kind::SymEif, kind])), "{kind:?}");
    }
    assert!(['P', 'R'].contains(&letter([Kind::SymEif, Kind::SymEif])));
}

#[test]
fn a_port_for_every_address_serves_only_those_who_do_not_mind_ports() {
    let letters = [
        (Kind::Open, 'R'),
        (Kind::FullCone, 'R'),
        (Kind::AddrRestricted, 'R'),
        (Kind::PortRestricted, '-'),
        (Kind::SymAddr, '-'),
    ];
    for (kind, expected) in letters {
        assert_eq!(letter([Kind::SymAddr, kind]), expected, "{kind:?}");
    }
}
