//! `cargo xtask up` and `join`: from a checkout to a node.

use std::os::unix::process::CommandExt;

use crate::privilege::Privilege;
use crate::process::{Failure, build_hopmesh, words};

/// Builds the binary and becomes it, so that its signals and its exit code are ours.
///
/// # Errors
/// When it cannot be built or started.
pub(crate) fn run(what: &str, arguments: &[String]) -> Result<(), Failure> {
    let privilege = Privilege::find("a network interface")?;
    let binary = build_hopmesh("release")?;
    let mut command = privilege.command(binary);
    command.arg(what).args(arguments).env_remove("RUST_BACKTRACE");
    let error = command.exec();
    Err(Failure::Failed(format!("`{}` cannot be run: {error}", words(&command))))
}
