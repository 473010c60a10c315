//! Rulesets as `nft --json list ruleset` prints them.

use super::*;

/// A ruleset with one base chain; rules are the JSON of their statements.
fn judged(family: &str, hook: &str, policy: &str, rules: &[&str]) -> Outcome {
    let mut items = vec![
        r#"{"metainfo":{"version":"1.1.3","release_name":"Commodore Bullmoose #4","json_schema_version":1}}"#
            .to_owned(),
        format!(r#"{{"table":{{"family":"{family}","name":"filter","handle":1}}}}"#),
        format!(
            r#"{{"chain":{{"family":"{family}","table":"filter","name":"{hook}","handle":1,"type":"filter","hook":"{hook}","prio":0,"policy":"{policy}"}}}}"#
        ),
        format!(r#"{{"chain":{{"family":"{family}","table":"filter","name":"more","handle":2}}}}"#),
        format!(
            r#"{{"rule":{{"family":"{family}","table":"filter","chain":"more","handle":20,"expr":[{{"accept":null}}]}}}}"#
        ),
    ];
    for (at, rule) in rules.iter().enumerate() {
        items.push(format!(
            r#"{{"rule":{{"family":"{family}","table":"filter","chain":"{hook}","handle":{},"expr":[{rule}]}}}}"#,
            at + 4
        ));
    }
    let facts = Facts {
        network: "home".to_owned(),
        port: 41641,
        interface: "hm-home".to_owned(),
        underlay: Some("eth0".to_owned()),
        legacy: vec![],
    };
    judge(&facts, &Ruleset::parse(&format!(r#"{{"nftables":[{}]}}"#, items.join(","))).unwrap())
}

const ESTABLISHED: &str = r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}},{"accept":null}"#;
const MESH: &str =
    r#"{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"hm-home"}},{"accept":null}"#;
const PORT_IN: &str =
    r#"{"match":{"op":"==","left":{"payload":{"protocol":"udp","field":"dport"}},"right":41641}}"#;

fn with(asked: &str, verdict: &str) -> String {
    format!(r#"{asked},{{"counter":{{"packets":0,"bytes":0}}}},{{"{verdict}":null}}"#)
}

#[test]
fn no_rules_drop_nothing() {
    assert_eq!(judge_text(r#"{"nftables":[]}"#).word(), "ok");
    assert_eq!(judged("inet", "input", "accept", &[]).word(), "ok");
    assert!(Ruleset::parse("no JSON").is_err() && Ruleset::parse("{}").is_err());
}

fn facts(underlay: Option<&str>) -> Facts {
    let (network, interface) = ("home".to_owned(), "hm-home".to_owned());
    Facts { network, port: 1, interface, underlay: underlay.map(str::to_owned), legacy: vec![] }
}

fn judge_text(text: &str) -> Outcome {
    judge(&facts(None), &Ruleset::parse(text).unwrap())
}

#[test]
fn a_rule_on_our_port_is_named() {
    for verdict in ["drop", "reject"] {
        let outcome = judged("inet", "input", "accept", &[&with(PORT_IN, verdict)]);
        assert_eq!(outcome.word(), "failed");
        assert!(outcome.reason().contains("rule 4 of chain input in table inet filter"), "{outcome:?}");
        assert!(outcome.to_do().unwrap().contains("udp dport 41641 accept"), "{outcome:?}");
    }
    let other = PORT_IN.replace("41641", "53");
    assert_eq!(judged("inet", "input", "accept", &[&with(&other, "drop")]).word(), "ok");
    let range = PORT_IN.replace("41641", r#"{"range":[40000,50000]}"#);
    assert_eq!(judged("ip", "input", "accept", &[&with(&range, "drop")]).word(), "failed");
    let set = PORT_IN.replace("41641", r#"{"set":[53,41641]}"#);
    assert_eq!(judged("ip", "input", "accept", &[&with(&set, "drop")]).word(), "failed");
    assert_eq!(judged("ip6", "input", "accept", &[&with(&set, "drop")]).word(), "warning", "there is IPv4");
    let source = PORT_IN.replace("dport", "sport");
    assert_eq!(judged("ip", "output", "accept", &[&with(&source, "drop")]).word(), "failed");
}

#[test]
fn a_policy_that_drops_is_told_unless_all_is_let_in() {
    let all = judged("inet", "input", "drop", &[]);
    assert!(all.word() == "failed" && all.reason().contains("the policy of chain input"), "{all:?}");
    let stateful = judged("inet", "input", "drop", &[ESTABLISHED]);
    assert!(stateful.word() == "warning" && stateful.reason().contains("send first"), "{stateful:?}");
    let port = with(PORT_IN, "accept");
    let no_mesh = judged("inet", "input", "drop", &[ESTABLISHED, &port]);
    assert!(no_mesh.word() == "warning" && no_mesh.reason().contains("hm-home"), "{no_mesh:?}");
    assert_eq!(judged("inet", "input", "drop", &[ESTABLISHED, &port, MESH]).word(), "ok");
    assert_eq!(judged("inet", "output", "drop", &[]).word(), "failed");
}

#[test]
fn what_cannot_be_judged_is_not_held_against_a_rule() {
    let from =
        r#"{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"192.0.2.1"}}"#;
    assert_eq!(judged("ip", "input", "accept", &[&with(from, "drop")]).word(), "ok");
    assert_eq!(judged("ip", "input", "drop", &[&with(from, "accept")]).word(), "ok", "it may let us in");
    let limited = r#"{"limit":{"rate":10,"burst":5,"per":"second"}}"#;
    assert_eq!(judged("inet", "input", "accept", &[&with(limited, "drop")]).word(), "ok");
    let map = r#"{"vmap":{"key":{"ct":{"key":"state"}},"data":"@states"}}"#;
    assert_eq!(judged("inet", "input", "drop", &[map]).word(), "ok");
    let tcp = r#"{"match":{"op":"!=","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":22}}"#;
    assert_eq!(judged("inet", "input", "accept", &[&with(tcp, "drop")]).word(), "ok", "TCP alone");
}

#[test]
fn jumps_are_followed_and_end() {
    assert_eq!(judged("inet", "input", "drop", &[r#"{"jump":{"target":"more"}}"#]).word(), "ok");
    let round = judged("inet", "input", "drop", &[r#"{"jump":{"target":"input"}}"#]);
    assert_eq!(round.word(), "ok", "nothing is known of such rules");
    let late = judged("inet", "input", "accept", &[&with(PORT_IN, "drop"), r#"{"goto":{"target":"more"}}"#]);
    assert_eq!(late.word(), "failed", "the drop comes first");
}

#[test]
fn the_interface_of_the_mesh_is_told_from_others() {
    let on = |name: &str| MESH.replace("hm-home", name).replace("accept", "drop");
    assert!(judged("inet", "input", "accept", &[&on("hm-home")]).reason().contains("hm-home"));
    assert_eq!(judged("inet", "input", "accept", &[&on("hm-*")]).word(), "failed");
    assert_eq!(judged("inet", "input", "accept", &[&on("lo")]).word(), "ok");
    assert_eq!(judged("inet", "input", "accept", &[&on("wlan0")]).word(), "ok");
    assert_eq!(judged("inet", "input", "accept", &[&on("eth0")]).word(), "failed");
}

#[test]
fn the_older_iptables_is_not_judged() {
    let outcome = judge(&Facts { legacy: vec!["filter".to_owned()], ..facts(None) }, &Ruleset::default());
    assert!(outcome.word() == "skipped" && outcome.reason().contains("iptables-legacy"), "{outcome:?}");
}

#[test]
fn a_header_that_we_do_not_have_is_not_matched_by_its_absence() {
    let ssh = r#"{"match":{"op":"!=","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":22}}"#;
    let rules = [&with(ssh, "accept"), r#"{"drop":null}"#];
    assert_eq!(judged("inet", "input", "accept", &rules).word(), "failed");
}

#[test]
fn nobody_comes_back_from_goto() {
    let ruleset = |way: &str| {
        format!(
            r#"{{"nftables":[
            {{"chain":{{"family":"inet","table":"f","name":"in","hook":"input","prio":0,"policy":"accept"}}}},
            {{"chain":{{"family":"inet","table":"f","name":"empty"}}}},
            {{"rule":{{"family":"inet","table":"f","chain":"in","handle":3,"expr":[{{"{way}":{{"target":"empty"}}}}]}}}},
            {{"rule":{{"family":"inet","table":"f","chain":"in","handle":4,"expr":[{{"drop":null}}]}}}}]}}"#
        )
    };
    assert_eq!(judge_text(&ruleset("goto")).word(), "ok");
    assert_eq!(judge_text(&ruleset("jump")).word(), "failed");
}

/// As Docker has it: a policy that drops, and a chain of the user's own.
#[test]
fn who_is_a_router_is_told_of_a_policy_that_drops_what_it_forwards() {
    let docker = |ours: &str, user: &str| {
        let text = format!(
            r#"{{"nftables":[
            {{"chain":{{"family":"inet","table":"{ours}","name":"forward","hook":"forward","prio":0,"policy":"accept"}}}},
            {{"chain":{{"family":"ip","table":"filter","name":"FORWARD","hook":"forward","prio":0,"policy":"drop"}}}},
            {{"chain":{{"family":"ip","table":"filter","name":"DOCKER-USER"}}}},
            {{"rule":{{"family":"ip","table":"filter","chain":"DOCKER-USER","handle":3,"expr":[{user}]}}}},
            {{"rule":{{"family":"ip","table":"filter","chain":"FORWARD","handle":4,"expr":[{{"jump":{{"target":"DOCKER-USER"}}}}]}}}},
            {{"rule":{{"family":"ip","table":"filter","chain":"FORWARD","handle":5,"expr":[
                {{"match":{{"op":"==","left":{{"meta":{{"key":"oifname"}}}},"right":"docker0"}}}},{{"xt":{{"type":"match","name":"conntrack"}}}},{{"accept":null}}]}}}},
            {{"rule":{{"family":"ip","table":"filter","chain":"FORWARD","handle":6,"expr":[
                {{"match":{{"op":"==","left":{{"meta":{{"key":"iifname"}}}},"right":"docker0"}}}},{{"accept":null}}]}}}}]}}"#
        );
        judge(&facts(Some("eth0")), &Ruleset::parse(&text).unwrap())
    };
    let nothing = r#"{"counter":{"packets":0,"bytes":0}}"#;
    let there = docker("hopmesh-home", nothing);
    assert!(there.word() == "failed" && there.reason().contains("from hm-home to eth0 (IPv4)"), "{there:?}");
    assert!(there.to_do().unwrap().contains("DOCKER-USER -i hm-home"), "{there:?}");
    let back = docker("hopmesh-home", MESH);
    assert!(back.word() == "failed" && back.reason().contains("from eth0 to hm-home"), "{back:?}");
    let answers = docker("hopmesh-home", &MESH.replace("iifname", "oifname"));
    assert!(answers.reason().contains("from hm-home"), "the other way is asked as well: {answers:?}");
    assert_eq!(docker("hopmesh-home", r#"{"accept":null}"#).word(), "ok");
    assert_eq!(docker("hopmesh-lab", nothing).word(), "ok", "it is no router for this network");
}
