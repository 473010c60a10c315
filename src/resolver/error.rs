//! What can go wrong with the host's DNS, each with what to do about it.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::store::StoreError;

/// Why the host's DNS was not set, or not set back. Whatever it is, the host resolves what it resolved before.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// There is no system bus to talk to the resolver by.
    #[error("the system bus ({address}) does not answer: {source}; start dbus")]
    NoBus {
        /// Where it was looked for.
        address: String,
        /// What it said.
        source: zbus::Error,
    },
    /// A service on the bus refused a call or did not answer it.
    #[error("{service} failed at {method}: {source}; `journalctl --unit {unit}` says more")]
    Call {
        /// The service's name on the bus.
        service: &'static str,
        /// What it was asked for.
        method: &'static str,
        /// Its unit.
        unit: &'static str,
        /// What it said.
        source: zbus::Error,
    },
    /// A file of the host's could not be read or written.
    #[error("cannot change {}: {source}{}", path.display(), advice(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Behind ours there would be nobody to ask.
    #[error("{} names no server but ours, which answers for the mesh alone: name the one of your network in it", path.display())]
    NoOtherServer {
        /// The file.
        path: PathBuf,
    },
    /// The servers are asked in turn.
    #[error(
        "{} has `options rotate`, by which names of the mesh would be asked of others too: take it out, or install systemd-resolved",
        path.display()
    )]
    Rotates {
        /// The file.
        path: PathBuf,
    },
    /// Two networks are there already.
    #[error(
        "{} has room for the servers of two networks: install systemd-resolved, which has no such limit",
        path.display()
    )]
    TooManyNetworks {
        /// The file.
        path: PathBuf,
    },
    /// Somebody writes it all the time, or it is larger than any resolv.conf.
    #[error("{} {what}: look who writes it, and start hopmesh again", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is the matter with it.
        what: &'static str,
    },
    /// Our DNS server does not listen where this resolver needs it to.
    #[error("there is no address of our DNS server that {resolver} could use: it needs one {place}")]
    NoServer {
        /// The host's resolver.
        resolver: &'static str,
        /// Where.
        place: &'static str,
    },
    /// `resolvconf` did not do as told.
    #[error("{} failed: {words}; `{} -l` shows what it knows", program.display(), program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What it, or the system, said.
        words: String,
    },
    /// `resolvconf` did as told, and it came to nothing.
    #[error(
        "{} was not given our server first, perhaps because a resolver on this machine or another VPN is: let that one forward the mesh's names to it",
        path.display()
    )]
    NotFirst {
        /// The file that names the servers.
        path: PathBuf,
    },
    /// The journal cannot be read.
    #[error(
        "what the last run changed for the host's DNS cannot be read and is now in {}: if lines marked `hopmesh` are in /etc/resolv.conf, or a file of that name in /etc/NetworkManager/dnsmasq.d, remove them",
        aside.display()
    )]
    JournalDamaged {
        /// Where the journal is now.
        aside: PathBuf,
    },
    /// The state directory cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to do about the errors that have a reason of their own with resolv.conf.
fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::BUSY | Errno::XDEV) => {
            "; it is mounted from outside, as in a container: give the container's own settings our DNS server"
        }
        Some(Errno::PERM | Errno::ACCESS) => {
            "; run hopmesh as root, and `chattr -i` the file if it is immutable"
        }
        _ => "",
    }
}
