//! How names are resolved on this host, and why a host's DNS is left alone.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::bus::Bus;
use super::host::Host;
use super::{network_manager, resolved};

/// Where systemd-resolved's stub listens.
const STUBS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 54))];
/// Where /etc/resolv.conf leads when systemd-resolved is meant, and it may not run.
const STUB_FILES: [&str; 2] = ["systemd/resolve/stub-resolv.conf", "lib/systemd/resolv.conf"];
/// Where it leads when systemd-resolved is passed by.
const UPLINK_FILE: &str = "systemd/resolve/resolv.conf";
/// What both programs of the name `resolvconf` leave: Debian's in the link, openresolv in the file.
const RESOLVCONF: &str = "resolvconf";

/// Words in the comments of a resolv.conf that somebody writes, and who that is.
const WRITERS: [(&str, &str); 7] = [
    ("networkmanager", "NetworkManager"),
    ("resolvconf", "resolvconf"),
    ("systemd-resolved", "systemd-resolved"),
    ("dhcpcd", "dhcpcd"),
    ("connman", "ConnMan"),
    ("netconfig", "netconfig"),
    ("wsl", "WSL"),
];

/// What resolves names on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// systemd-resolved.
    Resolved,
    /// NetworkManager's dnsmasq.
    NetworkManager,
    /// The C library, by a file that `resolvconf` writes.
    Resolvconf,
    /// The C library, by a file that nobody manages.
    File,
    /// Something that is left alone.
    Nothing(Obstacle),
}

/// Why a host's DNS is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// systemd-resolved is meant to resolve names and does not answer.
    ResolvedSilent,
    /// systemd-resolved runs, and programs do not ask it.
    ResolvedBypassed,
    /// Somebody else writes the file.
    Managed {
        /// Who.
        by: &'static str,
    },
    /// The file is a link to a place that we do not know.
    Link {
        /// Where it leads.
        target: PathBuf,
    },
    /// There is no file.
    Missing,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResolvedSilent => f.write_str(
                "/etc/resolv.conf leads to systemd-resolved, which does not answer: `systemctl start systemd-resolved`",
            ),
            Self::ResolvedBypassed => f.write_str(
                "/etc/resolv.conf leads past systemd-resolved: `ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf`",
            ),
            Self::Managed { by: "NetworkManager" } => f.write_str(
                "/etc/resolv.conf is managed by NetworkManager: install systemd-resolved, or put `dns=dnsmasq` into its configuration",
            ),
            Self::Managed { by } => {
                write!(f, "/etc/resolv.conf is managed by {by}: install systemd-resolved")
            }
            Self::Link { target } => write!(
                f,
                "/etc/resolv.conf leads to {}, which hopmesh does not know: install systemd-resolved",
                target.display()
            ),
            Self::Missing => f.write_str(
                "there is no /etc/resolv.conf: name your network's DNS server in one, or install systemd-resolved",
            ),
        }
    }
}

/// What resolves names on `host`.
pub(super) async fn detect(host: &Host) -> Kind {
    let link = fs::read_link(host.resolv_conf()).ok();
    let leads_to = |place: &str| link.as_ref().is_some_and(|link| link.to_string_lossy().contains(place));
    let servers = host.servers();
    let bus = Bus::connect(host).await.ok();

    let to_stub = STUB_FILES.into_iter().any(leads_to) || servers.iter().any(|server| STUBS.contains(server));
    if to_stub || leads_to(UPLINK_FILE) {
        let answers = if let Some(bus) = &bus { resolved::answers(bus).await } else { false };
        return match answers {
            true if to_stub || host.has_nss_resolve() => Kind::Resolved,
            true => Kind::Nothing(Obstacle::ResolvedBypassed),
            false => Kind::Nothing(Obstacle::ResolvedSilent),
        };
    }
    if let Some(bus) = &bus
        && servers.iter().any(IpAddr::is_loopback)
        && network_manager::has_dnsmasq(bus).await
    {
        return Kind::NetworkManager;
    }
    let Some(text) = host.resolv_conf_text() else {
        return Kind::Nothing(link.map_or(Obstacle::Missing, |target| Obstacle::Link { target }));
    };
    let writer = writer(&text);
    if host.resolvconf().is_some() && (leads_to(RESOLVCONF) || writer == Some(RESOLVCONF)) {
        return Kind::Resolvconf;
    }
    match (writer, link) {
        (Some(by), _) => Kind::Nothing(Obstacle::Managed { by }),
        (None, Some(target)) => Kind::Nothing(Obstacle::Link { target }),
        (None, None) => Kind::File,
    }
}

/// Who says in a comment of the file that it is theirs.
fn writer(text: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let says_so =
        |line: &str| line.contains("generated") || line.contains("managed") || line.contains("dynamic");
    let claims = |line: &&str| line.starts_with(['#', ';']) && says_so(line);
    let claim = |line: &str| WRITERS.into_iter().find(|(word, _)| line.contains(word));
    text.lines().filter(claims).find_map(claim).map(|(_, writer)| writer)
}

#[cfg(test)]
mod tests;
