//! What is accepted, and the sentence for everything that is not.

use std::num::NonZeroUsize;

use config::{DnsHost, LogLevel, Protocol, parse};

fn refusal(text: &str) -> String {
    parse(text).expect_err("this configuration is wrong").to_string()
}

#[test]
fn every_key_is_read() {
    let settings = parse(
        "[node]\nname = 'laptop-2'\n[listen]\nport = 51820\n[stream]\nenabled = false\nlisten = 8443\n[hop]\nenabled = false\nmax_rate = 50\n[exit]\nmax_rate = 8\n[interface]\nname = 'hm0'\nmtu = 9000\nworkers = 3\n\
         [network]\nipv4_range = '10.8.0.0/24'\n[addresses]\nadvertise = ['198.51.100.7:1']\nseeds = ['Host.example:7', '[2001:db8::1]:8']\n\
         [session]\nrekey_after_s = 2\n[log]\nlevel = 'trace'\n\
         [lan]\nenabled = false\n[dht]\nenabled = false\nbootstrap = ['dht.example:6881']\n[port_mapping]\nenabled = false\n\
         [stun]\nservers = ['stun.example.org:3478']\n\
         [dns]\nenabled = false\nsuffix = 'mesh.example'\nlisten = ['127.0.0.1:5353']\nhost = 'off'\n\
         [metrics]\nlisten = '[::1]:9469'\n\
         [[service]]\nname = 'web'\nport = 80\nprotocol = 'udp'\nversion = '2'\nlabels = { zone = 'eu' }\n\
         health = 'http:/up'\nttl_s = 5\nwith = ['any']\n[[service]]\nname = 'web'\nport = 81\n",
    )
    .unwrap();
    assert_eq!(settings.node.name.as_deref(), Some("laptop-2"));
    assert_eq!(settings.listen.port, 51820);
    assert_eq!((settings.stream.enabled, settings.stream.listen), (false, 8443));
    assert_eq!((settings.hop.enabled, settings.hop.bytes_per_second()), (false, Some(6_250_000)));
    assert_eq!(settings.exit.bytes_per_second(), Some(1_000_000));
    assert_eq!(settings.interface.name.as_deref(), Some("hm0"));
    assert_eq!((settings.interface.mtu, settings.interface.workers), (Some(9000), NonZeroUsize::new(3)));
    assert_eq!(settings.network.ipv4_range, Some("10.8.0.0/24".parse().unwrap()));
    assert_eq!(settings.addresses.advertise, ["198.51.100.7:1".parse().unwrap()]);
    let seeds: Vec<String> = settings.addresses.seeds.iter().map(ToString::to_string).collect();
    assert_eq!(seeds, ["host.example:7", "[2001:db8::1]:8"]);
    assert_eq!((settings.lan.enabled, settings.dht.enabled), (false, false));
    assert_eq!(settings.dht.bootstrap.unwrap()[0].to_string(), "dht.example:6881");
    assert_eq!(settings.session.rekey_after_s, 2);
    assert_eq!(settings.log.level, LogLevel::Trace);
    assert!(!settings.port_mapping.enabled);
    assert_eq!(settings.stun.servers, ["stun.example.org:3478"]);
    assert_eq!((settings.dns.enabled, settings.dns.suffix.as_str()), (false, "mesh.example"));
    assert_eq!((settings.dns.listen.unwrap().len(), settings.dns.host), (1, DnsHost::Off));
    assert_eq!(settings.metrics.listen, Some("[::1]:9469".parse().unwrap()));
    let [web, other] = &settings.service[..] else { panic!("{:?}", settings.service) };
    assert_eq!((web.name.as_str(), web.port, web.protocol), ("web", 80, Protocol::Udp));
    assert_eq!((web.version.as_deref(), web.labels["zone"].as_str()), (Some("2"), "eu"));
    assert_eq!(
        (web.health.as_deref(), web.ttl_s, &web.with[..]),
        (Some("http:/up"), 5, &["any".to_owned()][..])
    );
    assert_eq!((other.port, &other.version), (81, &None));
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = parse("[interface]\nname = \"hm0\"\n").unwrap();
    assert_eq!((settings.interface.mtu, settings.session.rekey_after_s), (None, 120));
    assert_eq!((settings.listen.port, settings.log.level), (0, LogLevel::Info));
    assert_eq!((settings.stream.enabled, settings.stream.listen), (true, 443));
    assert_eq!((settings.hop.enabled, settings.hop.bytes_per_second()), (true, None));
    assert_eq!(settings.exit.bytes_per_second(), None);
    assert!(settings.port_mapping.enabled && settings.stun.servers.is_empty());
    assert_eq!((settings.lan.enabled, settings.dht.enabled, settings.dht.bootstrap), (true, true, None));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let sentence = refusal("[node]\nname = 'a'\n\n[interface]\nmut = 1420\n");
    assert_eq!(
        sentence,
        "line 5: there is no key `mut` in [interface]: did you mean `mtu`? It has `name`, `mtu`, `workers`"
    );
    let sentence = refusal("[session]\nfrequency = 3\n");
    assert_eq!(sentence, "line 2: there is no key `frequency` in [session]. It has `rekey_after_s`");
    let sentence = refusal("[node]\nport = 3\n");
    assert_eq!(
        sentence,
        "line 2: there is no key `port` in [node]: that key stands in [listen]. It has `name`"
    );
}

