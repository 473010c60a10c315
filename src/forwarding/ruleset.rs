//! The rules of nftables that a router needs, as a text for `nft -f -`: one table of our own, made anew as a whole.
//!
//! ```text
//! mesh ──prerouting: the subnet's own addresses──▶ forward: members to the subnet──▶ postrouting: our address ──▶ subnet
//! ```

use std::fmt::Write;

use ipnet::IpNet;
use wire::record::RouteOffer;

use super::Plan;
use super::switch::Switch;
use crate::io::mark::MARK;
use crate::io::nftables::removal;

/// The rules for a plan. Of the families in `off` nothing was forwarded before, and nothing but ours will be.
pub(super) fn ruleset(plan: &Plan, off: &[Switch]) -> String {
    let table = plan.table();
    let mut text = removal(&table);
    // Writing to a String does not fail.
    let _ = writeln!(text, "table inet {table} {{");
    forward(&mut text, plan, off);
    translate(&mut text, plan);
    text.push_str("}\n");
    text
}

/// What is forwarded is marked as ours, so that another network of this machine does not drop it.
fn forward(text: &mut String, plan: &Plan, off: &[Switch]) {
    let mesh = &plan.interface;
    let accept = format!("meta mark set {MARK:#x} accept");
    text.push_str("\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n");
    for offer in subnets(plan).chain(exits(plan)) {
        let (word, subnet) = (family_word(&offer.prefix), offer.subnet());
        let _ = writeln!(text, "\t\tiifname \"{mesh}\" oifname != \"{mesh}\" {word} daddr {subnet} {accept}");
        // A subnet that knows the way to the mesh may begin; and its answers may come by another router than the questions.
        let begun = if offer.is_masqueraded { "ct state established,related " } else { "" };
        let _ = writeln!(
            text,
            "\t\tiifname != \"{mesh}\" oifname \"{mesh}\" {word} saddr {subnet} {begun}{accept}"
        );
    }
    // ICMP errors of routers on the way to a subnet.
    let _ = writeln!(text, "\t\tiifname != \"{mesh}\" oifname \"{mesh}\" ct state related {accept}");
    let _ = writeln!(text, "\t\tiifname \"{mesh}\" drop\n\t\toifname \"{mesh}\" drop\n\t}}");
    text.push_str("\tchain others {\n\t\ttype filter hook forward priority filter + 10; policy accept;\n");
    for switch in off {
        let family = if switch.is_ipv4() { "ipv4" } else { "ipv6" };
        let _ = writeln!(text, "\t\tmeta mark != {MARK:#x} meta nfproto {family} drop");
    }
    text.push_str("\t}\n");
}

fn translate(text: &mut String, plan: &Plan) {
    let mesh = &plan.interface;
    let mapped: Vec<(&RouteOffer, IpNet)> =
        plan.served.iter().filter_map(|offer| Some((offer, offer.behind?))).collect();
    text.push_str("\tchain prerouting {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n");
    for (RouteOffer { prefix, .. }, behind) in &mapped {
        let word = family_word(prefix);
        let _ = writeln!(
            text,
            "\t\tiifname \"{mesh}\" dnat {word} prefix to {word} daddr map {{ {prefix} : {behind} }}"
        );
    }
    text.push_str(
        "\t}\n\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n",
    );
    for offer in subnets(plan).chain(exits(plan)) {
        let (word, subnet) = (family_word(&offer.prefix), offer.subnet());
        let verdict = match offer.is_masqueraded {
            true => "masquerade",
            // It may lie within what is masqueraded below.
            false if exits(plan).next().is_some() => "accept",
            false => continue,
        };
        let _ =
            writeln!(text, "\t\tiifname \"{mesh}\" oifname != \"{mesh}\" {word} daddr {subnet} {verdict}");
    }
    for (RouteOffer { prefix, .. }, behind) in &mapped {
        let word = family_word(prefix);
        let _ = writeln!(
            text,
            "\t\toifname \"{mesh}\" snat {word} prefix to {word} saddr map {{ {behind} : {prefix} }}"
        );
    }
    text.push_str("\t}\n");
}

fn subnets(plan: &Plan) -> impl Iterator<Item = &RouteOffer> {
    plan.served.iter().filter(|offer| !offer.is_exit())
}

