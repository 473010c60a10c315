//! The guard's rules, as a text for `nft -f -`: one table of our own, made anew as a whole, so that it is never half open.

use std::fmt::Write;

use ipnet::IpNet;

use super::Plan;
use crate::io::mark::MARK;
use crate::io::nftables::removal;

/// Groups and broadcasts of a local network, which no router passes on.
const LAN_V4: [&str; 2] = ["224.0.0.0/24", "255.255.255.255"];
const LAN_V6: [&str; 2] = ["fe80::/10", "ff02::/16"];

/// The rules for a plan. With `has_mark` what carries the mesh is known by its mark when it arrives, too.
pub(super) fn ruleset(table: &str, plan: &Plan, has_mark: bool) -> String {
    let mut text = removal(table);
    // Writing to a String does not fail.
    let _ = writeln!(text, "table inet {table} {{");
    output(&mut text, plan);
    forward(&mut text, plan);
    if has_mark {
        mark(&mut text, plan);
    }
    text.push_str("}\n");
    text
}

/// What this machine sends itself: to itself, into the mesh, what carries the mesh, and what keeps its addresses.
fn output(text: &mut String, plan: &Plan) {
    let passes = format!(
        "\t\tmeta mark {MARK:#x} accept
\t\tudp sport 68 udp dport 67 accept
\t\tudp sport 546 udp dport 547 accept
\t\ticmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report }} accept
"
    );
    chain(text, plan, "output", ("", &passes));
}

/// What this machine forwards for others, such as its containers: into the mesh and out of it.
fn forward(text: &mut String, plan: &Plan) {
    let out = plan.interface.iter().map(|interface| format!("\t\tiifname \"{interface}\" accept\n"));
    chain(text, plan, "forward", (&out.collect::<String>(), ""));
}

/// A chain on a hook that drops all but what goes to this machine, into the mesh and, where that is allowed, to local networks; and what
/// rules `before` and `after` these accept.
fn chain(text: &mut String, plan: &Plan, hook: &str, (before, after): (&str, &str)) {
    let mesh = plan.interface.iter().map(|interface| format!(", \"{interface}\""));
    let _ = write!(
        text,
        "\tchain {hook} {{
\t\ttype filter hook {hook} priority filter; policy accept;
{before}\t\toifname {{ \"lo\"{} }} accept
{after}",
        mesh.collect::<String>()
    );
    lan(text, plan);
    text.push_str("\t\tcounter drop\n\t}\n");
}

/// Local networks, where they may be reached; but their name servers tell the internet what is asked.
fn lan(text: &mut String, plan: &Plan) {
    let Some(lan) = &plan.lan else { return };
    let of = |is_ipv4: bool, more: &[&str]| {
        let prefixes = lan.iter().filter(|prefix| prefix.addr().is_ipv4() == is_ipv4).map(IpNet::to_string);
        prefixes.chain(more.iter().map(ToString::to_string)).collect::<Vec<_>>().join(", ")
    };
    let _ = write!(
        text,
        "\t\tmeta l4proto {{ tcp, udp }} th dport {{ 53, 853 }} drop
\t\tip daddr {{ {} }} accept
\t\tip6 daddr {{ {} }} accept
",
        of(true, &LAN_V4),
        of(false, &LAN_V6)
    );
}

/// What carries the mesh has its mark when it arrives, too: a kernel that checks whence packets come (`rp_filter`) then looks where
/// the answer would go, which is not into the mesh.
fn mark(text: &mut String, plan: &Plan) {
    let port = plan.port;
    let _ = write!(
        text,
        "\tchain arriving {{
\t\ttype filter hook prerouting priority mangle; policy accept;
\t\tct mark {MARK:#x} meta mark set {MARK:#x}
\t\tudp dport {port} meta mark set {MARK:#x}
\t}}
\tchain leaving {{
\t\ttype filter hook output priority mangle; policy accept;
\t\tmeta mark {MARK:#x} ct mark set {MARK:#x}
\t}}
"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "hopmesh-home-exit";

    fn plan(lan: Option<&[&str]>) -> Plan {
        Plan {
            interface: Some("hm-home".to_owned()),
            port: 41820,
            lan: lan.map(|lan| lan.iter().map(|prefix| prefix.parse().unwrap()).collect()),
        }
    }

    #[test]
    fn nothing_passes_but_the_mesh_and_what_keeps_addresses() {
        let expected = r#"table inet hopmesh-home-exit
delete table inet hopmesh-home-exit
table inet hopmesh-home-exit {
	chain output {
		type filter hook output priority filter; policy accept;
		oifname { "lo", "hm-home" } accept
		meta mark 0x484d accept
		udp sport 68 udp dport 67 accept
		udp sport 546 udp dport 547 accept
		icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report } accept
		counter drop
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname "hm-home" accept
		oifname { "lo", "hm-home" } accept
		counter drop
	}
}
"#;
        assert_eq!(ruleset(TABLE, &plan(None), false), expected);
    }

    #[test]
    fn before_there_is_an_interface_nothing_passes_into_it() {
        let rules = ruleset(TABLE, &Plan { interface: None, ..plan(None) }, false);
        assert_eq!(rules.matches("oifname { \"lo\" } accept").count(), 2, "{rules}");
        assert!(!rules.contains("iifname") && !rules.contains("hm-home\""), "{rules}");
        assert_eq!(rules.matches("counter drop").count(), 2, "{rules}");
    }

    #[test]
    fn local_networks_pass_when_they_may_but_not_their_name_servers() {
        let rules = ruleset(TABLE, &plan(Some(&["192.168.1.0/24", "fd09::/64"])), true);
        let names = rules.find("th dport { 53, 853 } drop").unwrap();
        let v4 = rules.find("ip daddr { 192.168.1.0/24, 224.0.0.0/24, 255.255.255.255 } accept").unwrap();
        let v6 = rules.find("ip6 daddr { fd09::/64, fe80::/10, ff02::/16 } accept").unwrap();
        assert!(names < v4 && v4 < v6 && v6 < rules.find("counter drop").unwrap(), "{rules}");
        assert!(rules.contains("udp dport 41820 meta mark set 0x484d"), "{rules}");
        assert!(
            ruleset(TABLE, &plan(Some(&[])), false).contains("ip daddr { 224.0.0.0/24, 255.255.255.255 }")
        );
    }
}
