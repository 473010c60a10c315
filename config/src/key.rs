//! Every key, in words: what it takes, and which known key an unknown one was meant to be.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::error::{self, ConfigError};

/// One key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The table it stands in, without brackets.
    pub table: &'static str,
    /// The key itself.
    pub name: &'static str,
    /// What it takes, to follow the words "it takes".
    pub allowed: &'static str,
}

impl std::fmt::Display for Key {
    /// As people write it: `log.level`, and `service` for any key of one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.table == LIST { f.write_str(LIST) } else { write!(f, "{}.{}", self.table, self.name) }
    }
}

/// The table that may be there several times, written `[[service]]`.
const LIST: &str = "service";
/// What each of these must have: nobody could guess it.
const REQUIRED: [&str; 2] = ["name", "port"];

const fn key(table: &'static str, name: &'static str, allowed: &'static str) -> Key {
    Key { table, name, allowed }
}

/// Every key there is, in the order of `example.toml`.
pub const KEYS: &[Key] = &[
    key("node", "name", "one DNS label: 1 to 63 letters, digits and inner hyphens"),
    key("listen", "port", "a UDP port from 1 to 65535, or 0 to pick a free one and keep it"),
    key("stream", "enabled", "true or false"),
    key("stream", "listen", "a TCP port from 1 to 65535, or 0 not to listen"),
    key("hop", "enabled", "true or false"),
    key("hop", "max_rate", "a number of Mbit/s, or 0 for no limit"),
    key("exit", "max_rate", "a number of Mbit/s, or 0 for no limit"),
    key("interface", "name", "1 to 15 visible ASCII characters without '/', ':' and '%'"),
    key("interface", "mtu", "a number of bytes from 1280 to 65475"),
    key("interface", "workers", "a number of threads from 1 to 16"),
    key(
        "network",
        "ipv4_range",
        "an IPv4 prefix like \"10.77.0.0/16\", of length 8 to 30, with no host bits set",
    ),
    key(
        "addresses",
        "advertise",
        "at most 6 addresses with ports, like [\"198.51.100.7:51820\", \"[2001:db8::7]:51820\"]",
    ),
    key(
        "addresses",
        "seeds",
        "at most 16 hosts with ports, like [\"host.example:41820\", \"192.0.2.1:41820\"]",
    ),
    key("session", "rekey_after_s", "a number of seconds from 2 to 120"),
    key("log", "level", "\"error\", \"warn\", \"info\", \"debug\" or \"trace\""),
    key("lan", "enabled", "true or false"),
    key("dht", "enabled", "true or false"),
    key("dht", "bootstrap", "1 to 8 hosts with ports, like [\"dht.example:6881\", \"192.0.2.1:6881\"]"),
    key("port_mapping", "enabled", "true or false"),
    key(
        "stun",
        "servers",
        "at most 8 hosts with ports, like [\"stun.example.org:3478\", \"[2001:db8::7]:3478\"]",
    ),
    key("registry", "full_replication_max", "a number of records from 1000 to 1000000"),
    key(
        "routes",
        "accept",
        "at most 64 prefixes without host bits, like [\"192.168.0.0/16\", \"fd00::/8\"], or [] for none",
    ),
    key("dns", "enabled", "true or false"),
    key("dns", "suffix", "DNS labels with dots between, at most 63 characters, like \"internal\""),
    key("dns", "listen", "1 to 8 addresses with ports, like [\"127.0.0.1:5353\"]"),
    key("dns", "host", "\"auto\" or \"off\""),
    key("metrics", "listen", "a loopback address with a port, like \"127.0.0.1:9469\" or \"[::1]:9469\""),
    key(LIST, "name", "one DNS label: 1 to 63 letters, digits and inner hyphens"),
    key(LIST, "port", "a port from 1 to 65535"),
    key(LIST, "to", "a host with a port, like \"192.168.1.9:631\" or \"nas.office:445\""),
    key(LIST, "protocol", "\"tcp\" or \"udp\""),
    key(LIST, "version", "1 to 16 letters, digits, dots and hyphens"),
    key(
        LIST,
        "labels",
        "at most 16 words with a text each, like { zone = \"eu\" }: a word has lower-case letters, digits, '-', '.' and '_'",
    ),
    key(LIST, "health", "\"none\", \"tcp\", or \"http:\" and a path, like \"http:/healthz\""),
    key(LIST, "ttl_s", "a number of seconds from 5 to 3600"),
    key(LIST, "with", "at most 24 names or ids of nodes, like [\"laptop\"], or [\"any\"]"),
];

