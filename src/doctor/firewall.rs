//! Does this machine's own firewall drop our packets?
//!
//! The rules of nftables (iptables of today writes such rules, too) are followed for our datagrams and for pings of the
//! mesh, in the base chains of the hooks input and output; where this machine is a router or an exit, for TCP on the hook
//! forward, too. What a rule asks that is not known of such a packet is neither yes nor no,
//! and nothing is concluded from it: only what is dropped for certain is told.

mod packet;
mod ruleset;

use packet::{Carried, Direction, Family, Packet};
use ruleset::{Fate, Ruleset};

use super::{Outcome, Surroundings, mtu, port};
use crate::io::{inspect, program};

/// What is known of the firewall.
#[derive(Debug)]
struct Facts {
    network: String,
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
        network: status.network.clone().unwrap_or_default().name,
        port,
        interface: status.interface.clone().unwrap_or_default().name,
        underlay: mtu::underlay(),
        legacy: inspect::legacy_firewall_tables().unwrap_or_default(),
    };
    judge(&facts, &ruleset)
}

fn judge(facts: &Facts, ruleset: &Ruleset) -> Outcome {
    let Facts { network, port, interface, underlay, legacy } = facts;
    let mut found = Vec::new();
    for family in [Family::V4, Family::V6] {
        for direction in [Direction::Input, Direction::Output] {
            let udp = |is_new| Packet {
                family,
                direction,
                arrives: underlay.as_deref(),
                leaves: underlay.as_deref(),
                not_interface: interface,
                carries: Carried::Udp(*port),
                is_new,
            };
            let mesh = |is_new| Packet {
                arrives: Some(interface),
                leaves: Some(interface),
                carries: Carried::Ping,
                not_interface: "",
                ..udp(is_new)
            };
            found.extend(judge_udp(&udp, ruleset, *port));
            found.extend(judge_mesh(&mesh, ruleset, interface));
        }
        if ruleset.forwards(network)
            && let Some(underlay) = underlay
        {
            found.extend(judge_forwarding(family, ruleset, (interface, underlay)));
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
        (Direction::Forward, _, _) | (_, Fate::Passed | Fate::Unknown, Fate::Passed | Fate::Unknown) => None,
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
        (Direction::Forward, _, _) | (_, Fate::Passed | Fate::Unknown, Fate::Passed | Fate::Unknown) => None,
    }
}

/// What members send beyond this machine, and what comes back.
fn judge_forwarding(family: Family, ruleset: &Ruleset, (mesh, underlay): (&str, &str)) -> Option<Outcome> {
    let there = Packet {
        family,
        direction: Direction::Forward,
        arrives: Some(mesh),
        leaves: Some(underlay),
        not_interface: "",
        carries: Carried::Tcp,
        is_new: true,
    };
    let back = Packet { arrives: Some(underlay), leaves: Some(mesh), is_new: false, ..there };
    let dropped =
        [(there, mesh, underlay), (back, underlay, mesh)].into_iter().find_map(|(packet, from, to)| {
            match ruleset.fate(&packet) {
                Fate::Dropped(rule) => Some((rule, from, to)),
                Fate::Passed | Fate::Unknown => None,
            }
        });
    let (rule, from, to) = dropped?;
    Some(Outcome::failed(
        format!(
            "{rule} drops what is forwarded from {from} to {to} ({}): nobody gets further than here",
            family.word()
        ),
        format!(
            "accept before it what has to do with {mesh}: with Docker `iptables -I DOCKER-USER -i {mesh} -j ACCEPT` and the same with `-o`, with ufw \
            `ufw route allow in on {mesh}`, else `iifname \"{mesh}\" accept` and `oifname \"{mesh}\" accept`"
        ),
    ))
}

#[cfg(test)]
mod tests;
