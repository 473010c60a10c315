//! The daemon: where the pure Node meets sockets, TUN, files and clock.
//!
//! ```text
//!              ┌──────────── control thread (tokio, current-thread) ────────────┐
//!  CLI ─gRPC─▶ │ requests ─▶                                    ─▶ state files  │
//!              │             driver ⇄ overlay::Node             ─▶ netlink      │
//!              └─────▲───────────┬───────────────────────────────────┬──────────┘
//!         slow input │           │ tables (arc-swap), packets        │ UDP
//!              ┌─────┴───────────▼──────────────────┐                │
//!  apps ─TUN─▶ │ worker threads: fast path          │ ─────────UDP───┴─────▶ peers
//!              └────────────────────────────────────┘
//! ```
//!
//! [`run`] goes through `start` (locks, sockets, TUN, membership), starts the workers, and lives in `driver`.

mod asks;
mod discovery;
mod driver;
mod enrol;
mod events;
mod exit;
mod guests;
mod machine;
mod metrics;
mod names;
mod outside;
mod progress;
mod reload;
mod report;
mod requests;
mod routes;
mod services;
mod start;
mod state;
mod supervisor;
mod worker;

pub use progress::Progress;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use overlay::state::StateFile;
use tokio::runtime::{Builder, Runtime};

use crate::forwarding;
use crate::io::host;
use crate::paths::Paths;
use crate::resolver::{Host, restore};
use crate::store::StateDirectory;

/// How a node comes up.
pub enum Launch {
    /// With the state it has, creating a network where there is none.
    Up,
    /// By an invite.
    Join {
        /// The line of text.
        invite: String,
    },
}

/// What the daemon runs on.
pub struct LaunchParams {
    /// Name of the network; `None`: not given.
    pub network: Option<String>,
    /// State directory; `None`: not given.
    pub state_dir: Option<PathBuf>,
    /// Settings.
    pub settings: config::Settings,
    /// The name that this machine wants in a network that it creates or joins; `None`: the host name.
    pub node_name: Option<String>,
    /// How.
    pub launch: Launch,
    /// Where settings come from, once more.
    pub source: Source,
}

/// Where the configuration comes from while a node runs.
pub struct Source {
    /// Reads it again; the error is a sentence for people.
    pub read: Box<dyn Fn() -> Result<config::Settings, String>>,
    /// Sets how much is logged from now on.
    pub set_log_level: fn(config::LogLevel),
}

/// What came up.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Name of the network.
    pub network_name: String,
    /// Id of the network.
    pub network_id: String,
    /// Prefix of the IPv4 mesh addresses.
    pub ipv4_range: String,
    /// Prefix of the IPv6 mesh addresses.
    pub ipv6_prefix: String,
    /// Name of the node.
    pub node_name: String,
    /// Id of the node.
    pub node_id: String,
    /// Mesh addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Roles.
    pub roles: Vec<String>,
    /// Interface name.
    pub interface: String,
    /// Interface MTU in bytes.
    pub mtu: u32,
    /// UDP sockets.
    pub listen: Vec<SocketAddr>,
    /// For a new network: an invite.
    pub invite: Option<String>,
}

/// Validity of the invite that a new network comes with.
pub const FIRST_INVITE_LIFE: Duration = Duration::from_secs(3600);

/// Runs the node until it goes down, by a signal or a command. `on_progress` is told the steps until it is up, `on_ready`
/// is called once, when the interface is up.
///
/// # Errors
/// Everything that keeps a node from coming up, as one sentence that says what to do.
pub fn run(
    params: LaunchParams,
    on_progress: &mut dyn FnMut(&Progress),
    on_ready: impl FnOnce(&Ready),
) -> anyhow::Result<()> {
    to_its_end(async {
        let started = start::start(params, on_progress).await?;
        driver::run(started, on_ready).await
    })
}

/// Makes this machine a member, by [`Launch`], and stops before the node goes up: another process will run it.
///
/// # Errors
/// As [`run`].
pub fn prepare(params: LaunchParams, on_progress: &mut dyn FnMut(&Progress)) -> anyhow::Result<()> {
    to_its_end(async { start::start(params, on_progress).await.map(drop) })
}

