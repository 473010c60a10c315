//! `netcheck` and `why`: what stands between nodes. Whoever asks is in trouble: what is wrong and what to do
//! stands first, the facts below.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{NatProfile, NetcheckReply, PathKind, Ports, WhyReply};
use clap::Args;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;
use super::observe::path;
use super::text::{self, Table};
use super::{value, view};

/// Addresses, names or anchors on one line; the others are in the JSON.
const SHOWN_MAX: usize = 4;
/// Tries that `why` shows, the latest first.
const ATTEMPTS_SHOWN_MAX: usize = 10;

/// Show what stands between this machine and the others: NAT, addresses, anchors
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh netcheck\n  hopmesh netcheck --json | jq .nat\n\n\
    What is unknown is learnt from other nodes; it asks nobody outside the network.")]
pub(super) struct Netcheck {}

/// Say why a node is reached as it is, and what would make the path direct
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh why laptop\n  hopmesh why 10.7.0.2 --json | jq .advice")]
pub(super) struct Why {
    /// Name, mesh address or beginning of the id of a node
    #[arg(value_name = "NODE", value_parser = value::node)]
    node: String,
}

impl Netcheck {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::NetcheckRequest {};
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.netcheck(request).await)?;
        if context.json() {
            return context.print_json(&view::Netcheck::from(&reply));
        }
        context.say_all(netcheck_lines(&reply))
    }
}

impl Why {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::WhyRequest { node: self.node.clone() };
        let reply = Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.why(request).await)?;
        if context.json() {
            return context.print_json(&view::Why::from(&reply));
        }
        context.say_all(why_lines(&reply))
    }
}

fn netcheck_lines(reply: &NetcheckReply) -> Vec<String> {
    let mut lines: Vec<String> = reply.problems.iter().map(|problem| format!("! {problem}")).collect();
    if lines.is_empty() {
        lines.push("Nothing is known to be wrong.".to_owned());
    }
    lines.push(String::new());
    let mut table = Table::new();
    let mut row = |what: &str, value: String| table.row([what.to_owned(), value]);
    row("NAT", nat(reply.nat.as_ref()));
    if let Some(detail) = reply.nat.as_ref().and_then(nat_detail) {
        row("", detail);
    }
    row("UDP", view::reach_word(reply.udp()).to_owned());
    row("TCP", view::reach_word(reply.tcp()).to_owned());
    row("IPv6", ipv6(reply));
    row("seen as", or(seen(reply), "nobody has told yet"));
    row("dialled at", or(listed(reply.candidates.clone(), "  "), "nowhere"));
    let mapping = reply.port_mapping.as_ref().map(|mapping| mapping.words.clone());
    row("port mapping", or(mapping.unwrap_or_default(), "not known"));
    row("anchors", anchors(reply));
    row(
        "LAN",
        reply.lan.map_or("not listened to".to_owned(), |lan| format!("{} beacons heard", lan.beacons)),
    );
    row("DHT", dht(reply.dht.as_ref()));
    row("keepalive", seconds(reply.keepalive_s).map_or("not known yet".to_owned(), |s| format!("every {s}")));
    lines.extend(table.lines());
    lines
}

/// The sentence for people.
fn nat(nat: Option<&NatProfile>) -> String {
    or(nat.map_or(String::new(), |nat| nat.words.clone()), "not known yet")
}

/// The figures behind it, when there are any.
fn nat_detail(nat: &NatProfile) -> Option<String> {
    let known = (nat.mapping(), nat.filtering(), nat.ports()) != <_>::default();
    let ports = match nat.ports() {
        Ports::Sequential => format!(" by {}", nat.port_step()),
        Ports::Block => format!(" {} to {}", nat.port_first(), nat.port_last()),
        Ports::Unspecified | Ports::Preserved | Ports::Fixed | Ports::Random => String::new(),
    };
    known.then(|| {
        format!(
            "mapping {}, filtering {}, ports {}{ports}",
            view::dependence_word(nat.mapping()),
            view::dependence_word(nat.filtering()),
            view::ports_word(nat.ports())
        )
    })
}

fn ipv6(reply: &NetcheckReply) -> String {
    let ipv6 = reply.ipv6.unwrap_or_default();
    if !ipv6.has_address {
        return "no global address".to_owned();
    }
    format!("global address, {}", view::reach_word(ipv6.reach()))
}

/// Each address once, with those who saw it: `203.0.113.5:41641 by b, c`.
fn seen(reply: &NetcheckReply) -> String {
    let mut by: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for observed in &reply.observed {
        by.entry(&observed.address).or_default().push(observed.by.clone());
    }
    let lines = by.into_iter().map(|(address, by)| format!("{address} by {}", listed(by, ", ")));
    listed(lines.collect(), "; ")
}

