//! Every kind of NAT against every other: which pairs become direct, and by what.
//!
//! Each cell is a lab of its own: three public nodes, and two machines behind a router each, that join, talk at once
//! and must find the path that the table promises. A few cells run always; `HOPMESH_MATRIX=full` runs all of them,
//! `HOPMESH_MATRIX_REPEATS` times each, and prints the table of rates that is kept in `docs/`; `HOPMESH_MATRIX=sym_seq`
//! those of one kind. What has missed by chance is drawn once more, unless rates are counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use netns_tests::{Conduct, Internet, Machine, NatKind, PathKind, Plan, Up, path_kind, stop_ping};

/// What a pair needs to become direct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letter {
    /// Both send to what they know of each other.
    P,
    /// And probe where a packet came from.
    R,
    /// And open their own NAT first, with packets that do not arrive.
    T,
    /// Guess the next ports of a sequential NAT.
    S,
    /// Many sockets against many ports.
    B,
    /// Many sockets against many ports of one block.
    K,
    /// As `K`, but it succeeds too seldom to insist on it.
    W,
    /// Nothing helps: a hop carries it.
    N,
}

use Letter::{B, K, N, P, R, S, T, W};
use NatKind::{
    AddrRestricted, Firewall, FullCone, LinuxOpenInput, Open, PortRestricted, SymBlock512, SymRandom, SymSeq,
};

/// Rows and columns of the table.
const KINDS: [NatKind; 9] = [
    Open,
    Firewall,
    FullCone,
    AddrRestricted,
    PortRestricted,
    LinuxOpenInput,
    SymSeq,
    SymRandom,
    SymBlock512,
];

/// What each pair needs; the row of a kind begins with the pair of itself.
const TABLE: [&[Letter]; 9] = [
    &[P, P, P, P, P, R, R, R, R],
    &[P, P, P, P, T, S, B, B],
    &[P, P, P, R, R, R, R],
    &[P, P, R, R, R, R],
    &[P, T, S, B, B],
    &[T, S, B, B],
    &[S, N, W],
    &[N, W],
    &[K],
];

/// The cells that always run.
const ALWAYS: [(NatKind, NatKind); 12] = [
    (Open, Open),
    (Open, SymRandom),
    (Firewall, PortRestricted),
    (FullCone, SymRandom),
    (AddrRestricted, SymSeq),
    (PortRestricted, PortRestricted),
    (PortRestricted, LinuxOpenInput),
    (LinuxOpenInput, LinuxOpenInput),
    (PortRestricted, SymSeq),
    (PortRestricted, SymRandom),
    (SymRandom, SymRandom),
    (SymBlock512, SymBlock512),
];

/// Cells that run at once: each has six daemons, most of the time asleep.
const AT_ONCE: usize = 2;

/// How long a machine's own way to the internet takes: 20 ms from one machine to the other.
const WIRE_MS: u64 = 10;

/// The first packet between two nodes that have both joined arrives within this, over whatever.
const AT_FIRST: Duration = Duration::from_secs(10);

impl Letter {
    /// How long the path may take to become direct.
    fn patience(self) -> Duration {
        Duration::from_secs(match self {
            P | R | T => 20,
            S => 30,
            // Hard punches wait until there has been traffic over a hop for a while.
            B | K | W => 90,
            // How long a path is watched that must stay as it is.
            N => 20,
        })
    }

    /// Ports are drawn: two of a hundred meetings miss, and on a machine that is busy some more.
    fn is_drawn(self) -> bool {
        matches!(self, B | K)
    }

    /// Does a path fit?
    fn fits(self, direct: bool) -> bool {
        match self {
            P | R | T | S | B | K => direct,
            W => true,
            N => !direct,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    kinds: [NatKind; 2],
    letter: Letter,
}

/// How a cell went that could be set up and had pings answered.
#[derive(Debug, Clone)]
struct Outcome {
    /// From the first ping sent to the first answered.
    first_ping: Duration,
    /// When both nodes said that their path is direct, from the same moment on.
    direct: Option<Duration>,
    /// Pings never answered although later ones were.
    lost: usize,
    /// What the nodes said last.
    paths: [PathKind; 2],
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (i, row) in TABLE.iter().enumerate() {
        assert_eq!(row.len(), KINDS.len() - i, "the table is one half of a square");
        for (j, letter) in row.iter().enumerate() {
            cells.push(Cell { kinds: [KINDS[i], KINDS[i + j]], letter: *letter });
        }
    }
    cells
}

fn run(cell: Cell) -> Outcome {
    let internet = Internet::new();
    let anchors = internet.anchors(["anchor1", "anchor2", "anchor3"]);
    let plan = |kind| Plan::new(kind).wire(Conduct::delay_ms(WIRE_MS));
    let routers = cell.kinds.map(|kind| internet.home(plan(kind)));
    let machines = [routers[0].machine("a"), routers[1].machine("b")];
    let ups = machines.each_ref().map(|machine| machine.join(&anchors[0].invite(&[])));
    meet(cell.letter, &machines, &ups)
}

/// Runs a cell, and says how it went; nothing, when it came to nothing.
fn draw(cell: Cell) -> Option<Outcome> {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(cell))).ok();
    eprintln!("{}", sentence(cell, outcome.as_ref()));
    outcome
}

