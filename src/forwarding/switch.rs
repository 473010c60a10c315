//! The kernel's switches for forwarding, one a family. Both are of the network namespace.
//!
//! Each changes others, which are set back with it (`ip-sysctl.rst` of the kernel): that of every interface, and whether
//! redirects are heeded. A machine that forwards IPv6 takes no router advertisements unless it is told to, and would
//! lose its own default route: so it is told to, wherever it took them before.

use minicbor::{Decode, Encode};
use std::fs;
use std::path::{Path, PathBuf};

use super::error::ForwardingError;

const IPV4: &str = "/proc/sys/net/ipv4/ip_forward";
const IPV4_INTERFACES: &str = "/proc/sys/net/ipv4/conf";
const IPV4_REDIRECTS: &str = "/proc/sys/net/ipv4/conf/all/accept_redirects";
const IPV6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
const IPV6_INTERFACES: &str = "/proc/sys/net/ipv6/conf";

/// Whether the kernel has IPv6, so that it could be forwarded.
#[must_use]
pub fn has_ipv6() -> bool {
    Path::new(IPV6).exists()
}

/// A family's switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    V4,
    V6,
}

impl Switch {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn is_ipv4(self) -> bool {
        self == Self::V4
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::V4 => IPV4,
            Self::V6 => IPV6,
        }
    }

    /// Whether the kernel forwards already.
    pub(super) fn is_on(self) -> Result<bool, ForwardingError> {
        Ok(read(Path::new(self.path()))? != "0")
    }

    /// Files that [`Switch::turn_on`] changes, and what they hold now, the switch itself last: set back in the opposite
    /// order, what it changes with it comes after it.
    pub(super) fn changes(self) -> Result<Vec<(String, String)>, ForwardingError> {
        let change = |path: PathBuf| Ok((path.display().to_string(), read(&path)?));
        let mut changes: Vec<PathBuf> = match self {
            Self::V4 => with_one(IPV4_INTERFACES, "forwarding").chain([IPV4_REDIRECTS.into()]).collect(),
            Self::V6 => with_one(IPV6_INTERFACES, "forwarding").chain(taking_advertisements()).collect(),
        };
        changes.push(self.path().into());
        changes.into_iter().map(change).collect()
    }

    /// Has the kernel forward.
    pub(super) fn turn_on(self) -> Result<(), ForwardingError> {
        if self == Self::V6 {
            taking_advertisements().try_for_each(|path| set(&path, "2"))?;
        }
        set(Path::new(self.path()), "1")
    }
}

/// The switch by which a kernel that checks whence packets come (`rp_filter`) heeds their marks in that.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Mark {
    /// What it held.
    #[n(0)]
    before: String,
}

impl Mark {
    const PATH: &str = "/proc/sys/net/ipv4/conf/all/src_valid_mark";

    /// The switch, where it is off and an interface is checked strictly (RFC 3704); nothing where it need not be set.
    ///
    /// # Errors
    /// [`ForwardingError::Switch`].
    pub fn needed() -> Result<Option<Self>, ForwardingError> {
        let before = read(Path::new(Self::PATH))?;
        let is_strict = with_one(IPV4_INTERFACES, "rp_filter").next().is_some();
        Ok((is_strict && before == "0").then_some(Self { before }))
    }

    /// Has marks heeded.
    ///
    /// # Errors
    /// [`ForwardingError::Switch`].
    pub fn turn_on(&self) -> Result<(), ForwardingError> {
        set(Path::new(Self::PATH), "1")
    }

    /// Sets it back.
    ///
    /// # Errors
    /// [`ForwardingError::Switch`].
    pub fn turn_back(&self) -> Result<(), ForwardingError> {
        set(Path::new(Self::PATH), &self.before)
    }
}

/// Where it says that an interface takes router advertisements unless it forwards.
fn taking_advertisements() -> impl Iterator<Item = PathBuf> {
    with_one(IPV6_INTERFACES, "accept_ra")
}

/// The files of this name for those interfaces of which it holds 1.
fn with_one(interfaces: &str, name: &'static str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(interfaces).into_iter().flatten();
    let files = entries.filter_map(move |entry| Some(entry.ok()?.path().join(name)));
    files.filter(|path| read(path).is_ok_and(|value| value == "1"))
}

fn read(path: &Path) -> Result<String, ForwardingError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(source) => Err(ForwardingError::Switch { path: path.to_owned(), source }),
    }
}

/// Sets a switch. That of an interface that has gone is as good as set.
pub(super) fn set(path: &Path, value: &str) -> Result<(), ForwardingError> {
    match fs::write(path, value) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(|source| ForwardingError::Switch { path: path.to_owned(), source }),
    }
}