#[test]
fn an_unknown_table_is_named_with_its_line_and_the_nearest_known_one() {
    let sentence = refusal("\n[lisen]\nport = 3\n");
    assert!(sentence.starts_with("line 2: there is no table [lisen]: did you mean [listen]? The tables are [node], [listen], [stream], [hop], [exit], [interface], [network], [addresses]"), "{sentence}");
    assert!(refusal("[smtp]\n").starts_with("line 1: there is no table [smtp]"));
}

#[test]
fn a_key_without_a_table_and_a_table_without_keys_are_explained() {
    assert_eq!(
        refusal("port = 1\n"),
        "line 1: `port` stands outside of every table: did you mean `port` in [listen]?"
    );
    assert_eq!(refusal("zebra = 1\n"), "line 1: `zebra` stands outside of every table.");
    assert_eq!(refusal("listen = 1\n"), "line 1: `listen` is a table: write [listen] and its keys below it");
    assert_eq!(
        refusal("[[listen]]\nport = 1\n"),
        "line 1: `listen` is a table: write [listen] and its keys below it"
    );
}

#[test]
fn the_first_unknown_thing_in_the_text_is_the_one_reported() {
    assert!(refusal("[node]\nx = 1\n[listen]\na = 1\n[aaa]\n").starts_with("line 2: "));
}

#[test]
fn what_is_no_toml_says_where() {
    assert!(refusal("[node]\nname = 'a'\nname = 'b'\n").starts_with("line 3: duplicate key"));
    let sentence = refusal("[node]\nname = \n");
    assert!(sentence.starts_with("line 2: "), "{sentence}");
    assert!(!sentence.contains('\n'), "{sentence:?}");
    assert!(refusal("[node\n").starts_with("line 1: "));
}

#[test]
fn a_value_that_is_not_allowed_is_named_with_what_is() {
    assert_eq!(
        refusal("[listen]\n# the port\nport = 70000\n"),
        "line 3: `port` in [listen] cannot be 70000: it takes a UDP port from 1 to 65535, or 0 to pick a free one and keep it"
    );
    assert_eq!(
        refusal("listen.port = 'https'\n"),
        "line 1: `port` in [listen] cannot be 'https': it takes a UDP port from 1 to 65535, or 0 to pick a free one and keep it"
    );
    let sentence = refusal("[addresses]\nseeds = ['a.example:1', 'b.example']\n");
    assert!(
        sentence.starts_with("line 2: `seeds` in [addresses] cannot be 'b.example': it takes"),
        "{sentence}"
    );
    let sentence = refusal("[addresses]\nadvertise = [\n  '192.0.2.1:1',\n  'example.com:2',\n]\n");
    assert!(
        sentence.starts_with("line 4: `advertise` in [addresses] cannot be 'example.com:2': "),
        "{sentence}"
    );
    assert!(sentence.contains("it takes at most 6 addresses with ports"), "{sentence}");
}

#[test]
fn the_limits_are_where_the_sentences_say() {
    let many = |n: usize| vec!["'192.0.2.1:1'"; n].join(",");
    let servers = |n| format!("servers = [{}]", many(n));
    let list = |key: &str, n| format!("{key} = [{}]", many(n));
    let advertise = |n| list("advertise", n);
    let name = |n: usize| format!("name = '{}'", "a".repeat(n));
    for (table, good, bad) in [
        ("node", vec![name(1), name(63)], vec![name(0), name(64)]),
        ("interface", vec![name(1), name(15)], vec![name(0), name(16)]),
        ("addresses", vec![advertise(0), advertise(6)], vec![advertise(7)]),
        ("stun", vec![servers(0), servers(8)], vec![servers(9)]),
        ("addresses", vec![list("seeds", 0), list("seeds", 16)], vec![list("seeds", 17)]),
        (
            "dht",
            vec![list("bootstrap", 1), list("bootstrap", 8)],
            vec![list("bootstrap", 0), list("bootstrap", 9)],
        ),
    ] {
        limits(table, &good, &bad);
    }
}

