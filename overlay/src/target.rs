//! Where a publisher passes on what comes for a service: a host and a port. The Node keeps it, and tells it to nobody; who
//! passes on is the daemon's business.

use minicbor::{Decode, Encode};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

/// Longest name of a host in its text form, in bytes (RFC 1035 section 2.3.4).
const NAME_LENGTH_MAX: usize = 253;
/// Longest label of it, in bytes.
const LABEL_LENGTH_MAX: usize = 63;

/// A host that runs nothing of ours, and its port. Its text is `printer.office:631`, `192.0.2.9:631` or
/// `[2001:db8::9]:631`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    host: Host,
    port: NonZeroU16,
}

/// A host as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// By an address that one machine can have.
    Address(IpAddr),
    /// By a name in lower case, for the resolver of the machine that passes on.
    Name(String),
}

/// Why a text is no [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a host with a port.
    #[error(
        "a target is a host with a port from 1 to 65535, as printer.office:631, 192.0.2.9:631 or [2001:db8::9]:631"
    )]
    Form,
    /// An address that is no machine's.
    #[error("{0} is no machine's address: give the one that the host has")]
    NoMachine(IpAddr),
    /// An address that needs an interface to mean anything.
    #[error(
        "{0} means a machine on one link only, and no link can be given: give another address of the host, or its name"
    )]
    LinkLocal(IpAddr),
}

impl Target {
    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.get()
    }
}

/// `address` as a machine can have it, an IPv4 address within IPv6 as the former.
///
/// # Errors
/// When it is no machine's: unspecified, multicast, broadcast, or without a meaning off its link.
pub fn machine_address(address: IpAddr) -> Result<IpAddr, TargetError> {
    let address = address.to_canonical();
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    if address.is_unspecified() || address.is_multicast() || is_broadcast {
        return Err(TargetError::NoMachine(address));
    }
    if matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return Err(TargetError::LinkLocal(address));
    }
    Ok(address)
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (host, port) = text.rsplit_once(':').ok_or(TargetError::Form)?;
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = Some(port).filter(|_| is_number).and_then(|port| port.parse().ok());
        let port = port.ok_or(TargetError::Form)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => {
                let address = v6.parse().map_err(|_| TargetError::Form)?;
                Host::Address(machine_address(IpAddr::V6(address))?)
            }
            None => match host.parse() {
                Ok(address) => Host::Address(machine_address(IpAddr::V4(address))?),
                Err(_) if is_name(host) => Host::Name(host.to_ascii_lowercase()),
                Err(_) => return Err(TargetError::Form),
            },
        };
        Ok(Self { host, port })
    }
}

/// Labels with dots between, of letters, digits, and inner hyphens or underscores; the last one has a letter, so that
/// nobody takes the whole for an address.
fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let length = (1..=LABEL_LENGTH_MAX).contains(&label.len());
        inner && length && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= NAME_LENGTH_MAX && text.split('.').all(is_label) && !is_number
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.host {
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{port}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{port}"),
            Host::Name(name) => write!(f, "{name}:{port}"),
        }
    }
}

impl<C> Encode<C> for Target {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.to_string())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Target {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(|_| minicbor::decode::Error::message("not a target"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_back_from_text_and_from_bytes() {
        for (text, again) in [
            ("192.0.2.9:631", "192.0.2.9:631"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[2001:DB8::9]:65535", "[2001:db8::9]:65535"),
            ("[::ffff:192.0.2.9]:80", "192.0.2.9:80"),
            ("Printer:80", "printer:80"),
            ("nas_1.office.example.:445", "nas_1.office.example.:445"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), again);
            let bytes = wire::cbor::encode(&target);
            assert_eq!(wire::cbor::decode::<Target>(&bytes), Ok(target));
        }
    }

    #[test]
    fn what_is_no_machine_is_refused() {
        let refused = |text: &str| text.parse::<Target>().unwrap_err();
        let (label, name) = ("a".repeat(64), "a.".repeat(128));
        for host in ["", ".", "a..b", "-a", "a-", "a b", "é", "a\0", "1.2.3", "7", "2001:db8::1", "[1.2.3.4]"]
        {
            assert_eq!(refused(&format!("{host}:5")), TargetError::Form, "{host:?}");
        }
        for host in ["[fe80::1%eth0]", "[2001:db8::1", "a/b", &label, &name] {
            assert_eq!(refused(&format!("{host}:5")), TargetError::Form, "{host:?}");
        }
        for text in ["", "host", "host:", "host:0", "host:65536", "host:+5", "host: 5", ":5"] {
            assert_eq!(refused(text), TargetError::Form, "{text:?}");
        }
        for host in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "[::]", "[ff02::1]", "[::ffff:0.0.0.0]"] {
            assert!(matches!(refused(&format!("{host}:5")), TargetError::NoMachine(_)), "{host:?}");
        }
        assert!(matches!(refused("[fe80::1]:5"), TargetError::LinkLocal(_)));
    }
}
