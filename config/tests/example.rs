//! `example.toml` is held equal to the code: the same keys, in the same order, with the same defaults.

use config::{KEYS, Settings, parse};

const EXAMPLE: &str = include_str!("../example.toml");

/// `(table, key, whether it is off)` of every key in the example, in its order.
fn keys() -> Vec<(String, String, bool)> {
    let mut table = String::new();
    let mut keys = Vec::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']').to_owned();
        } else if let Some((key, _)) = live(line).split_once(" = ").filter(|_| !line.starts_with("# ")) {
            keys.push((table.clone(), key.to_owned(), line.starts_with('#')));
        }
    }
    keys
}

fn live(line: &str) -> &str {
    if line.starts_with("# ") { line } else { line.strip_prefix('#').unwrap_or(line) }
}

#[test]
fn the_example_is_the_defaults() {
    assert_eq!(parse(EXAMPLE).unwrap(), Settings::default());
    assert_eq!(parse("").unwrap(), Settings::default());
}

#[test]
fn the_example_has_every_key_once_in_the_order_of_the_code() {
    let found: Vec<_> = keys().into_iter().map(|(table, key, _)| (table, key)).collect();
    let known: Vec<_> = KEYS.iter().map(|key| (key.table.to_owned(), key.name.to_owned())).collect();
    assert_eq!(found, known);
}

#[test]
fn only_what_has_no_fixed_default_is_off() {
    let off: Vec<_> = keys().into_iter().filter(|(_, _, off)| *off).map(|(_, key, _)| key).collect();
    assert_eq!(off, ["name", "name", "ipv4_range", "bootstrap"]);
}

#[test]
fn the_values_that_are_off_would_be_accepted() {
    let text: String = EXAMPLE.lines().map(|line| format!("{}\n", live(line))).collect();
    let settings = parse(&text).unwrap();
    assert_eq!(settings.node.name.as_deref(), Some("laptop"));
    assert_eq!(settings.interface.name.as_deref(), Some("hm-home"));
    assert_eq!(settings.dht.bootstrap.unwrap().len(), 2);
    assert_eq!(settings.network.ipv4_range.unwrap().to_string(), "10.77.0.0/16");
}