#[test]
fn numbers_words_and_prefixes_have_their_limits() {
    for (table, good, bad) in [
        ("listen", "port = 0|port = 65535", "port = -1|port = 65536|port = 1.5|port = true"),
        (
            "stream",
            "listen = 0|listen = 65535|enabled = false",
            "listen = -1|listen = 65536|listen = true|enabled = 1|enabled = 'yes'",
        ),
        (
            "hop",
            "enabled = false|max_rate = 0|max_rate = 100000",
            "enabled = 1|max_rate = -1|max_rate = 1.5|max_rate = '50'",
        ),
        ("exit", "max_rate = 0|max_rate = 100000", "max_rate = -1|max_rate = 1.5|max_rate = '50'"),
        ("interface", "mtu = 1280|mtu = 65475", "mtu = 1279|mtu = 65476|mtu = '1420'"),
        ("session", "rekey_after_s = 2|rekey_after_s = 120", "rekey_after_s = 1|rekey_after_s = 121"),
        ("log", "level = 'error'|level = 'debug'", "level = 'Info'|level = 'verbose'|level = 3"),
        ("node", "name = 'A-1'", "name = '-a'|name = 'a-'|name = 'a.b'|name = 'a_b'|name = 'ä'|name = 1"),
        ("interface", "name = 'hm-0.1'", "name = 'a/b'|name = 'a b'|name = '..'|name = 'a:b'|name = 'hm%d'"),
        (
            "network",
            "ipv4_range = '10.0.0.0/8'|ipv4_range = '100.64.0.0/30'",
            "ipv4_range = '10.0.0.0/7'|ipv4_range = '10.0.0.0/31'|ipv4_range = '10.0.0.1/24'|\
             ipv4_range = '127.0.0.0/8'|ipv4_range = '224.0.0.0/8'|ipv4_range = '0.0.0.0/8'|\
             ipv4_range = 'fd00::/48'|ipv4_range = '10.0.0.0'",
        ),
        (
            "addresses",
            "advertise = ['[fe80::1%2]:1']",
            "advertise = ['192.0.2.1']|advertise = ['192.0.2.1:0']|advertise = ['0.0.0.0:1']|advertise = ['[::]:1']|\
             advertise = ['224.0.0.1:1']|advertise = '192.0.2.1:1'|advertise = [1]",
        ),
        (
            "dns",
            "enabled = false|suffix = 'a.b-c'|listen = ['[::1]:53']|host = 'auto'",
            "enabled = 1|suffix = ''|suffix = 'a..b'|suffix = '.a'|listen = []|listen = ['127.0.0.1']|\
             listen = ['0.0.0.0:53']|host = 'on'|host = true",
        ),
        ("port_mapping", "enabled = true|enabled = false", "enabled = 1|enabled = 'yes'"),
        (
            "stun",
            "servers = ['localhost:1', 'a-b.example.org:65535', '192.0.2.1:3478', '[2001:db8::1]:3478']",
            "servers = ['stun.example.org']|servers = ['stun.example.org:0']|servers = ['stun.example.org:65536']|\
             servers = ['stun.example.org:+1']|servers = ['stun..org:1']|servers = [':1']|servers = ['a b:1']|\
             servers = ['stun://a:1']|servers = ['192.0.2:1']|servers = ['2001:db8::1:3478']|\
             servers = ['0.0.0.0:1']|servers = ['192.0.2.1:0']|servers = 'a:1'",
        ),
    ] {
        let list = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
        limits(table, &list(good), &list(bad));
    }
}

fn limits(table: &str, good: &[String], bad: &[String]) {
    for line in good {
        let parsed = parse(&format!("[{table}]\n{line}\n"));
        assert!(parsed.is_ok(), "[{table}] {line}: {parsed:?}");
    }
    for line in bad {
        let (key, _) = line.split_once(" = ").expect("every line is `key = value`");
        let sentence = refusal(&format!("[{table}]\n{line}\n"));
        assert!(sentence.starts_with(&format!("line 2: `{key}` in [{table}] cannot be ")), "{sentence}");
    }
}

