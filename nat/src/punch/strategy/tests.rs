use super::*;
use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent, Unknown};

/// The kinds of nat/README.md, section 3.
fn kind(name: &str) -> NatProfile {
    let (mapping, filtering, ports) = match name {
        "open" | "full" => (EndpointIndependent, EndpointIndependent, Ports::Preserved),
        "addr" => (EndpointIndependent, AddressDependent, Ports::Preserved),
        "fw" | "port" | "l_open" => (EndpointIndependent, AddressAndPortDependent, Ports::Preserved),
        "seq" => (AddressAndPortDependent, AddressAndPortDependent, Ports::Sequential { step: 1 }),
        "rand" => (AddressAndPortDependent, AddressAndPortDependent, Ports::Random),
        "blk512" => {
            (AddressAndPortDependent, AddressAndPortDependent, Ports::Block { first: 10_240, last: 10_751 })
        }
        "blk2048" => {
            (AddressAndPortDependent, AddressAndPortDependent, Ports::Block { first: 10_240, last: 12_287 })
        }
        "sym_addr" => (AddressDependent, AddressDependent, Ports::Random),
        "sym_eif" => (AddressAndPortDependent, EndpointIndependent, Ports::Random),
        other => panic!("{other}"),
    };
    NatProfile { translates: !matches!(name, "open" | "fw"), mapping, filtering, ports }
}

/// The letter that a strategy stands for. A plain one is P or R, since who is probed from elsewhere always probes back; and
/// a low TTL comes before plain probes wherever both filter by port, for of the profile alone nobody knows a
/// Linux host with an open INPUT chain.
fn letter(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Plain => "PR",
        Strategy::LowTtl => "PT",
        Strategy::Sequential(_) | Strategy::BothSequential => "S",
        Strategy::Birthday { .. } => "B",
        Strategy::BlockBirthday { .. } => "K",
        Strategy::Hopeless(_) => "-",
    }
}

#[test]
fn the_matrix_by_letter() {
    let kinds = ["open", "fw", "full", "addr", "port", "l_open", "seq", "rand", "blk512"];
    let matrix = [
        "P P P P P R R R R",
        "  P P P P T S B B",
        "    P P P R R R R",
        "      P P R R R R",
        "        P T S B B",
        "          T S B B",
        "            S - K",
        "              - K",
        "                K",
    ];
    for (row, (ours, letters)) in kinds.iter().zip(matrix).enumerate() {
        let letters: Vec<&str> = letters.split_whitespace().collect();
        assert_eq!(letters.len(), kinds.len() - row);
        for (theirs, expected) in kinds[row..].iter().zip(letters) {
            let found = strategy(&kind(ours), &kind(theirs));
            assert!(letter(found).contains(expected), "{ours} and {theirs}: {found:?}, not {expected}");
        }
    }
    for (ours, theirs, expected) in [
        ("sym_addr", "open", "P"),
        ("sym_addr", "full", "P"),
        ("sym_addr", "addr", "R"),
        ("sym_addr", "port", "B"),
        ("sym_addr", "sym_addr", "-"),
        ("sym_eif", "port", "R"),
        ("sym_eif", "rand", "R"),
        ("sym_eif", "sym_eif", "R"),
        ("blk512", "blk2048", "K"),
        ("blk2048", "blk2048", "K"),
        ("rand", "blk2048", "-"),
    ] {
        let found = strategy(&kind(ours), &kind(theirs));
        assert!(letter(found).contains(expected), "{ours} and {theirs}: {found:?}, not {expected}");
    }
}

fn all_profiles() -> Vec<NatProfile> {
    let classes = [Unknown, EndpointIndependent, AddressDependent, AddressAndPortDependent];
    let ports = [
        Ports::Unknown,
        Ports::Preserved,
        Ports::Fixed,
        Ports::Sequential { step: -2 },
        Ports::Block { first: 1, last: u16::MAX },
        Ports::Block { first: 9, last: 3 },
        Ports::Block { first: 1024, last: 2047 },
        Ports::Random,
    ];
    let profile = |mapping, filtering, ports| NatProfile { translates: true, mapping, filtering, ports };
    let pairs = classes.into_iter().flat_map(|mapping| classes.map(|filtering| (mapping, filtering)));
    pairs.flat_map(|(mapping, filtering)| ports.map(|ports| profile(mapping, filtering, ports))).collect()
}

#[test]
fn both_sides_compute_matching_halves() {
    for ours in all_profiles() {
        for theirs in all_profiles() {
            let sides = [ours, theirs].map(|profile| Side { profile, ..Side::default() });
            for rung in Rung::ALL {
                let pair = (strategy_on(rung, &sides[0], &sides[1]), strategy_on(rung, &sides[1], &sides[0]));
                let matches = match pair {
                    (Strategy::Sequential(one), Strategy::Sequential(other)) => one != other,
                    (
                        Strategy::Birthday { role: one, ports },
                        Strategy::Birthday { role: other, ports: same },
                    ) => one != other && ports == same,
                    (one, other) => one == other,
                };
                assert!(matches, "{rung:?} {ours:?} {theirs:?}: {pair:?}");
            }
        }
    }
}

#[test]
fn unknown_classes_are_friendly_first_and_hard_later() {
    let ours = Side::default();
    let theirs = Side { profile: kind("port"), ..Side::default() };
    let climb = Rung::ALL.map(|rung| strategy_on(rung, &ours, &theirs));
    let birthday = |ports| Strategy::Birthday { role: Role::Opens, ports };
    assert_eq!(climb, [Strategy::Plain, Strategy::LowTtl, birthday(1024), birthday(2048)]);
    let port = Side { profile: kind("port"), ..Side::default() };
    let climb = Rung::ALL.map(|rung| strategy_on(rung, &port, &theirs));
    assert_eq!(climb, [Strategy::LowTtl; 4], "what is known is not doubted");
    let sequence = Side { profile: kind("seq"), ..Side::default() };
    assert_eq!(strategy_on(Rung::Wide, &sequence, &theirs), birthday(2048));
}

#[test]
fn rungs_have_numbers() {
    for rung in Rung::ALL {
        assert_eq!(Rung::from_number(rung.number()), Some(rung));
    }
    assert_eq!(Rung::from_number(4), None);
}

#[test]
fn probes_of_blocks_follow_the_formula_and_are_bounded() {
    for (sizes, probes) in
        [((512, 512), 1024), ((512, 2048), 2048), ((2048, 2048), 4096), ((1000, 1001), 2001)]
    {
        let block = |size: u16| Ports::Block { first: 1024, last: 1023 + size };
        assert_eq!(blocks(&block(sizes.0), &block(sizes.1)), Strategy::BlockBirthday { probes });
    }
    assert_eq!(strategy(&kind("rand"), &kind("blk512")), Strategy::BlockBirthday { probes: 5657 });
    assert_eq!(strategy(&kind("seq"), &kind("blk512")), Strategy::BlockBirthday { probes: 2048 });
}
