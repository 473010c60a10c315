//! `cargo xtask test`: what must hold before a change is taken, in rings from quick to slow.
//!
//! 1. lint: format, clippy and documentation, warnings as errors;
//! 2. unit: every test beside the code;
//! 3. sim: nodes in virtual time;
//! 4. netns: the real binary in network namespaces, as root.
//!
//! All rings run even when one fails. The last line counts every test; a step that fails without naming a test, and a
//! ring in which no test ran, count as one that failed.

use std::process::Command;
use std::time::Instant;

use crate::package;
use crate::privilege::Privilege;
use crate::process::{Failure, announce, build_hopmesh, cargo, run, run_counting, words};
use crate::tally::Tally;

const RINGS: [&str; 4] = ["lint", "unit", "sim", "netns"];

/// What came of the steps so far.
#[derive(Default)]
struct Outcome {
    tally: Tally,
    /// What to run again by hand.
    failed: Vec<String>,
}

/// Runs the rings that are named, or all.
///
/// # Errors
/// When anything failed, after the summary.
pub(crate) fn run_rings(names: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = names.iter().find(|name| !RINGS.contains(&name.as_str())) {
        return Err(Failure::Usage(format!("there is no ring `{unknown}`: say {}", RINGS.join(", "))));
    }
    let wanted = |ring: &str| names.is_empty() || names.iter().any(|name| name == ring);
    let mut outcome = Outcome::default();
    // Whoever cannot run the last ring is to know it before the first.
    let privilege = if wanted("netns") { Some(Privilege::find("the ring netns")?) } else { None };
    if privilege.is_some() {
        package::install()?;
    }
    if wanted("lint") {
        lint(&mut outcome);
    }
    match (wanted("unit"), wanted("sim")) {
        (true, true) => outcome.count(&mut tests(["--workspace", "--exclude", "hopmesh-netns-tests"])),
        (true, false) => outcome.count(
            tests(["--workspace", "--exclude", "hopmesh-netns-tests"]).args(["--exclude", "hopmesh-sim"]),
        ),
        (false, true) => outcome.count(&mut tests(["--package", "hopmesh-sim"])),
        (false, false) => {}
    }
    if let Some(privilege) = privilege {
        netns(privilege, &mut outcome);
    }
    outcome.report()
}

fn lint(outcome: &mut Outcome) {
    outcome.check(&mut cargo(["fmt", "--all", "--check"]));
    outcome.check(&mut cargo([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]));
    let mut doc = cargo(["doc", "--locked", "--workspace", "--no-deps"]);
    outcome.check(doc.env("RUSTDOCFLAGS", "--deny warnings"));
}

fn netns(privilege: Privilege, outcome: &mut Outcome) {
    announce("cargo build --package hopmesh");
    let binary = match build_hopmesh("dev") {
        Ok(binary) => binary,
        Err(failure) => return outcome.fail("cargo build --package hopmesh".into(), &failure),
    };
    let mut command = tests(["--package", "hopmesh-netns-tests"]);
    command.env("HOPMESH_BIN", binary);
    match privilege.run_built_as_root(&mut command, "HOPMESH_BIN") {
        Ok(()) => outcome.count(&mut command),
        Err(failure) => outcome.fail("rustc -vV".into(), &failure),
    }
}

fn tests<const N: usize>(packages: [&str; N]) -> Command {
    let mut command = cargo(["test", "--locked", "--no-fail-fast"]);
    command.args(packages);
    command
}

impl Outcome {
    /// A step that succeeds or fails as a whole.
    fn check(&mut self, command: &mut Command) {
        let began = begin(command);
        if let Err(failure) = run(command) {
            self.fail(words(command), &failure);
        }
        end(began);
    }

    /// A step that runs tests.
    fn count(&mut self, command: &mut Command) {
        let began = begin(command);
        match run_counting(command) {
            Ok((tally, success)) => {
                self.tally += tally;
                let unnamed = tally.is_empty() || (!success && tally.failed == 0);
                self.tally.failed += u64::from(unnamed);
                if tally.is_empty() {
                    self.failed.push(format!("{} (ran no test)", words(command)));
                } else if !success {
                    self.failed.push(words(command));
                }
            }
            Err(failure) => self.fail(words(command), &failure),
        }
        end(began);
    }

    /// One more failure, which no test has counted.
    fn fail(&mut self, what: String, why: &Failure) {
        println!("{why}");
        self.tally.failed += 1;
        self.failed.push(what);
    }

    /// The summary; its last line is the count.
    fn report(self) -> Result<(), Failure> {
        println!();
        for what in &self.failed {
            println!("failed: {what}");
        }
        if self.tally.ignored > 0 {
            println!("{} ignored: a test that is not run holds nothing", self.tally.ignored);
        }
        println!("{}", self.tally);
        if self.tally.failed == 0 && self.failed.is_empty() { Ok(()) } else { Err(Failure::Reported) }
    }
}

fn begin(command: &Command) -> Instant {
    announce(&words(command));
    Instant::now()
}

fn end(began: Instant) {
    println!("--- {} s", began.elapsed().as_secs());
}
