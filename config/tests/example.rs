//! `example.toml` is held equal to the code: the same keys, in the same order, with the same defaults.

use config::{KEYS, Protocol, Settings, parse};

const EXAMPLE: &str = include_str!("../example.toml");

/// `(table, key, whether it is off)` of every key in the example, in its order.
fn keys() -> Vec<(String, String, bool)> {
    let mut table = String::new();
    let mut keys = Vec::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = live(line).strip_prefix('[') {
            table = name.trim_matches(['[', ']']).to_owned();
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
    assert_eq!(off[..8], ["name", "name", "mtu", "workers", "ipv4_range", "bootstrap", "listen", "listen"]);
    let of_services = KEYS.iter().filter(|key| key.table == "service").map(|key| key.name);
    assert!(
        off[8..].iter().eq(&of_services.collect::<Vec<_>>()),
        "a service is there when it is declared: {off:?}"
    );
}

#[test]
fn the_values_that_are_off_would_be_accepted() {
    let text: String = EXAMPLE.lines().map(|line| format!("{}\n", live(line))).collect();
    let settings = parse(&text).unwrap();
    assert_eq!(settings.node.name.as_deref(), Some("laptop"));
    assert_eq!(settings.interface.name.as_deref(), Some("hm-home"));
    assert_eq!(settings.interface.workers.map(std::num::NonZeroUsize::get), Some(2));
    assert_eq!(settings.dht.bootstrap.unwrap().len(), 2);
    assert_eq!(settings.network.ipv4_range.unwrap().to_string(), "10.77.0.0/16");
    let [service] = &settings.service[..] else { panic!("{:?}", settings.service) };
    assert_eq!((service.name.as_str(), service.port, service.with.len()), ("web", 8080, 1));
    assert_eq!(service.to.as_ref().map(ToString::to_string).as_deref(), Some("192.168.1.9:80"));
}

/// `Off: VALUE.` of each key is what a service has that leaves it out.
#[test]
fn what_a_service_leaves_out_is_what_the_example_says() {
    let settings = parse("[[service]]\nname = 'web'\nport = 80\n").unwrap();
    let service = &settings.service[0];
    assert_eq!((service.protocol, service.version.as_deref()), (Protocol::Tcp, None));
    assert_eq!((service.health.as_deref(), service.to.as_ref(), service.ttl_s), (None, None, 60));
    assert!(service.labels.is_empty() && service.with.is_empty());
    for words in ["Off: \"tcp\".", "Off: \"none\"; with `to`", "Off: 60."] {
        assert_eq!(EXAMPLE.matches(words).count(), 1, "{words}");
    }
}
