//! What each value may be. A refusal here says nothing by itself: [`crate::key::KEYS`] has the words.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use ipnet::{IpNet, Ipv4Net};
use serde::de::{Deserialize, Deserializer, Error};

use crate::host::HostPort;

/// Longest name of a node, in bytes: one DNS label (RFC 1035 section 2.3.4).
pub const LABEL_LENGTH_MAX: usize = 63;
/// Longest name of a network interface, in bytes: Linux's `IFNAMSIZ` less the closing NUL.
pub const INTERFACE_NAME_LENGTH_MAX: usize = 15;
/// Smallest MTU, in bytes: the least that carries IPv6 (RFC 8200 section 5).
pub const MTU_MIN: u16 = 1280;
/// Largest MTU, in bytes: what a UDP datagram over IPv4 can hold (65507), less our header and tag (32).
pub const MTU_MAX: u16 = 65475;
/// Most threads that move packets: each has a queue, sockets and buffers.
pub const WORKERS_MAX: NonZeroUsize = NonZeroUsize::new(16).expect("it is not zero");
/// Shortest prefix of an IPv4 range: a whole /8 is more than any network needs.
pub const PREFIX_LENGTH_MIN: u8 = 8;
/// Longest prefix of an IPv4 range: the least in which two machines have an address each.
pub const PREFIX_LENGTH_MAX: u8 = 30;
/// Shortest time to a rekey, in seconds: below it, nodes far apart would do nothing else.
pub const REKEY_AFTER_S_MIN: u64 = 2;
/// Longest time to a rekey, in seconds: keys older than 180 s are refused, and a rekey needs time to succeed.
pub const REKEY_AFTER_S_MAX: u64 = 120;
/// Most addresses a node advertises by hand: others probe no more than this of one kind.
pub const ADVERTISE_LENGTH_MAX: usize = 6;
/// Most seeds: each is resolved again and again, and asked.
pub const SEEDS_LENGTH_MAX: usize = 16;
/// Most nodes by which the DHT is entered: each of them is asked at every start.
pub const BOOTSTRAP_LENGTH_MAX: usize = 8;

/// Most STUN servers: three are enough to know a NAT by, and each is asked every 25 s.
pub const STUN_SERVERS_LENGTH_MAX: usize = 8;
/// Most prefixes in which routes are taken: each route is compared with all of them.
const ACCEPT_LENGTH_MAX: usize = 64;
/// Most addresses where names are answered: each is two sockets.
pub const DNS_LISTEN_LENGTH_MAX: usize = 8;
/// Fewest records that a node may be told to hold: with all that members may publish each record still has two holders.
const FULL_REPLICATION_MIN: usize = 1000;
/// And most: half a gigabyte of memory.
const FULL_REPLICATION_MAX: usize = 1_000_000;
/// Longest suffix of names, in bytes: names below it must fit DNS.
const SUFFIX_LENGTH_MAX: usize = 63;
/// Longest version of a service, in bytes: what a record has room for beside the name.
pub const VERSION_LENGTH_MAX: usize = 16;
/// Most labels of a service: each goes to every member.
pub const LABELS_LENGTH_MAX: usize = 16;
/// Longest key of a label, in bytes: as a DNS label.
pub const LABEL_KEY_LENGTH_MAX: usize = 63;
/// Longest value of a label, in bytes: key and value are one string of a TXT record, which has 255.
pub const LABEL_VALUE_LENGTH_MAX: usize = 191;
/// Longest path of a health check, in bytes: a request stays one small segment.
pub const HEALTH_PATH_LENGTH_MAX: usize = 255;
/// Shortest time to live, in seconds: a renewal comes several times within it, to everybody.
pub const TTL_S_MIN: u32 = 5;
/// Longest time to live, in seconds: so long a crash may lead others astray.
pub const TTL_S_MAX: u32 = 3600;
/// Most nodes that are named to share a name with; more is what `any` is for.
pub const WITH_LENGTH_MAX: usize = 24;
/// Longest DNS name, in bytes, as text (RFC 1035 section 2.3.4).
const DNS_NAME_LENGTH_MAX: usize = 253;

pub(crate) fn label<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(input)?;
    allowed(is_label(&text), Some(text))
}

pub(crate) fn interface_name<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(input)?;
    // Linux refuses '/', ':' and white space, and reads '%' as a pattern (net/core/dev.c, dev_valid_name).
    let inner = text.bytes().all(|b| b.is_ascii_graphic() && !b"/:%".contains(&b));
    let length = (1..=INTERFACE_NAME_LENGTH_MAX).contains(&text.len());
    allowed(inner && length && text != "." && text != "..", Some(text))
}

pub(crate) fn mtu<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u16>, D::Error> {
    let mtu = u16::deserialize(input)?;
    allowed((MTU_MIN..=MTU_MAX).contains(&mtu), Some(mtu))
}

pub(crate) fn workers<'de, D: Deserializer<'de>>(input: D) -> Result<Option<NonZeroUsize>, D::Error> {
    let workers = NonZeroUsize::deserialize(input)?;
    allowed(workers <= WORKERS_MAX, Some(workers))
}

pub(crate) fn accept<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<IpNet>, D::Error> {
    let list: Vec<IpNet> = Vec::deserialize(input)?;
    allowed(list.iter().all(|prefix| prefix.trunc() == *prefix) && list.len() <= ACCEPT_LENGTH_MAX, list)
}

