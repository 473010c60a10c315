//! Values on the command line, parsed at the edge: what is malformed here ends with exit code 2.

use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

/// Longest an invite may be good for; the daemon's own limit.
const EXPIRES_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Times to live that a lease may have.
const TTL: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(3600);
/// Longest text that can name a node: a DNS name is no longer.
const NODE_TEXT_MAX: usize = 255;

/// One DNS label, in lower case.
pub(super) fn label(text: &str) -> Result<String, String> {
    text.parse::<wire::Name>().map(|name| name.to_string()).map_err(|error| error.to_string())
}

/// What may name a node: a name, a mesh address or the beginning of an id.
pub(super) fn node(text: &str) -> Result<String, String> {
    let names = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte));
    if text.is_empty() || text.len() > NODE_TEXT_MAX || !names {
        return Err("a node is given by its name, mesh address or the beginning of its id".to_owned());
    }
    Ok(text.to_owned())
}

/// A public key of `WireGuard`: 32 bytes in base64 (RFC 4648).
pub(super) fn guest_key(text: &str) -> Result<[u8; 32], String> {
    let bytes = data_encoding::BASE64.decode(text.trim().as_bytes()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "a WireGuard key is 44 characters that end in =, as `wg pubkey` prints it".to_owned())
}

/// A prefix of a subnet, without host bits.
pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    let prefix: Option<IpNet> = text.parse().ok();
    prefix
        .filter(|prefix| prefix.trunc() == *prefix)
        .ok_or_else(|| "write a subnet like 192.168.1.0/24 or fd00:1::/64, without host bits".to_owned())
}

/// A version of a service.
pub(super) fn version(text: &str) -> Result<String, String> {
    text.parse::<wire::service::Version>()
        .map(|version| version.to_string())
        .map_err(|error| error.to_string())
}

/// A label such as zone=eu.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("write a key and its value: zone=eu".to_owned()),
    }
}

/// How long an invite is good for, at most 30 days.
pub(super) fn expires(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Some(Duration::ZERO) => Err("an invite must be good for at least one second".to_owned()),
        Some(duration) if duration <= EXPIRES_MAX => Ok(duration),
        Some(_) | None => Err("an invite is good for at most 30d".to_owned()),
    }
}

/// A time to live.
pub(super) fn ttl(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Some(duration) if TTL.contains(&duration) => Ok(duration),
        Some(_) | None => Err("a time to live is 5s to 1h".to_owned()),
    }
}

/// A time such as 30s, 10m, 1h or 7d; `None`: more than can be counted.
fn duration(text: &str) -> Result<Option<Duration>, String> {
    let malformed = || "write a number and a unit: 30s, 10m, 1h or 7d".to_owned();
    let unit_s = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 24 * 3600,
        _ => return Err(malformed()),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let seconds = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit_s));
    Ok(seconds.map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_number_and_one_unit() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("1h", 3600), ("7d", 604_800), ("30d", 2_592_000)]
        {
            assert_eq!(expires(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "1", "1w", "1h30m", "-1h", "+1h", "1.5h", " 1h", "1é", "é", "0s", "31d"] {
            assert!(expires(text).is_err(), "{text:?}");
        }
        assert!(expires("99999999999999999999d").is_err());
        assert!(expires("18446744073709551615d").is_err());
    }

    #[test]
    fn times_to_live_are_those_of_leases() {
        assert_eq!(ttl("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(ttl("1h"), Ok(Duration::from_secs(3600)));
        for text in ["0s", "4s", "61m", "60", "99999999999999999999d"] {
            assert!(ttl(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn labels_are_pairs_whose_value_may_have_anything() {
        assert_eq!(pair("zone=eu"), Ok(("zone".to_owned(), "eu".to_owned())));
        assert_eq!(pair("k=a=b"), Ok(("k".to_owned(), "a=b".to_owned())));
        assert_eq!(pair("k="), Ok(("k".to_owned(), String::new())));
        for text in ["", "zone", "=eu"] {
            assert!(pair(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nodes_are_named_by_plain_text() {
        for text in ["b", "web-1", "10.7.0.2", "fd00::2", "0f3a"] {
            assert_eq!(node(text).as_deref(), Ok(text));
        }
        for text in ["", "a b", "a\x1b", "../x", "é", &"x".repeat(256)] {
            assert!(node(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn labels_become_lower_case() {
        assert_eq!(label("Laptop").as_deref(), Ok("laptop"));
        assert!(label("a.b").is_err());
        assert!(label("../etc").is_err());
    }
}
