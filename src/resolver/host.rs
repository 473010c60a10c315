//! Where the host keeps what we look at: the real places, or those of a test.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::text;

/// The programs of that name that Debian, Arch and Alpine have.
const RESOLVCONF: [&str; 4] =
    ["usr/sbin/resolvconf", "sbin/resolvconf", "usr/bin/resolvconf", "bin/resolvconf"];

/// A host: the root of its files, and its system bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What is `/` to it.
    pub root: PathBuf,
    /// The system bus, as D-Bus writes addresses.
    pub bus: String,
}

impl Default for Host {
    /// This one.
    fn default() -> Self {
        Self { root: "/".into(), bus: "unix:path=/run/dbus/system_bus_socket".into() }
    }
}

impl Host {
    pub(super) fn resolv_conf(&self) -> PathBuf {
        self.root.join("etc/resolv.conf")
    }

    /// What the C library finds in resolv.conf; `None` where there is none, or its link leads nowhere.
    pub(super) fn resolv_conf_text(&self) -> Option<Vec<u8>> {
        let path = self.resolv_conf();
        match fs::read_link(&path) {
            // Absolute links are meant from the host's root; it is `/` but in tests.
            Ok(target) if target.is_absolute() => fs::read(self.inside(&target)).ok(),
            Ok(_) | Err(_) => fs::read(path).ok(),
        }
    }

    /// The servers that the C library asks, in order.
    pub(crate) fn servers(&self) -> Vec<IpAddr> {
        self.resolv_conf_text().map_or(vec![], |text| text::servers(&text).collect())
    }

    /// Whether the C library asks systemd-resolved itself, by its own protocol.
    pub(super) fn has_nss_resolve(&self) -> bool {
        let switch = fs::read_to_string(self.root.join("etc/nsswitch.conf")).unwrap_or_default();
        let hosts = switch.lines().find_map(|line| line.trim_start().strip_prefix("hosts:"));
        hosts.is_some_and(|sources| sources.split_ascii_whitespace().any(|source| source == "resolve"))
    }

    /// Where NetworkManager's dnsmasq looks for further settings.
    pub(super) fn dnsmasq_directory(&self) -> PathBuf {
        self.root.join("etc/NetworkManager/dnsmasq.d")
    }

    /// The program `resolvconf`, unless it is systemd's own under that name.
    pub(super) fn resolvconf(&self) -> Option<PathBuf> {
        let is_resolvectl = |path: &Path| {
            fs::read_link(path)
                .is_ok_and(|target| target.file_name().is_some_and(|name| name == "resolvectl"))
        };
        let found = RESOLVCONF.iter().map(|path| self.root.join(path)).find(|path| path.exists());
        found.filter(|path| !is_resolvectl(path))
    }

    fn inside(&self, absolute: &Path) -> PathBuf {
        self.root.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }
}
