//! Instructions of the hot path, counted by valgrind's callgrind: they do not depend on what else the machine does, so that a regression
//! of some percent shows where no clock would tell.
//!
//! `cargo bench -p hopmesh-overlay --bench instructions` compares with `instructions.txt`, and fails above [`TOLERANCE_PERCENT`];
//! with `-- --write` it writes that file. They hold for one compiler and one version of each crate, which the repository pins.
//! A program of this one is run twice for each line, over few packets and over more: what differs is the packets' own.

#![expect(clippy::disallowed_methods, reason = "this program runs others, and keeps a file")]

#[expect(dead_code, reason = "the other benchmarks use the rest")]
mod pair;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use overlay::fastpath::{Inbound, Joins, Merger, Outbound, Trains, inbound, outbound};
use pair::{Pair, SEGMENTS, remote};
use wire::handshake::Suite;
use wire::offload::Offload;

/// A line may be this much dearer than the file says: what inlining does when other code changes.
const TOLERANCE_PERCENT: u64 = 3;
/// Rounds of the shorter run, and how many times as many the longer one has.
const ROUNDS: u64 = 100;
/// See [`ROUNDS`].
const LONGER: u64 = 3;

/// What is counted, of how many packets a round is, and so many rounds of it.
type Case = (&'static str, u64, fn(u64));

const CASES: [Case; 7] = [
    ("seal 64 bytes", 1, |rounds| seal(64, rounds)),
    ("seal 1420 bytes", 1, |rounds| seal(1420, rounds)),
    ("split and seal a superpacket, each packet", SEGMENTS as u64, superpacket),
    ("open 64 bytes", 1, |rounds| open(64, rounds)),
    ("open 1420 bytes", 1, |rounds| open(1420, rounds)),
    ("merge a superpacket, each packet", SEGMENTS as u64, merge),
    ("refuse a stranger's datagram", 1, refuse),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, case, rounds] = &args[..]
        && flag == "--run"
    {
        let (_, _, run) = CASES[case.parse::<usize>().expect("a case")];
        run(rounds.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions: install valgrind to count them");
        return ExitCode::SUCCESS;
    }
    let counted: Vec<u64> = (0..CASES.len()).map(count).collect();
    if args.iter().any(|arg| arg == "--write") {
        std::fs::write(file(), text(&counted)).expect("the file is written");
    }
    report(&counted)
}

/// Instructions of a packet.
fn count(case: usize) -> u64 {
    let [few, many] = [ROUNDS, ROUNDS * LONGER].map(|rounds| instructions(case, rounds));
    (many - few) / (ROUNDS * (LONGER - 1)) / CASES[case].1
}

/// Instructions of a whole run.
fn instructions(case: usize, rounds: u64) -> u64 {
    let program = std::env::current_exe().expect("this program");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    let output = valgrind.args(["--run", &case.to_string(), &rounds.to_string()]).output().expect("valgrind");
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.unwrap_or_else(|| panic!("callgrind says nothing of instructions:\n{report}"))
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt")
}

/// The file, a line for each case: instructions, and of what.
fn text(counted: &[u64]) -> String {
    CASES.iter().zip(counted).map(|((what, ..), count)| format!("{count:>6}  {what}\n")).collect()
}

/// Prints all beside what the file says.
fn report(counted: &[u64]) -> ExitCode {
    let known = std::fs::read_to_string(file()).unwrap_or_default();
    let known_of = |what: &str| {
        let line = known.lines().find(|line| line.ends_with(&format!("  {what}")))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    println!("{:<44} {:>12} {:>8}", "instructions of a packet", "counted", "known");
    let mut verdict = ExitCode::SUCCESS;
    for ((what, ..), counted) in CASES.iter().zip(counted) {
        let known = known_of(what).unwrap_or(0);
        let is_dearer = *counted * 100 > known * (100 + TOLERANCE_PERCENT);
        println!("{what:<44} {counted:>12} {known:>8}{}", if is_dearer { "  dearer than known" } else { "" });
        if is_dearer {
            verdict = ExitCode::FAILURE;
        }
    }
    verdict
}

fn seal(length: usize, rounds: u64) {
    let pair = Pair::connected(Suite::Aes256Gcm);
    let (tables, mut trains) = (&pair.tables[0], Trains::new());
    let mut packet = pair.packet(0, length);
    for _ in 0..rounds {
        let outcome = outbound(tables, Offload::NONE, black_box(&mut packet), &mut trains, &mut |_| {});
        assert_eq!(outcome, Outbound::Sealed);
    }
}

fn superpacket(rounds: u64) {
    let pair = Pair::connected(Suite::Aes256Gcm);
    let (tables, mut trains) = (&pair.tables[0], Trains::new());
    let (offload, mut packet) = pair.superpacket(0);
    for _ in 0..rounds {
        let outcome = outbound(tables, offload, black_box(&mut packet), &mut trains, &mut |_| {});
        assert_eq!(outcome, Outbound::Sealed);
    }
}

/// Both runs seal as many datagrams as the longer one opens: so nothing of that is in what differs.
fn open(length: usize, rounds: u64) {
    let pair = Pair::connected(Suite::Aes256Gcm);
    let [sender, receiver] = &pair.tables;
    let (mut packet, mut trains) = (pair.packet(0, length), Trains::new());
    let mut sealed: Vec<Vec<u8>> = (0..ROUNDS * LONGER)
        .map(|_| {
            outbound(sender, Offload::NONE, &mut packet, &mut trains, &mut |_| {});
            trains.take().remove(0).1
        })
        .collect();
    for datagram in sealed.iter_mut().take(usize::try_from(rounds).expect("few")) {
        assert!(matches!(inbound(receiver, black_box(datagram), remote(0)), Inbound::Packet(..)));
    }
}

fn merge(rounds: u64) {
    let pair = Pair::connected(Suite::Aes256Gcm);
    let (mut bytes, opened) = pair.parts();
    let mut merger = Merger::with_room_for(SEGMENTS, Joins::TcpAndUdp);
    for _ in 0..rounds {
        opened.iter().for_each(|opened| merger.push(black_box(opened), &bytes));
        merger.finish(&mut bytes);
        assert_eq!(merger.written().count(), 1);
        merger.clear();
    }
}

fn refuse(rounds: u64) {
    let pair = Pair::connected(Suite::Aes256Gcm);
    let mut datagram = vec![0; wire::datagram::INITIATION_LENGTH];
    datagram[0] = 0xa4;
    for _ in 0..rounds {
        assert!(matches!(inbound(&pair.tables[0], black_box(&mut datagram), remote(1)), Inbound::Drop(_)));
    }
}