/// Does what needs the node's keys, on this thread.
fn to_its_end(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    host::protect_memory().context("cannot keep keys out of core files")?;
    host::raise_descriptor_limit();
    let runtime = runtime()?;
    let outcome = runtime.block_on(work);
    // A look-up of a name that nobody answers would hold us up for half a minute.
    runtime.shutdown_background();
    outcome
}

/// Is this machine a member by this state directory, or was it when somebody last looked? Needs no right but to pass it.
#[must_use]
pub fn is_member(state_dir: &Path) -> bool {
    state::store_file(StateFile::Network).path_in(state_dir).exists()
}

/// Gives up the membership of a node that is not running: its keys are overwritten and removed. The other nodes are not
/// told; an admin may revoke it.
///
/// # Errors
/// When there is no membership, when it holds the root key and `force` is not given, or when a file cannot be removed.
pub fn leave_offline(state_dir: &Path, force: bool) -> anyhow::Result<()> {
    if !state_dir.exists() {
        anyhow::bail!("this machine is no member: there is no state in {}", state_dir.display());
    }
    StateDirectory::take_over(state_dir)?;
    let directory = StateDirectory::open(state_dir)?;
    if !force {
        match state::load(&directory)? {
            Some(loaded) if loaded.network.root.is_some() => {
                return Err(overlay::CommandError::LastRoot.into());
            }
            Some(_) | None => {}
        }
    }
    // What a run that was killed has changed on the machine is written here and nowhere else.
    undo_changes(&directory)?;
    open_exit_of(&directory)?;
    let wiped = directory.wipe()?;
    if !wiped.left.is_empty() {
        tracing::warn!(left = ?wiped.left, "files in the state directory that are not ours were left");
    }
    Ok(())
}

/// Undoes what a node that was killed has left on this machine, and says whether there was anything.
///
/// # Errors
/// When the node runs, or something cannot be undone.
pub fn restore_host(state_dir: &Path) -> anyhow::Result<bool> {
    if !has_entries(state_dir) {
        return Ok(false);
    }
    undo_changes(&StateDirectory::open(state_dir)?)
}

/// Lets all traffic of this machine leave as it did before an exit was chosen, while the node does not run, and says whether there
/// was one.
///
/// # Errors
/// When the node runs, or the guard cannot be opened.
pub fn open_exit(state_dir: &Path) -> anyhow::Result<bool> {
    if !has_entries(state_dir) {
        return Ok(false);
    }
    // A service's node has a user of its own, who gets the directory back when it is started again.
    if host::effective_uid() == 0 {
        StateDirectory::take_over(state_dir)?;
    }
    open_exit_of(&StateDirectory::open(state_dir)?)
}

/// Has nothing of this machine leave beside the exit that was chosen, while the node does not run, and says whether there was one.
///
/// # Errors
/// When the node runs, or the guard cannot be closed.
pub fn close_exit(state_dir: &Path) -> anyhow::Result<bool> {
    if !has_entries(state_dir) {
        return Ok(false);
    }
    let directory = StateDirectory::open(state_dir)?;
    Ok(runtime()?.block_on(crate::exit::close_again(&directory))?)
}

/// Whether there is any state. No lock is made in a directory that somebody has just left.
fn has_entries(state_dir: &Path) -> bool {
    state_dir.read_dir().is_ok_and(|mut entries| entries.next().is_some())
}

/// What runs futures where no node runs.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn open_exit_of(directory: &StateDirectory) -> anyhow::Result<bool> {
    Ok(runtime()?.block_on(crate::exit::open(directory))?)
}

/// Undoes what a run that was killed has changed on this machine, and says whether there was anything.
fn undo_changes(directory: &StateDirectory) -> anyhow::Result<bool> {
    runtime()?.block_on(async {
        // Whatever one of them cannot undo, the other may.
        let (names, routes) =
            (restore(&Host::default(), directory).await, forwarding::restore(directory).await);
        Ok(names? | routes?)
    })
}

/// A sentence that begins with a capital letter.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The paths of a launch; an invite names its network when the command line does not.
fn paths_of(params: &LaunchParams, network: Option<&str>) -> Paths {
    Paths::new(params.network.as_deref().or(network), params.state_dir.as_deref())
}