/// A table as it is written, without the outer brackets.
pub(crate) fn heading(table: &'static str) -> &'static str {
    if table == LIST { "[service]" } else { table }
}

/// Finds the first table or key, in the order of the text, that does not exist, or must and does not.
pub(crate) fn check(text: &str, document: &DeTable<'_>) -> Result<(), ConfigError> {
    let mut unknown: Vec<(usize, ConfigError)> = Vec::new();
    for (table, value) in document {
        let (at, name) = (table.span().start, table.get_ref().as_ref());
        let line = error::line(text, at);
        let known = tables().find(|known| *known == name);
        match (known, tables_in(name, value.get_ref())) {
            (Some(name), Some(tables)) => {
                for table in tables {
                    unknown.extend(wrong_keys(text, name, at, table));
                }
            }
            (Some(name), None) => {
                unknown.push((at, ConfigError::NoTable { line, name, heading: heading(name) }));
            }
            (None, Some(_)) => unknown.push((at, unknown_table(line, name))),
            (None, None) => unknown.push((at, stray_key(line, name))),
        }
    }
    unknown.into_iter().min_by_key(|(at, _)| *at).map_or(Ok(()), |(_, error)| Err(error))
}

/// Keys of one table that do not exist, or must and do not, each with its place in the text.
fn wrong_keys(text: &str, name: &'static str, at: usize, table: &DeTable<'_>) -> Vec<(usize, ConfigError)> {
    let mut wrong = Vec::new();
    for found in table.keys() {
        let (at, key) = (found.span().start, found.get_ref().as_ref());
        if !keys_of(name).any(|known| known == key) {
            wrong.push((at, unknown_key(error::line(text, at), name, key)));
        }
    }
    let required = REQUIRED.into_iter().filter(|_| name == LIST);
    let first = table.keys().map(|key| key.span().start).min().unwrap_or(at);
    let missing = required.filter(|key| !table.contains_key(*key));
    let line = error::line(text, first);
    wrong.extend(missing.map(|key| (first, ConfigError::Missing { line, key, heading: heading(name) })));
    wrong
}

/// Where in the text the values of a key lie, in bytes.
pub(crate) fn spans(document: &DeTable<'_>, key: &Key) -> Vec<Range<usize>> {
    let tables = document.get(key.table).and_then(|value| tables_in(key.table, value.get_ref()));
    let values = tables.into_iter().flatten().filter_map(|table| table.get(key.name));
    values.map(toml::Spanned::span).collect()
}

/// What stands under a name, where it is a table, or as many tables as one likes.
fn tables_in<'d, 'i>(name: &str, value: &'d DeValue<'i>) -> Option<Vec<&'d DeTable<'i>>> {
    if name == LIST {
        value.as_array()?.iter().map(|element| element.get_ref().as_table()).collect()
    } else {
        Some(vec![value.as_table()?])
    }
}

fn unknown_key(line: usize, table: &'static str, name: &str) -> ConfigError {
    let here = nearest(name, keys_of(table)).map(|known| format!(": did you mean `{known}`?"));
    let elsewhere = KEYS.iter().find(|key| key.name == name);
    let elsewhere = elsewhere.map(|key| format!(": that key stands in [{}].", heading(key.table)));
    ConfigError::UnknownKey {
        line,
        key: error::shown(name),
        heading: heading(table),
        hint: here.or(elsewhere).unwrap_or_else(no_hint),
        known: keys_of(table).map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", "),
    }
}

fn unknown_table(line: usize, name: &str) -> ConfigError {
    let hint = nearest(name, tables())
        .map(|known| format!(": did you mean [{}]?", heading(known)))
        .unwrap_or_else(no_hint);
    let known = tables().map(|known| format!("[{}]", heading(known))).collect::<Vec<_>>().join(", ");
    ConfigError::UnknownTable { line, table: error::shown(name), hint, known }
}

/// A key before the first table.
fn stray_key(line: usize, name: &str) -> ConfigError {
    let hint = nearest(name, KEYS.iter().map(|key| key.name));
    let hint = hint.and_then(|known| KEYS.iter().find(|key| key.name == known));
    let hint = hint.map(|key| format!(": did you mean `{}` in [{}]?", key.name, heading(key.table)));
    ConfigError::StrayKey { line, key: error::shown(name), hint: hint.unwrap_or_else(no_hint) }
}

fn no_hint() -> String {
    ".".to_owned()
}

fn keys_of(table: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(move |key| key.table == table).map(|key| key.name)
}

fn tables() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    KEYS.iter().map(|key| key.table).filter(move |table| std::mem::replace(&mut last, table) != *table)
}

/// The known word that is two letters away, or a third of a long word's: two neighbours swapped are two letters.
fn nearest(wanted: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    known
        .map(|word| (distance(wanted, word), word))
        .filter(|(distance, word)| *distance <= (word.len() / 3).max(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Letters to insert, delete or replace to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let best = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}
