//! Takes out of a text what its reader must not learn: secrets, public addresses, hardware addresses, hosts.
//!
//! Pure. The same thing gets the same mask throughout a text, so that what belongs together is still seen. Private,
//! loopback and mesh addresses stay. **Invariant:** what looks like a secret is masked; a mask too many does no harm.

mod scan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use scan::Piece;

/// Begins every invite.
const INVITE: &str = "hopmesh1";

/// What is masked besides what every text has masked.
#[derive(Debug, Clone)]
pub struct Redactor {
    /// Hosts, in lower case, the longest first, so that none hides a part of another.
    hosts: Vec<String>,
    mesh: Vec<IpNet>,
}

/// Masks that were given out, by kind and by what is behind them.
#[derive(Debug, Default)]
struct Masks(BTreeMap<&'static str, BTreeMap<String, usize>>);

impl Masks {
    fn of(&mut self, kind: &'static str, hidden: String) -> String {
        let known = self.0.entry(kind).or_default();
        let next = known.len() + 1;
        format!("{kind}-{}", known.entry(hidden).or_insert(next))
    }
}

impl Redactor {
    /// Masks `hosts` wherever they stand, and leaves addresses in the prefixes of `mesh` alone.
    pub fn new(hosts: impl IntoIterator<Item = String>, mesh: impl IntoIterator<Item = IpNet>) -> Self {
        let is_name = |host: &String| !host.is_empty() && host.parse::<IpAddr>().is_err();
        let hosts = hosts.into_iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase());
        let mut hosts: Vec<String> = hosts.filter(is_name).collect();
        hosts.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        hosts.dedup();
        Self { hosts, mesh: mesh.into_iter().collect() }
    }

    /// `text` with masks.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        let mut masks = Masks::default();
        let mut masked = String::with_capacity(text.len());
        for piece in scan::pieces(text, &self.hosts) {
            match piece {
                Piece::Plain(text) => masked += text,
                Piece::Host(host) => masked += &masks.of("host", host.to_ascii_lowercase()),
                Piece::Secret(secret) if secret.to_ascii_lowercase().contains(INVITE) => {
                    masked += &masks.of("invite", secret.to_ascii_lowercase());
                }
                Piece::Secret(secret) => masked += &masks.of("secret", secret.to_owned()),
                Piece::Mac(mac) => {
                    masked += &masks.of("mac", mac.to_ascii_lowercase().replace('-', ":"));
                }
                Piece::Address(address, written) => match self.kind(address) {
                    Some(kind) => masked += &masks.of(kind, address.to_canonical().to_string()),
                    None => masked += written,
                },
            }
        }
        masked
    }

    /// How an address is masked; `None`: it stays.
    fn kind(&self, address: IpAddr) -> Option<&'static str> {
        let address = address.to_canonical();
        if self.mesh.iter().any(|prefix| prefix.contains(&address)) {
            return None;
        }
        match address {
            IpAddr::V4(ip) => {
                let [first, second, ..] = ip.octets();
                let is_shared = first == 100 && (64..128).contains(&second);
                // A mask of a network, or a version of a program.
                let is_none = first == 0 || ip.is_broadcast() || (first == 255 && second == 255);
                let stays = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast();
                (!(stays || is_shared || is_none)).then_some("public-v4")
            }
            IpAddr::V6(ip) => {
                let stays = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
                let is_local = ip.is_unique_local() || ip.is_unicast_link_local();
                match (stays, is_local, has_mac(ip)) {
                    (true, _, _) | (false, true, false) => None,
                    (false, true, true) => Some("local-v6"),
                    (false, false, _) => Some("public-v6"),
                }
            }
        }
    }
}

/// Whether the last half was made from a hardware address (EUI-64), which it would give away.
fn has_mac(ip: Ipv6Addr) -> bool {
    let octets = ip.octets();
    octets[11..13] == [0xff, 0xfe]
}
