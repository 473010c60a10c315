//! What is different in another configuration, and when that counts.

use serde_json::Value;

use crate::key::{KEYS, Key};
use crate::settings::Settings;

/// When a key counts that was changed while a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// When the configuration is read again.
    AtOnce,
    /// When the node is started again.
    AtStart,
    /// When a network is created or joined, and never again.
    AtJoining,
}

/// Keys, and whole tables, that a running node takes. Sockets, threads and devices of the others are made when it comes up.
const AT_ONCE: [(&str, Option<&str>); 9] = [
    ("hop", None),
    ("exit", None),
    ("addresses", None),
    ("session", None),
    ("routes", None),
    ("log", None),
    ("dns", None),
    ("metrics", None),
    ("service", None),
];
const AT_JOINING: [(&str, Option<&str>); 2] = [("node", Some("name")), ("network", Some("ipv4_range"))];

impl Key {
    /// When it counts.
    #[must_use]
    pub fn effect(&self) -> Effect {
        let is_in = |list: &[(&str, Option<&str>)]| {
            list.iter().any(|(table, key)| *table == self.table && key.is_none_or(|key| key == self.name))
        };
        if is_in(&AT_ONCE) {
            Effect::AtOnce
        } else if is_in(&AT_JOINING) {
            Effect::AtJoining
        } else {
            Effect::AtStart
        }
    }
}

/// The keys whose values differ, in the order of [`KEYS`]; of services, any of the keys stands for all.
#[must_use]
pub fn changes(before: &Settings, after: &Settings) -> Vec<Key> {
    let values = |settings: &Settings| serde_json::to_value(settings).unwrap_or(Value::Null);
    let (before, after) = (values(before), values(after));
    let mut changed: Vec<Key> = Vec::new();
    for key in KEYS {
        let (table, other) = (&before[key.table], &after[key.table]);
        // Tables of which there are many are compared whole.
        let differs = if table.is_array() { table != other } else { table[key.name] != other[key.name] };
        let is_told = table.is_array() && changed.iter().any(|told| told.table == key.table);
        if differs && !is_told {
            changed.push(*key);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(before: &str, after: &str) -> Vec<(&'static str, &'static str)> {
        let [before, after] = [before, after].map(|text| crate::parse(text).unwrap());
        changes(&before, &after).iter().map(|key| (key.table, key.name)).collect()
    }

    #[test]
    fn what_is_different_is_told_in_the_order_of_the_file() {
        assert_eq!(between("", "[log]\nlevel = 'info'\n"), [], "a default that is written is none");
        let after = "[dns]\nhost = 'off'\n[listen]\nport = 7\n[interface]\nmtu = 1400\n";
        assert_eq!(between("", after), [("listen", "port"), ("interface", "mtu"), ("dns", "host")]);
        let [web, api] = ["web", "api"].map(|name| format!("[[service]]\nname = '{name}'\nport = 80\n"));
        assert_eq!(between(&web, &format!("{web}{api}")), [("service", "name")]);
        assert_eq!(between(&web, &web), []);
    }

    #[test]
    fn every_rule_is_about_keys_that_there_are() {
        for (table, name) in AT_ONCE.iter().chain(&AT_JOINING) {
            let known = |key: &&Key| key.table == *table && name.is_none_or(|name| name == key.name);
            assert!(KEYS.iter().any(|key| known(&key)), "{table} {name:?}");
        }
        let effect =
            |table, name| KEYS.iter().find(|key| (key.table, key.name) == (table, name)).map(Key::effect);
        assert_eq!(effect("log", "level"), Some(Effect::AtOnce));
        assert_eq!(effect("exit", "max_rate"), Some(Effect::AtOnce));
        assert_eq!(effect("listen", "port"), Some(Effect::AtStart));
        assert_eq!(effect("node", "name"), Some(Effect::AtJoining));
        assert_eq!(effect("interface", "name"), Some(Effect::AtStart));
    }
}