pub(crate) fn full_replication_max<'de, D: Deserializer<'de>>(input: D) -> Result<usize, D::Error> {
    let records = usize::deserialize(input)?;
    allowed((FULL_REPLICATION_MIN..=FULL_REPLICATION_MAX).contains(&records), records)
}

pub(crate) fn ipv4_range<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Ipv4Net>, D::Error> {
    let range: Ipv4Net = String::deserialize(input)?.parse().map_err(Error::custom)?;
    let length = (PREFIX_LENGTH_MIN..=PREFIX_LENGTH_MAX).contains(&range.prefix_len());
    let first = range.network();
    // 0/8 and 127/8 never leave a machine; 224/4 and 240/4 are multicast and reserved (RFC 6890).
    let usable = !matches!(first.octets()[0], 0 | 127 | 224..);
    allowed(length && usable && first == range.addr(), Some(range))
}

pub(crate) fn advertise<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<SocketAddr>, D::Error> {
    let list = Vec::<SocketAddr>::deserialize(input)?;
    allowed(list.iter().all(is_dialable) && list.len() <= ADVERTISE_LENGTH_MAX, list)
}

pub(crate) fn seeds<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<HostPort>, D::Error> {
    let list = Vec::<HostPort>::deserialize(input)?;
    allowed(list.len() <= SEEDS_LENGTH_MAX, list)
}

pub(crate) fn bootstrap<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Vec<HostPort>>, D::Error> {
    let list = Vec::<HostPort>::deserialize(input)?;
    allowed((1..=BOOTSTRAP_LENGTH_MAX).contains(&list.len()), Some(list))
}

pub(crate) fn rekey_after_s<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(input)?;
    allowed((REKEY_AFTER_S_MIN..=REKEY_AFTER_S_MAX).contains(&seconds), seconds)
}

pub(crate) fn stun_servers<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(input)?;
    allowed(list.iter().all(|text| is_server(text)) && list.len() <= STUN_SERVERS_LENGTH_MAX, list)
}

pub(crate) fn suffix<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    allowed(text.split('.').all(is_label) && text.len() <= SUFFIX_LENGTH_MAX, text)
}

pub(crate) fn dns_listen<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Vec<SocketAddr>>, D::Error> {
    let list = Vec::<SocketAddr>::deserialize(input)?;
    allowed(list.iter().all(is_dialable) && (1..=DNS_LISTEN_LENGTH_MAX).contains(&list.len()), Some(list))
}

pub(crate) fn metrics_listen<'de, D: Deserializer<'de>>(input: D) -> Result<Option<SocketAddr>, D::Error> {
    let address = SocketAddr::deserialize(input)?;
    allowed(address.ip().is_loopback() && address.port() != 0, Some(address))
}

pub(crate) fn name<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    allowed(is_label(&text), text)
}

pub(crate) fn port<'de, D: Deserializer<'de>>(input: D) -> Result<u16, D::Error> {
    let port = u16::deserialize(input)?;
    allowed(port != 0, port)
}

pub(crate) fn version<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(input)?;
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    allowed(inner && (1..=VERSION_LENGTH_MAX).contains(&text.len()), Some(text))
}

pub(crate) fn labels<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<String, String>, D::Error> {
    let labels = BTreeMap::<String, String>::deserialize(input)?;
    let is_word = |key: &str| {
        let inner = key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b));
        inner && (1..=LABEL_KEY_LENGTH_MAX).contains(&key.len())
    };
    let is_text = |value: &str| {
        value.len() <= LABEL_VALUE_LENGTH_MAX && value.bytes().all(|b| matches!(b, b' '..=b'~'))
    };
    let good = labels.iter().all(|(key, value)| is_word(key) && is_text(value));
    allowed(good && labels.len() <= LABELS_LENGTH_MAX, labels)
}

pub(crate) fn health<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(input)?;
    let is_path = |path: &str| {
        let inner = path.bytes().all(|b| b.is_ascii_graphic());
        path.starts_with('/') && path.len() <= HEALTH_PATH_LENGTH_MAX && inner
    };
    let is_check = ["none", "tcp"].contains(&&*text) || text.strip_prefix("http:").is_some_and(is_path);
    allowed(is_check, Some(text))
}

pub(crate) fn ttl_s<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
    let seconds = u32::deserialize(input)?;
    allowed((TTL_S_MIN..=TTL_S_MAX).contains(&seconds), seconds)
}

pub(crate) fn with<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(input)?;
    // Names are labels, and so are ids and their beginnings.
    allowed(list.iter().all(|text| is_label(text)) && list.len() <= WITH_LENGTH_MAX, list)
}

fn is_label(text: &str) -> bool {
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let length = (1..=LABEL_LENGTH_MAX).contains(&text.len());
    inner && length && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether a text is `host:port` of a machine that could be asked something.
fn is_server(text: &str) -> bool {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return is_dialable(&address);
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0);
    // A last label of digits would be an address that is none (RFC 3696 section 2).
    let is_name = host.split('.').all(is_label) && !host.bytes().last().is_some_and(|b| b.is_ascii_digit());
    is_port && is_name && host.len() <= DNS_NAME_LENGTH_MAX
}

fn is_dialable(address: &SocketAddr) -> bool {
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
}

fn allowed<T, E: Error>(yes: bool, value: T) -> Result<T, E> {
    if yes { Ok(value) } else { Err(E::custom("not allowed")) }
}
