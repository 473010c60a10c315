//! The program `resolvconf`, Debian's or openresolv: a record of ours puts our server before all others.
//!
//! Both take other servers out beside a loopback address, which would leave the host with ours alone: so ours is one of
//! the mesh. After a kill -9 it is silent, and until the record is taken back names take one time-out longer.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::error::ResolverError;
use super::host::Host;
use super::journal::{self, Undo};
use super::limits::{PROGRAM_WAIT, WORDS_LENGTH_MAX};
use super::plan::Plan;
use crate::io::program::first_words;
use crate::store::StateDirectory;

pub(super) async fn apply(host: &Host, plan: &Plan, state: &StateDirectory) -> Result<(), ResolverError> {
    let place = "on an address of the mesh";
    let server = plan.mesh_server().ok_or(ResolverError::NoServer { resolver: "resolvconf", place })?;
    let Some(program) = host.resolvconf() else { return Ok(()) };
    let name = record(&plan.interface);
    journal::write(state, &Undo::Record { name: name.clone() })?;
    run(&program, &["-a", &name], &format!("nameserver {server}\n")).await?;
    let servers = host.servers();
    let path = host.resolv_conf();
    match servers.first() {
        Some(first) if *first != server => Err(ResolverError::NotFirst { path }),
        Some(_) if servers.len() == 1 => Err(ResolverError::NoOtherServer { path }),
        Some(_) => Ok(()),
        None => Err(ResolverError::NotFirst { path }),
    }
}

pub(super) async fn undo(host: &Host, name: &str) -> Result<(), ResolverError> {
    // With the program, its records have gone from the host.
    let Some(program) = host.resolvconf() else { return Ok(()) };
    // openresolv is not to mind when there is none; Debian's reads no further than the name.
    run(&program, &["-d", name, "-f"], "").await
}

/// Both put records that begin so before those of networks, unless they were told another order; a metric would put
/// ours last with openresolv.
fn record(interface: &str) -> String {
    format!("vpn.{interface}")
}

async fn run(program: &Path, arguments: &[&str], input: &str) -> Result<(), ResolverError> {
    let failed = |words: String| ResolverError::Program { program: program.to_owned(), words };
    let output = match timeout(PROGRAM_WAIT, output(program.to_owned(), arguments, input)).await {
        Ok(output) => output.map_err(|error| failed(error.to_string()))?,
        Err(_) => return Err(failed(format!("no end after {} s", PROGRAM_WAIT.as_secs()))),
    };
    if output.status.success() {
        return Ok(());
    }
    Err(failed(first_words(&String::from_utf8_lossy(&output.stderr), WORDS_LENGTH_MAX)))
}

async fn output(program: PathBuf, arguments: &[&str], input: &str) -> std::io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    // A program that reads nothing may be gone already; what counts is how it ends.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await
}
