//! The daemon.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

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
    /// Name wanted.
    pub node_name: Option<String>,
    /// How.
    pub launch: Launch,
}

/// What came up.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Name of the network.
    pub network_name: String,
    /// Id of the network in hexadecimal.
    pub network_id: String,
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

/// Runs the node until it goes down.
pub fn run(_params: LaunchParams, _on_ready: impl FnOnce(&Ready)) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}

/// Gives up membership without a running daemon.
pub fn leave_offline(_state_dir: &Path, _force: bool) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