fn anchors(reply: &NetcheckReply) -> String {
    let anchor = |anchor: &api::Anchor| {
        let rtt = anchor.path.as_ref().and_then(|path| path.rtt_ms).map(text::milliseconds);
        rtt.map_or(anchor.name.clone(), |rtt| format!("{} {rtt}", anchor.name))
    };
    let known = listed(reply.anchors.iter().map(anchor).collect(), ", ");
    if reply.is_anchor {
        return format!("this node is one; others: {}", or(known, "none known"));
    }
    or(known, "none known")
}

fn dht(dht: Option<&api::Dht>) -> String {
    let Some(dht) = dht else { return "not known".to_owned() };
    if !dht.enabled {
        return "off".to_owned();
    }
    if !dht.bootstrapped {
        return "does not answer yet".to_owned();
    }
    let published = seconds(dht.last_published_s);
    let published = published.map_or("not published yet".to_owned(), |ago| format!("published {ago} ago"));
    format!("{} nodes known, {published}", dht.nodes)
}

fn why_lines(reply: &WhyReply) -> Vec<String> {
    let mut lines = vec![headline(reply), String::new()];
    let mut table = Table::new();
    let mut row = |what: &str, value: String| table.row([what.to_owned(), value]);
    if kind(reply) != PathKind::Direct {
        row("because", reply.reason.clone());
    }
    for (at, advice) in reply.advice.iter().enumerate() {
        row(if at == 0 { "to do" } else { "or" }, advice.clone());
    }
    row("here", nat(reply.ours.as_ref()));
    row("there", or(reply.theirs.as_ref().map_or(String::new(), |there| nat(Some(there))), "not told yet"));
    if let Some(wait) = seconds(reply.next_try_s) {
        row("next try", format!("in {wait}"));
    }
    lines.extend(table.lines());
    if !reply.attempts.is_empty() {
        lines.push(String::new());
        lines.extend(attempts(reply));
    }
    lines
}

/// `b: via c (RTT 12.4 ms, loss 0 %)`.
fn headline(reply: &WhyReply) -> String {
    let (node, way) = (&reply.node, path(reply.path.as_ref()));
    if matches!(kind(reply), PathKind::None | PathKind::Unspecified) {
        return format!("{node}: not reached");
    }
    let rtt = reply.path.as_ref().and_then(|path| path.rtt_ms).map(text::milliseconds);
    let loss = reply.path.as_ref().and_then(|path| path.loss_per_mille).map(text::per_mille);
    let mtu = reply.path.as_ref().and_then(|path| path.mtu);
    let figures = [
        rtt.map(|rtt| format!("RTT {rtt}")),
        loss.map(|loss| format!("loss {loss}")),
        mtu.map(|mtu| format!("MTU {mtu}")),
    ];
    let figures = figures.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let figures = if figures.is_empty() { figures } else { format!(" ({figures})") };
    format!("{node}: {way}{figures}")
}

fn kind(reply: &WhyReply) -> PathKind {
    reply.path.as_ref().map_or(PathKind::None, api::Path::kind)
}

fn attempts(reply: &WhyReply) -> Vec<String> {
    let mut table = Table::with_headings(["TRIED", "DATAGRAMS", "TOOK", "RESULT", "BEGAN"]);
    for attempt in reply.attempts.iter().take(ATTEMPTS_SHOWN_MAX) {
        table.row([
            attempt.strategy.clone(),
            attempt.probes.to_string(),
            took(attempt.took_s),
            attempt.result.clone(),
            seconds(Some(attempt.ago_s)).map_or(String::new(), |ago| format!("{ago} ago")),
        ]);
    }
    let mut lines = table.lines();
    if let Some(more @ 1..) = reply.attempts.len().checked_sub(ATTEMPTS_SHOWN_MAX) {
        lines.push(format!("and {more} before: see them with --json"));
    }
    lines
}

/// A short time: some tries end within milliseconds.
fn took(s: f64) -> String {
    if (0.0..1.0).contains(&s) {
        text::milliseconds(s * 1000.0)
    } else {
        seconds(Some(s)).unwrap_or_default()
    }
}

/// A time that came as seconds and may be anything.
fn seconds(s: Option<f64>) -> Option<String> {
    s.and_then(|s| Duration::try_from_secs_f64(s).ok()).map(text::duration)
}

/// The first of them, and how many there are besides.
fn listed(mut items: Vec<String>, between: &str) -> String {
    let more = items.len().saturating_sub(SHOWN_MAX);
    items.truncate(SHOWN_MAX);
    let shown = items.join(between);
    if more == 0 { shown } else { format!("{shown}{between}and {more} more") }
}

fn or(text: String, instead: &str) -> String {
    if text.is_empty() { instead.to_owned() } else { text }
}