fn meet(letter: Letter, [a, b]: &[Machine; 2], [_, joined]: &[Up; 2]) -> Outcome {
    let start = Instant::now();
    let pings = a.ping_on(joined.v4.into(), 50);
    let answered = pings.wait_stdout(AT_FIRST, |text| text.contains("bytes from").then_some(()));
    assert!(answered.is_some(), "no way from a to b at all: {}", pings.stdout());
    let first_ping = start.elapsed();
    let (paths, direct) = loop {
        let paths = [path_kind(a, "b"), path_kind(b, "a")];
        let direct = paths.iter().all(PathKind::is_direct).then(|| start.elapsed());
        if direct.is_some() || start.elapsed() > letter.patience() {
            break (paths, direct);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    // A path that is not direct leads over somebody.
    assert!(paths.iter().all(|path| *path != PathKind::None), "{paths:?}");
    Outcome { first_ping, direct, lost: stop_ping(pings).lost().len(), paths }
}

#[test]
fn every_pair_finds_the_path_that_its_nats_allow() {
    let wish = std::env::var("HOPMESH_MATRIX").ok();
    let full = wish.as_deref() == Some("full");
    let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
    let repeats = wish.as_ref().and_then(|_| number("HOPMESH_MATRIX_REPEATS")).unwrap_or(1);
    let chosen = |cell: &Cell| match &wish {
        Some(wish) => full || cell.kinds.iter().any(|kind| kind.name() == wish),
        None => ALWAYS.contains(&(cell.kinds[0], cell.kinds[1])),
    };
    let cells: Vec<Cell> = cells().into_iter().filter(chosen).collect();
    assert!(!cells.is_empty(), "HOPMESH_MATRIX is `full` or a kind of NAT");
    let todo: Vec<Cell> = (0..repeats).flat_map(|_| cells.iter().copied()).collect();

    let done = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&cell) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut outcome = draw(cell);
                    let missed = outcome.as_ref().is_some_and(|outcome| outcome.direct.is_none());
                    if missed && cell.letter.is_drawn() && wish.is_none() {
                        outcome = draw(cell);
                    }
                    done.lock().expect("nothing panics here").push((cell, outcome));
                }
            });
        }
    });
    let done = done.into_inner().expect("nothing panics there");
    assert_eq!(done.len(), todo.len());
    if full {
        println!("{}", rates(&done));
    }
    let failed = done.iter().filter(|(cell, outcome)| {
        !outcome.as_ref().is_some_and(|outcome| cell.letter.fits(outcome.direct.is_some()))
    });
    let failed: Vec<String> = failed.map(|(cell, outcome)| sentence(*cell, outcome.as_ref())).collect();
    let all = done.len();
    assert!(failed.is_empty(), "{} of {all} runs went otherwise:\n{}", failed.len(), failed.join("\n"));
}

/// How a cell went, for people.
fn sentence(cell: Cell, outcome: Option<&Outcome>) -> String {
    let [a, b] = cell.kinds.map(NatKind::name);
    let Some(Outcome { first_ping, direct, lost, paths }) = outcome else {
        return format!("{a} x {b} ({:?}): failed, see above", cell.letter);
    };
    let direct = direct.map_or("never direct".to_owned(), |after| format!("direct after {after:.1?}"));
    format!(
        "{a} x {b} ({:?}): ping after {first_ping:.1?}, {direct}, {lost} pings lost, {paths:?}",
        cell.letter
    )
}

/// The table of rates, as Markdown: direct paths of runs, and the median time until then.
fn rates(done: &[(Cell, Option<Outcome>)]) -> String {
    let mut of: BTreeMap<[NatKind; 2], Vec<Option<Duration>>> = BTreeMap::new();
    for (cell, outcome) in done {
        of.entry(cell.kinds).or_default().push(outcome.as_ref().and_then(|outcome| outcome.direct));
    }
    let name = |kind: NatKind| kind.name();
    let mut text = format!("| | {} |\n|---|", KINDS.map(name).join(" | "));
    text += &"---|".repeat(KINDS.len());
    for (i, row) in KINDS.into_iter().enumerate() {
        let _infallible = write!(text, "\n| {} |{}", row.name(), " |".repeat(i));
        for column in &KINDS[i..] {
            let runs = &of[&[row, *column]];
            let mut seconds: Vec<f64> = runs.iter().flatten().map(Duration::as_secs_f64).collect();
            seconds.sort_by(f64::total_cmp);
            let _infallible = match seconds.get(seconds.len() / 2) {
                Some(median) => write!(text, " {}/{}, {median:.1} s |", seconds.len(), runs.len()),
                None => write!(text, " 0/{} |", runs.len()),
            };
        }
    }
    text
}
