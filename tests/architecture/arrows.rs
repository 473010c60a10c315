//! The picture of ARCHITECTURE.md, as a table: which of our crates may name which, and which side of the sans-IO line
//! each is on.

use crate::assert_none;
use crate::graph::Graph;

/// Which side of the sans-IO line a crate is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Touches the operating system.
    Above,
    /// Bytes, time and seed in; bytes and deadlines out.
    Below,
}

/// One of our crates.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: &'static str,
    pub(crate) folder: &'static str,
    pub(crate) side: Side,
    /// Which of ours it may depend on.
    pub(crate) may: &'static [&'static str],
}

const fn below(name: &'static str, folder: &'static str, may: &'static [&'static str]) -> Crate {
    Crate { name, folder, side: Side::Below, may }
}

const fn above(name: &'static str, folder: &'static str, may: &'static [&'static str]) -> Crate {
    Crate { name, folder, side: Side::Above, may }
}

/// Every crate of the workspace; a new one is entered here first.
pub(crate) const CRATES: [Crate; 12] = [
    below("hopmesh-wire", "wire", &[]),
    below("hopmesh-nat", "nat", &["hopmesh-wire"]),
    below("hopmesh-routing", "routing", &["hopmesh-wire"]),
    below("hopmesh-registry", "registry", &["hopmesh-wire"]),
    below(
        "hopmesh-overlay",
        "overlay",
        &["hopmesh-nat", "hopmesh-registry", "hopmesh-routing", "hopmesh-wire"],
    ),
    below("hopmesh-config", "config", &[]),
    below("hopmesh-sim", "sim", &["hopmesh-overlay", "hopmesh-registry", "hopmesh-wire"]),
    below(
        "hopmesh-fuzz-bodies",
        "fuzz/bodies",
        &["hopmesh-config", "hopmesh-overlay", "hopmesh-registry", "hopmesh-wire"],
    ),
    above("hopmesh-api", "api", &[]),
    above("hopmesh", "src", &["hopmesh-api", "hopmesh-config", "hopmesh-overlay", "hopmesh-wire"]),
    above("hopmesh-netns-tests", "netns-tests", &["hopmesh", "hopmesh-api"]),
    above("xtask", "xtask", &[]),
];

/// What only a crate above the line may reach: whoever is here waits, or asks the operating system.
const IMPURE: [&str; 17] = [
    "async-io",
    "async-std",
    "hyper",
    "hyper-util",
    "if-watch",
    "mio",
    "nix",
    "polling",
    "quinn-udp",
    "rtnetlink",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tonic",
    "tun-rs",
    "zbus",
];

/// What a crate below the line may not name itself, although its dependencies may: entropy that no seed determines.
const ENTROPY: [&str; 4] = ["fastrand", "getrandom", "rand", "rand_os"];

fn wrong_arrows(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for (_, package) in graph.members() {
        let Some(known) = CRATES.iter().find(|known| known.name == package.name) else {
            wrong.push(format!("{} is not in the table of tests/architecture/arrows.rs", package.name));
            continue;
        };
        for to in package.dependencies.union(&package.dev_dependencies) {
            let to = graph.name(to);
            if graph.0.values().any(|other| other.member && other.name == to) && !known.may.contains(&to) {
                wrong.push(format!("{} must not depend on {to}", package.name));
            }
        }
    }
    for known in &CRATES {
        if !graph.members().any(|(_, package)| package.name == known.name) {
            wrong.push(format!("{} is in the table but not in the workspace", known.name));
        }
    }
    wrong
}

fn crossings_of_the_line(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, package) in graph.members() {
        let pure = CRATES.iter().any(|known| known.name == package.name && known.side == Side::Below);
        if !pure {
            continue;
        }
        let impure = |to: &str| IMPURE.contains(&to) || to.starts_with("netlink-");
        for (to, by) in graph.reached_from(id) {
            let (to, by) = (graph.name(to), graph.name(by));
            if impure(to) {
                wrong.push(format!("{} reaches {to} through {by}", package.name));
            }
        }
        // What measures and checks may use the machine, like divan does for its table; the tests themselves may not.
        for to in package.dev_dependencies.iter().map(|to| graph.name(to)).filter(|to| impure(to)) {
            wrong.push(format!("{} tests with {to}", package.name));
        }
        for to in package.dependencies.union(&package.dev_dependencies).map(|to| graph.name(to)) {
            if ENTROPY.contains(&to) {
                wrong.push(format!("{} names {to}: randomness comes in as a seed", package.name));
            }
        }
    }
    wrong
}

fn dependencies_of_the_task_runner(graph: &Graph) -> Vec<String> {
    let (_, package) =
        graph.members().find(|(_, package)| package.name == "xtask").expect("a crate of the table");
    let named = package.dependencies.union(&package.dev_dependencies);
    named.map(|to| format!("xtask needs nothing but cargo, not {}", graph.name(to))).collect()
}

#[test]
fn our_crates_depend_only_on_whom_they_may() {
    assert_none(&wrong_arrows(&Graph::of_this_workspace()));
}

#[test]
fn nothing_below_the_line_reaches_the_operating_system() {
    assert_none(&crossings_of_the_line(&Graph::of_this_workspace()));
}

#[test]
fn the_task_runner_needs_nothing() {
    assert_none(&dependencies_of_the_task_runner(&Graph::of_this_workspace()));
}

#[test]
fn a_wrong_arrow_is_noticed() {
    let graph = Graph::of_this_workspace();
    for (from, to) in [
        ("hopmesh-nat", "hopmesh-routing"),
        ("hopmesh-wire", "hopmesh-nat"),
        ("hopmesh-config", "hopmesh-wire"),
        ("hopmesh-overlay", "hopmesh-config"),
        ("hopmesh", "hopmesh-registry"),
        ("hopmesh-sim", "hopmesh"),
        ("hopmesh-netns-tests", "hopmesh-overlay"),
    ] {
        let wrong = wrong_arrows(&graph.clone().with_arrow(from, to));
        assert_eq!(wrong, [format!("{from} must not depend on {to}")]);
    }
    let wrong = wrong_arrows(&graph.altered("libc", |package| package.member = true));
    assert_eq!(
        wrong.first().map(String::as_str),
        Some("libc is not in the table of tests/architecture/arrows.rs")
    );
}

#[test]
fn a_crossing_of_the_line_is_noticed_at_any_distance() {
    let graph = Graph::of_this_workspace();
    for (from, to) in [("hopmesh-wire", "tokio"), ("snow", "socket2"), ("toml", "rustix")] {
        let wrong = crossings_of_the_line(&graph.clone().with_arrow(from, to));
        assert!(
            wrong.iter().any(|line| line.ends_with(&format!(" reaches {to} through {from}"))),
            "{wrong:?}"
        );
    }
    let wrong = crossings_of_the_line(&graph.clone().with_arrow("hopmesh-sim", "getrandom"));
    assert_eq!(wrong, ["hopmesh-sim names getrandom: randomness comes in as a seed"]);
    let tokio =
        graph.0.iter().find(|(_, package)| package.name == "tokio").expect("hopmesh has it").0.clone();
    let tests = graph.clone().altered("hopmesh-nat", |package| package.dev_dependencies.extend([tokio]));
    assert_eq!(crossings_of_the_line(&tests), ["hopmesh-nat tests with tokio"]);
    assert!(!dependencies_of_the_task_runner(&graph.with_arrow("xtask", "libc")).is_empty());
}
