//! The task runner: `cargo xtask up`, `join`, `test`, `bench` and `deb`. It needs nothing but cargo, so it has no dependencies.
//!
//! Must never: install, change or run anything that the command did not ask for. What needs root goes through sudo,
//! one command at a time; cargo itself always runs as the user.

mod bench;
mod deb;
mod node;
mod package;
mod privilege;
mod process;
mod ring;
mod tally;

use std::process::ExitCode;

use process::Failure;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  up [ARGUMENTS]     builds hopmesh and makes this machine a node: runs `hopmesh up ARGUMENTS` as root
  join INVITE        builds hopmesh and enrols this machine: runs `hopmesh join INVITE` as root
  test [RING...]     installs the Debian packages the tests need, then runs everything that CI runs;
                     RING is any of lint, unit, sim, netns
  bench [ARGUMENTS]  runs the benchmarks, and Hopmesh beside the tunnels of others;
                     `bench hop`: what a hop costs beside a plain forwarder;
                     `bench start`: how long a node takes until it is up;
                     `bench paths`: what paths between machines behind NATs cost;
                     `bench names`: how soon a published name is answered everywhere
  deb [--profile P]  builds the Debian package and prints its path; P is `release` unless said

Example: cargo xtask up --network home
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let done = match command.as_str() {
        "up" | "join" => node::run(&command, &rest),
        "test" => ring::run_rings(&rest),
        "bench" => bench::run_all(&rest),
        "deb" => deb::build(&rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        "" => Err(Failure::Usage(format!("which command?\n\n{HELP}"))),
        unknown => Err(Failure::Usage(format!("there is no command `{unknown}`\n\n{HELP}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
        }
    }
}
