//! `cargo xtask bench`: how fast, alone and beside others. Figures, never a test.

use crate::package;
use crate::privilege::Privilege;
use crate::process::{Failure, announce, build_hopmesh, cargo, run, words};

/// Runs the benchmarks of the crates, then `netns-tests/bench` with these arguments; that alone when the first of them
/// is `guest`, `hop`, `start`, `paths` or `names`.
///
/// # Errors
/// When anything cannot be built or run.
pub(crate) fn run_all(arguments: &[String]) -> Result<(), Failure> {
    let privilege = Privilege::find("measuring in network namespaces")?;
    package::install()?;

    if let Some((program @ ("paths" | "names"), arguments)) =
        arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return in_namespaces(program, arguments, privilege);
    }
    if arguments.first().is_some_and(|first| first == "hop") {
        run(&mut cargo([
            "build",
            "--locked",
            "--release",
            "--package",
            "hopmesh-netns-tests",
            "--example",
            "forwarder",
        ]))?;
        return in_namespaces("bench", arguments, privilege);
    }
    if arguments.first().is_some_and(|first| ["guest", "start"].contains(&first.as_str())) {
        return in_namespaces("bench", arguments, privilege);
    }
    let mut alone = cargo(["bench", "--locked", "--workspace", "--exclude", "hopmesh-netns-tests"]);
    announce(&words(&alone));
    run(&mut alone)?;
    in_namespaces("bench", arguments, privilege)
}

fn in_namespaces(program: &str, arguments: &[String], privilege: Privilege) -> Result<(), Failure> {
    let binary = build_hopmesh("release")?;
    let mut command =
        cargo(["run", "--locked", "--release", "--package", "hopmesh-netns-tests", "--bin", program]);
    command.arg("--").args(arguments).env("HOPMESH_BIN", binary);
    privilege.run_built_as_root(&mut command, "HOPMESH_BIN")?;
    announce(&words(&command));
    run(&mut command)
}