#[test]
fn a_service_has_its_limits_too() {
    let many = |n: usize| (0..n).map(|i| format!("k{i} = 'v'")).collect::<Vec<_>>().join(", ");
    let nodes = |n: usize| format!("with = [{}]", vec!["'b'"; n].join(", "));
    for (good, bad) in [
        ("protocol = 'tcp'|protocol = 'udp'", "protocol = 'TCP'|protocol = 'http'|protocol = 6"),
        (
            "version = '1.4-RC1'|version = '1234567890123456'",
            "version = ''|version = '12345678901234567'|version = 'a b'|version = 1",
        ),
        (
            "labels = {}|labels = { a = '' }|labels = { 'a.b_c-1' = 'x = y' }",
            "labels = { A = 'x' }|labels = { a = \"\\u001b\" }|labels = { a = 1 }|labels = 'a=b'|labels = { '' = 'x' }",
        ),
        (
            "to = '192.168.1.9:631'|to = '[fd00::9]:1'|to = 'nas.office:65535'",
            "to = ''|to = '192.168.1.9'|to = 'nas:0'|to = '0.0.0.0:1'|to = '224.0.0.1:1'|to = 1",
        ),
        (
            "health = 'none'|health = 'tcp'|health = 'http:/'",
            "health = ''|health = 'https:/'|health = 'http:'|health = 'http:up'|health = 'http:/a b'|health = true",
        ),
        ("ttl_s = 5|ttl_s = 3600", "ttl_s = 4|ttl_s = 3601|ttl_s = '60s'"),
        (
            &format!("labels = {{ {} }}|with = []|{}", many(16), nodes(24)),
            &format!("labels = {{ {} }}|{}|with = 'b'|with = ['a b']", many(17), nodes(25)),
        ),
    ] {
        for line in good.split('|') {
            let parsed = parse(&format!("[[service]]\nname = 'web'\nport = 80\n{line}\n"));
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        for line in bad.split('|') {
            let (key, _) = line.split_once(" = ").expect("every line is `key = value`");
            let sentence = refusal(&format!("[[service]]\nname = 'web'\nport = 80\n{line}\n"));
            assert!(
                sentence.starts_with(&format!("line 4: `{key}` in [[service]] cannot be ")),
                "{sentence}"
            );
        }
    }
    limits_of_required();
}

fn limits_of_required() {
    let second = |line: &str| refusal(&format!("[[service]]\nname = 'a'\nport = 1\n[[service]]\n{line}\n"));
    for line in ["name = 'a.b'\nport = 1", "name = ''\nport = 1"] {
        assert!(second(line).starts_with("line 5: `name` in [[service]] cannot be "), "{}", second(line));
    }
    for line in ["name = 'b'\nport = 0", "name = 'b'\nport = 65536"] {
        assert!(second(line).starts_with("line 6: `port` in [[service]] cannot be "), "{}", second(line));
    }
    assert_eq!(second("name = 'b'"), "line 5: this [[service]] has no `port`: add it");
    assert_eq!(second("port = 1"), "line 5: this [[service]] has no `name`: add it");
    assert_eq!(refusal("[[service]]\n"), "line 1: this [[service]] has no `name`: add it");
}

#[test]
fn services_that_are_no_list_or_are_there_twice_are_explained() {
    assert_eq!(
        refusal("[service]\nname = 'a'\n"),
        "line 1: `service` is a table: write [[service]] and its keys below it"
    );
    let sentence = refusal("[[service]]\nname = 'a'\nport = 1\nprot = 2\n");
    assert!(
        sentence.starts_with(
            "line 4: there is no key `prot` in [[service]]: did you mean `port`? It has `name`, "
        ),
        "{sentence}"
    );
    assert_eq!(
        refusal("[[service]]\nname = 'a'\nport = 1\n[[service]]\nport = 2\nname = 'A'\n"),
        "line 6: a is declared twice: give one of them another name or version"
    );
}

#[test]
fn an_error_never_repeats_control_characters_or_endless_text() {
    let sentence = refusal(&format!("[node]\nname = \"\"\"\n\u{7f}{}\"\"\"\n", "x".repeat(500)));
    assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
    let sentence = refusal(&format!("[node]\nname = '{}'\n", "x".repeat(500)));
    assert!(sentence.len() < 250, "{sentence}");
    let sentence = refusal("[node]\n\"\\u001b[31m\" = 1\n");
    assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
}

#[test]
fn no_cut_of_a_configuration_panics() {
    let text = include_str!("../example.toml");
    for end in 0..text.len() {
        let _ = parse(text.get(..end).unwrap_or_default());
        let _ = parse(text.get(end..).unwrap_or_default());
    }
}