/// What is for the internet comes last: which addresses those are, the fast path has judged.
fn exits(plan: &Plan) -> impl Iterator<Item = &RouteOffer> {
    plan.served.iter().filter(|offer| offer.is_exit())
}

/// The family of a prefix, in the words of nft.
fn family_word(prefix: &IpNet) -> &'static str {
    if prefix.addr().is_ipv4() { "ip" } else { "ip6" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(offers: &[(&str, Option<&str>, bool)]) -> Plan {
        let offer = |(prefix, behind, is_masqueraded): &(&str, Option<&str>, bool)| RouteOffer {
            prefix: prefix.parse().unwrap(),
            behind: behind.map(|behind| behind.parse().unwrap()),
            is_masqueraded: *is_masqueraded,
        };
        Plan {
            network: "home".to_owned(),
            interface: "hm-home".to_owned(),
            served: offers.iter().map(offer).collect(),
        }
    }

    #[test]
    fn a_subnet_that_knows_no_way_back_answers_only() {
        let rules = ruleset(&plan(&[("192.168.9.0/24", None, true)]), &[Switch::V4]);
        let expected = r#"table inet hopmesh-home
delete table inet hopmesh-home
table inet hopmesh-home {
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname "hm-home" oifname != "hm-home" ip daddr 192.168.9.0/24 meta mark set 0x484d accept
		iifname != "hm-home" oifname "hm-home" ip saddr 192.168.9.0/24 ct state established,related meta mark set 0x484d accept
		iifname != "hm-home" oifname "hm-home" ct state related meta mark set 0x484d accept
		iifname "hm-home" drop
		oifname "hm-home" drop
	}
	chain others {
		type filter hook forward priority filter + 10; policy accept;
		meta mark != 0x484d meta nfproto ipv4 drop
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		iifname "hm-home" oifname != "hm-home" ip daddr 192.168.9.0/24 masquerade
	}
}
"#;
        assert_eq!(rules, expected);
    }

    #[test]
    fn an_exit_masquerades_all_but_subnets_that_know_the_way_back() {
        let offers = [("0.0.0.0/0", None, true), ("192.168.9.0/24", None, false), ("::/0", None, true)];
        let rules = ruleset(&plan(&offers), &[]);
        let place = |line: &str| rules.find(line).unwrap_or_else(|| panic!("no {line:?} in\n{rules}"));
        let mesh = "iifname \"hm-home\" oifname != \"hm-home\"";
        let subnet = place(&format!("{mesh} ip daddr 192.168.9.0/24 accept"));
        assert!(subnet < place(&format!("{mesh} ip daddr 0.0.0.0/0 masquerade")));
        place(&format!("{mesh} ip6 daddr ::/0 masquerade"));
        let back = "oifname \"hm-home\" ip saddr";
        let subnet = place(&format!("{back} 192.168.9.0/24 meta mark set"));
        assert!(subnet < place(&format!("{back} 0.0.0.0/0 ct state established,related")));
    }

    #[test]
    fn a_subnet_with_another_prefix_is_translated_one_to_one_both_ways() {
        let offers = [("10.50.1.0/24", Some("192.168.1.0/24"), false), ("fd00:9::/64", None, false)];
        let rules = ruleset(&plan(&offers), &[]);
        for line in [
            "iifname \"hm-home\" oifname != \"hm-home\" ip daddr 192.168.1.0/24 meta mark set 0x484d accept",
            "iifname != \"hm-home\" oifname \"hm-home\" ip saddr 192.168.1.0/24 meta mark set 0x484d accept",
            "iifname \"hm-home\" oifname != \"hm-home\" ip6 daddr fd00:9::/64 meta mark set 0x484d accept",
            "iifname \"hm-home\" dnat ip prefix to ip daddr map { 10.50.1.0/24 : 192.168.1.0/24 }",
            "oifname \"hm-home\" snat ip prefix to ip saddr map { 192.168.1.0/24 : 10.50.1.0/24 }",
        ] {
            assert!(rules.lines().any(|written| written.trim() == line), "no {line:?} in\n{rules}");
        }
        assert!(!rules.contains("masquerade") && !rules.contains("nfproto"), "{rules}");
    }
}
