//! `cargo xtask bench`: how fast, alone and beside others. Figures, never a test.

use crate::package;
use crate::privilege::Privilege;
use crate::process::{Failure, announce, build_hopmesh, cargo, run, words};

/// Runs the benchmarks of the crates, then `netns-tests/bench` with these arguments.
///
/// # Errors
/// When anything cannot be built or run.
pub(crate) fn run_all(arguments: &[String]) -> Result<(), Failure> {
    let privilege = Privilege::find("measuring in network namespaces")?;
    package::install()?;

    let mut alone = cargo(["bench", "--locked", "--workspace", "--exclude", "hopmesh-netns-tests"]);
    announce(&words(&alone));
    run(&mut alone)?;

    let binary = build_hopmesh("release")?;
    let mut beside =
        cargo(["run", "--locked", "--release", "--package", "hopmesh-netns-tests", "--bin", "bench"]);
    beside.arg("--").args(arguments).env("HOPMESH_BIN", binary);
    privilege.run_built_as_root(&mut beside, "HOPMESH_BIN")?;
    announce(&words(&beside));
    run(&mut beside)
}
