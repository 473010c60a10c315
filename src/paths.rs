//! Where a network's files lie on this machine; command line and daemon must agree on it.

use std::path::{Path, PathBuf};

/// The network that is meant when none is named.
pub const DEFAULT_NETWORK: &str = "home";
/// Holds a state directory a network.
const STATE_ROOT: &str = "/var/lib/hopmesh";
/// Holds a control socket a network; emptied at boot.
const RUN_ROOT: &str = "/run/hopmesh";
/// Holds a configuration a network.
const CONFIG_ROOT: &str = "/etc/hopmesh";
/// The control socket within a state directory that was named.
const SOCKET_NAME: &str = "control.sock";

/// The paths of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Keys and what the daemon remembers; mode 0700.
    pub state_dir: PathBuf,
    /// The daemon's control socket.
    pub socket: PathBuf,
    /// The configuration that is read where none is named; need not exist.
    pub config: PathBuf,
}

impl Paths {
    /// The paths of `network` (`None`: [`DEFAULT_NETWORK`]), which must be a valid name. A `state_dir`
    /// that was named holds the control socket too, so that a test or a second network of the same
    /// name needs nothing but a directory.
    #[must_use]
    pub fn new(network: Option<&str>, state_dir: Option<&Path>) -> Self {
        let network = network.unwrap_or(DEFAULT_NETWORK);
        let config = Path::new(CONFIG_ROOT).join(format!("{network}.toml"));
        match state_dir {
            Some(directory) => {
                Self { state_dir: directory.to_owned(), socket: directory.join(SOCKET_NAME), config }
            }
            None => Self {
                state_dir: Path::new(STATE_ROOT).join(network),
                socket: Path::new(RUN_ROOT).join(format!("{network}.sock")),
                config,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_follows_a_named_state_directory() {
        let paths = Paths::new(None, None);
        assert_eq!(paths.state_dir, Path::new("/var/lib/hopmesh/home"));
        assert_eq!(paths.socket, Path::new("/run/hopmesh/home.sock"));
        assert_eq!(paths.config, Path::new("/etc/hopmesh/home.toml"));
        let paths = Paths::new(Some("lab"), None);
        assert_eq!(paths.state_dir, Path::new("/var/lib/hopmesh/lab"));
        assert_eq!(paths.socket, Path::new("/run/hopmesh/lab.sock"));
        let paths = Paths::new(Some("lab"), Some(Path::new("/tmp/x")));
        assert_eq!(paths.state_dir, Path::new("/tmp/x"));
        assert_eq!(paths.socket, Path::new("/tmp/x/control.sock"));
        assert_eq!(paths.config, Path::new("/etc/hopmesh/lab.toml"));
    }
}
