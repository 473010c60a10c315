//! Running other programs: cargo above all.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::tally::Tally;

/// Why a task did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Everything was said already; only the exit code is missing.
    Reported,
    /// A sentence for the user, exit code 1.
    Failed(String),
    /// The command line was wrong, exit code 2.
    Usage(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reported => Ok(()),
            Self::Failed(sentence) | Self::Usage(sentence) => write!(f, "xtask: {}", sentence.trim_end()),
        }
    }
}

/// The cargo that runs us, with these arguments.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(arguments);
    // Backtraces slow failing tests and cost a fifth of the CPU in measurements; ask for them by hand.
    command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    command
}

/// Runs to the end; its output is the user's.
///
/// # Errors
/// When it cannot be started or says that it failed.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|e| not_started(command, &e))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Failed(format!("`{}` failed ({status})", words(command))))
}

/// Runs to the end, shows its output line by line and counts the test results in it.
///
/// # Errors
/// When it cannot be started; a failure of its own is in what is returned.
pub(crate) fn run_counting(command: &mut Command) -> Result<(Tally, bool), Failure> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|e| not_started(command, &e))?;
    let output = child.stdout.take().expect("stdout was piped one line above");
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line);
        tally.read(&line);
        println!("{line}");
    }
    let status = child.wait().map_err(|e| not_started(command, &e))?;
    Ok((tally, status.success()))
}

/// What a program prints, when it succeeds.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let done = command.stderr(Stdio::inherit()).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The binary of package `hopmesh`, built in this cargo profile.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn build_hopmesh(profile: &str) -> Result<PathBuf, Failure> {
    run(&mut cargo(["build", "--locked", "--package", "hopmesh", "--bin", "hopmesh", "--profile", profile]))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target_directory()?.join(folder).join("hopmesh"))
}

/// A step begins.
pub(crate) fn announce(what: &str) {
    println!("\n=== {what}");
    // Nothing is lost when stdout is gone: then nobody reads.
    let _ = std::io::stdout().flush();
}

/// A command as one would type it.
pub(crate) fn words(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Where cargo puts what it builds: the environment and `.cargo/config.toml` have a say in it.
///
/// # Errors
/// When cargo does not say.
pub(crate) fn target_directory() -> Result<PathBuf, Failure> {
    let mut command = cargo(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let json = output(&mut command).unwrap_or_default();
    let quoted = json.split_once(r#""target_directory":""#).and_then(|(_, rest)| rest.split_once('"'));
    let (path, _) =
        quoted.ok_or_else(|| Failure::Failed("cargo metadata names no target directory".into()))?;
    Ok(PathBuf::from(path))
}

fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("`{}` cannot be run: {error}", words(command)))
}
