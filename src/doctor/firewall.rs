//! Does this machine's own firewall drop our packets?
//!
//! The rules of nftables (iptables of today writes such rules, too) are followed for our datagrams and for pings of the
//! mesh, in the base chains of the hooks input and output. What a rule asks that is not known of such a packet is neither yes nor no,
//! and nothing is concluded from it: only what is dropped for certain is told.

mod packet;
mod ruleset;

use packet::{Direction, Family, Packet};
use ruleset::{Fate, Ruleset};

use super::{Outcome, Surroundings, mtu, port};
use crate::io::{inspect, program};

/// What is known of the firewall.
#[derive(Debug)]
struct Facts {
    port: u16,
    interface: String,
    underlay: Option<String>,
    /// Tables of the older kind of iptables, which are not judged.
    legacy: Vec<String>,
}

pub(super) fn check(around: &Surroundings) -> Outcome {
    let status = match around.answers() {
        Ok(answers) => &answers.status,
        Err(outcome) => return outcome,
    };
    let Some(port) = port::listened(status) else {
        return Outcome::skipped("the daemon does not say its port");
    };
    let ruleset = program::run("nft", &["--json", "list", "ruleset"]);
    let ruleset = match ruleset.and_then(|text| Ruleset::parse(&text)) {
        Ok(ruleset) => ruleset,
        Err(why) => return Outcome::skipped(format!("rules cannot be read: {why}")),
    };
    let facts = Facts {
        port,
        interface: status.interface.clone().unwrap_or_default().name,
        underlay: mtu::underlay(),
        legacy: inspect::legacy_firewall_tables().unwrap_or_default(),
    };
    judge(&facts, &ruleset)
}

fn judge(facts: &Facts, ruleset: &Ruleset) -> Outcome {
    let Facts { port, interface, underlay, legacy } = facts;
    let mut found = Vec::new();
    for family in [Family::V4, Family::V6] {
        for direction in [Direction::Input, Direction::Output] {
            let udp = |is_new| Packet {
                family,
                direction,
                interface: underlay.as_deref(),
                not_interface: interface,
                udp_port: Some(*port),
                is_new,
            };
            let mesh = |is_new| Packet {
                interface: Some(interface),
                udp_port: None,
                not_interface: "",
                ..udp(is_new)
            };
            found.extend(judge_udp(&udp, ruleset, *port));
            found.extend(judge_mesh(&mesh, ruleset, interface));
        }
    }
    if !legacy.is_empty() {
        found.push(Outcome::skipped(format!(
            "iptables-legacy has tables ({}) that are not judged: see `iptables-legacy -L -v -n`",
            legacy.join(", ")
        )));
    }
    Outcome::worst(found, || Outcome::ok("no rule of nftables is known to drop our packets"))
}

fn judge_udp<'a>(packet: &dyn Fn(bool) -> Packet<'a>, ruleset: &Ruleset, port: u16) -> Option<Outcome> {
    let (first, later) = (packet(true), packet(false));
    // Without IPv6 there is IPv4.
    let tell = if first.family == Family::V4 { Outcome::failed } else { Outcome::warning };
    match (first.direction, ruleset.fate(&first), ruleset.fate(&later)) {
        (Direction::Input, _, Fate::Dropped(rule)) => Some(tell(
            format!("{rule} drops what arrives at UDP port {port} ({})", first.family.word()),
            format!("remove it, or accept before it: `udp dport {port} accept`"),
        )),
        (Direction::Input, Fate::Dropped(rule), _) => Some(Outcome::warning(
            format!("{rule} drops what others send first to UDP port {port} ({})", first.family.word()),
            format!(
                "accept before it: `udp dport {port} accept`; until then others reach this machine only once it has sent to them"
            ),
        )),
        (Direction::Output, Fate::Dropped(rule), _) | (Direction::Output, _, Fate::Dropped(rule)) => {
            Some(tell(
                format!("{rule} drops what is sent from UDP port {port} ({})", first.family.word()),
                format!("remove it, or accept before it: `udp sport {port} accept`"),
            ))
        }
        (_, Fate::Passed | Fate::Unknown, Fate::Passed | Fate::Unknown) => None,
    }
}

fn judge_mesh<'a>(
    packet: &dyn Fn(bool) -> Packet<'a>,
    ruleset: &Ruleset,
    interface: &str,
) -> Option<Outcome> {
    let (first, later) = (packet(true), packet(false));
    let word = first.family.word();
    let accept = |key| format!("remove it, or accept before it: `{key} \"{interface}\" accept`");
    match (first.direction, ruleset.fate(&first), ruleset.fate(&later)) {
        (Direction::Input, _, Fate::Dropped(rule)) => Some(Outcome::failed(
            format!("{rule} drops pings that arrive by {interface} ({word}), and the answers to our own"),
            accept("iifname"),
        )),
        (Direction::Input, Fate::Dropped(rule), _) => Some(Outcome::warning(
            format!(
                "{rule} drops pings of other nodes that arrive by {interface} ({word}), and maybe all that they begin"
            ),
            accept("iifname"),
        )),
        (Direction::Output, Fate::Dropped(rule), _) | (Direction::Output, _, Fate::Dropped(rule)) => {
            Some(Outcome::failed(
                format!("{rule} drops pings that leave by {interface} ({word})"),
                accept("oifname"),
            ))
        }
        (_, Fate::Passed | Fate::Unknown, Fate::Passed | Fate::Unknown) => None,
    }
}

#[cfg(test)]
mod tests;
