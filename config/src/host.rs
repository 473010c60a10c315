//! A host and a port, as people write them: a DNS name or an address. Nothing is looked up here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::value::LABEL_LENGTH_MAX;

/// Longest DNS name in its text form, in bytes (RFC 1035 section 2.3.4).
pub const NAME_LENGTH_MAX: usize = 253;

/// Where something may be found: `host.example:41820`, `192.0.2.1:41820` or `[2001:db8::1]:41820`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct HostPort {
    /// A DNS name, or an address without brackets.
    pub host: String,
    /// The port; never 0.
    pub port: u16,
}

/// A text is no host with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a host is written with its port, as host.example:41820, 192.0.2.1:41820 or [2001:db8::1]:41820")]
pub struct HostPortError;

impl HostPort {
    /// The address, where it is given as one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, digits) = text.rsplit_once(':').ok_or(HostPortError)?;
        let port = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let port =
            port.and_then(|digits| digits.parse().ok()).filter(|port| *port != 0).ok_or(HostPortError)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => dialled(IpAddr::V6(inner.parse().map_err(|_| HostPortError)?)),
            None => match host.parse::<std::net::Ipv4Addr>() {
                Ok(address) => dialled(IpAddr::V4(address)),
                Err(_) => is_name(host).then(|| host.to_ascii_lowercase()),
            },
        };
        Ok(Self { host: host.ok_or(HostPortError)?, port })
    }
}

/// An address that something can be at.
fn dialled(address: IpAddr) -> Option<String> {
    (!address.is_unspecified() && !address.is_multicast()).then(|| address.to_string())
}

/// A DNS name of letters, digits and hyphens, which nobody can take for an address: its last label has a letter.
fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LABEL_LENGTH_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= NAME_LENGTH_MAX
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_str(Text)
    }
}

/// A visitor, so that the parser knows which element of a list was refused.
struct Text;

impl Visitor<'_> for Text {
    type Value = HostPort;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host with a port")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<HostPort, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_read_back() {
        for (text, host, is_address) in [
            ("host.example:41820", "host.example", false),
            ("HOST:1", "host", false),
            ("a-1.2b.example.:65535", "a-1.2b.example.", false),
            ("192.0.2.1:41820", "192.0.2.1", true),
            ("[2001:DB8::1]:41820", "2001:db8::1", true),
        ] {
            let parsed: HostPort = text.parse().unwrap();
            assert_eq!((parsed.host.as_str(), parsed.address().is_some()), (host, is_address));
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn whatever_cannot_be_dialled_is_refused() {
        let (label, name) = ("a".repeat(64), "a.".repeat(128));
        for host in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a_b",
            "a b",
            "é",
            "a\0",
            "1.2.3",
            "1.2.3.400",
            "7",
            "0.0.0.0",
            "224.0.0.1",
            "2001:db8::1",
            "[192.0.2.1]",
            "[::]",
            "[ff02::1]",
            "[fe80::1%eth0]",
            "[2001:db8::1",
            "a/b",
            &label,
            &name,
        ] {
            assert!(format!("{host}:5").parse::<HostPort>().is_err(), "{host:?}");
        }
        for text in
            ["", "host", "host:", "host:0", "host:65536", "host:+5", "host:-5", "host: 5", "host:5 ", ":5"]
        {
            assert!(text.parse::<HostPort>().is_err(), "{text:?}");
        }
    }
}
