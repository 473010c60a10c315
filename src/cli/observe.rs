//! `status` and `peers`: what the daemon sees.

use std::cmp::Reverse;
use std::io::{self, IsTerminal};
use std::time::Duration;

use api::{PathKind, Peer, PeerState, StatusReply};
use clap::Args;
use serde_json::json;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;
use super::live::{Screen, watch_status};
use super::text::{self, Table};
use super::view;

/// Lines of a `status`: a screen of 24, less the one where the next command is typed.
const SCREEN_LINES: usize = 23;
/// Columns of the same screen.
const SCREEN_COLUMNS: usize = 80;
/// Lines of a `status` that problems may take, so that some of the peers are seen beside them.
const PROBLEM_LINES_MAX: usize = 8;
/// Lines that stand beside problems and summary: two empty ones, the headings of peers, one of them, and a word on the rest.
const BESIDE_LINES: usize = 5;
/// Characters of a path that are shown, however narrow the screen is.
const PATH_SHOWN_MIN: usize = 12;
/// What is passed on for other hosts that `status` shows, so that it fits a line.
const STATUS_FRONTS_MAX: usize = 2;
/// Drop reasons that `status` shows, the most frequent first.
const STATUS_DROPS_MAX: usize = 4;
/// From one look of `status --watch` to the next: people read no faster.
const WATCH_INTERVAL_MS: u64 = 1000;
/// Characters of an id that tell nodes apart in any network people look at.
const ID_SHOWN: usize = 10;

/// Show the state of this node on one screen, problems first
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hopmesh status\n  hopmesh status --json | jq .peers\n  hopmesh status --watch\n\n\
    With --watch it goes on until it is interrupted, also while the daemon is away."
)]
pub(super) struct Status {
    /// Show it again whenever it has changed
    #[arg(long)]
    watch: bool,
    /// Milliseconds from one look to the next
    #[arg(long, value_name = "MS", requires = "watch", default_value_t = WATCH_INTERVAL_MS, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    interval_ms: u64,
}

/// List the other nodes of the network, each with its path
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh peers")]
pub(super) struct Peers {}

impl Status {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        if self.watch {
            let screen = if io::stdout().is_terminal() { Screen::Terminal } else { Screen::Pipe };
            return watch_status(context, Duration::from_millis(self.interval_ms), screen);
        }
        let reply = ask(context)?;
        if context.json() {
            return context.print_json(&view::Status::from(&reply));
        }
        context.say_all(status_lines(&reply, &context.program()))
    }
}

impl Peers {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let reply = ask(context)?;
        if context.json() {
            let peers: Vec<_> = reply.peers.iter().map(view::Peer::from).collect();
            let guests: Vec<_> = reply.guests.iter().map(view::Guest::from).collect();
            return context.print_json(&json!({ "peers": peers, "guests": guests }));
        }
        if reply.peers.is_empty() && reply.guests.is_empty() {
            let invite = context.command_line("invite");
            return context.say(format!("no peers yet: `{invite}` prints an invite for the next machine"));
        }
        if !reply.peers.is_empty() {
            context.say_all(peer_table(&reply.peers.iter().collect::<Vec<_>>()))?;
        }
        if !reply.guests.is_empty() {
            context.say("")?;
            context.say_all(super::guest::table(&reply.guests))?;
        }
        Ok(())
    }
}

fn ask(context: &Context<'_>) -> Result<StatusReply, Failure> {
    Ok(Daemon::reach(context)?
        .ask(ANSWER_TIMEOUT, async |client| client.status(api::StatusRequest {}).await)?)
}

/// The screen of `status`; `program` is how `hopmesh` is called to tell of the same network what finds no place on it.
pub(super) fn status_lines(reply: &StatusReply, program: &str) -> Vec<String> {
    let summary = summary(reply);
    let room = SCREEN_LINES.saturating_sub(summary.len() + BESIDE_LINES).min(PROBLEM_LINES_MAX);
    let mut lines = problem_lines(&reply.problems, room, program);
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.extend(summary);
    if !reply.peers.is_empty() {
        lines.push(String::new());
        let room = SCREEN_LINES.saturating_sub(lines.len());
        lines.extend(peers_on_status(&reply.peers, room, program));
    }
    lines
}

/// As many problems as find place, each whole: half of one might leave out what to do.
fn problem_lines(problems: &[String], lines_max: usize, program: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (told, problem) in problems.iter().enumerate() {
        let text = text::wrap(&text::clean(problem), SCREEN_COLUMNS - 2);
        let is_last = told + 1 == problems.len();
        // The line that tells of the rest.
        let room = lines_max.saturating_sub(usize::from(!is_last));
        if told > 0 && lines.len() + text.len() > room {
            let more = problems.len() - told;
            lines.push(format!("! and {more} more: `{program} status --json` has all"));
            break;
        }
        let marks = std::iter::once("! ").chain(std::iter::repeat("  "));
        lines.extend(marks.zip(text).map(|(mark, line)| format!("{mark}{line}")));
    }
    lines
}

fn summary(reply: &StatusReply) -> Vec<String> {
    let mut table = Table::new();
    let mut row = |what: &str, value: String| table.row([what.to_owned(), value]);
    if let Some(network) = &reply.network {
        let id = short(&network.id);
        let api::Network { name, ipv4_range, ipv6_prefix, epoch, .. } = network;
        row("network", format!("{name}  {ipv4_range}  {ipv6_prefix}  id {id}  epoch {epoch}"));
    }
    if let Some(node) = &reply.node {
        row("node", format!("{}  {}  id {}", node.name, node.roles.join(" "), short(&node.id)));
        row("addresses", node.addresses.join("  "));
    }
    if let Some(interface) = &reply.interface {
        row("interface", format!("{}  MTU {}", interface.name, interface.mtu));
    }
    row("listening", reply.listen.join("  "));
    if let Some(names) = &reply.names {
        row("names", names.host.clone());
    }
    if let Some(exit) = &reply.exit {
        let besides = if reply.allow_lan { ", local networks besides" } else { "" };
        let state = super::exit::state_words(exit.state());
        row("exit", format!("all traffic leaves by {} ({state}){besides}", exit.node));
    } else if reply.is_exit {
        row("exit", "this machine is one".to_owned());
    }
    if let Some(held) = reply.held.as_ref().filter(|held| held.parts > 1 || !held.is_complete) {
        row("records", records(held));
    }
    row("up", format!("{}  version {}", text::duration(Duration::from_secs(reply.uptime_s)), reply.version));
    if !reply.fronts.is_empty() {
        row("passed on", passed_on(&reply.fronts));
    }
    row("peers", peer_counts(&reply.peers));
    if !reply.guests.is_empty() {
        row("guests", guest_counts(&reply.guests));
    }
    if !reply.drops.is_empty() {
        row("drops", drops(reply));
    }
    table.lines()
}

/// `printer to 192.168.1.9:631, 2 more; 5 connections, 7 refused`.
fn passed_on(fronts: &[api::Front]) -> String {
    let one = |front: &api::Front| {
        let version = front.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
        format!("{}{version} to {}", front.name, front.to)
    };
    let mut said: Vec<_> = fronts.iter().take(STATUS_FRONTS_MAX).map(one).collect();
    if let Some(more @ 1..) = fronts.len().checked_sub(STATUS_FRONTS_MAX) {
        said.push(format!("{more} more"));
    }
    let sum = |count: fn(&api::Front) -> u64| fronts.iter().map(count).sum::<u64>();
    let counts = [
        (sum(|front| front.connections.into()), "connections"),
        (sum(|front| front.refused), "refused"),
        (sum(|front| front.unreached), "not reached"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    let separator = if counts.is_empty() { "" } else { "; " };
    format!("{}{separator}{}", said.join(", "), counts.join(", "))
}

fn records(held: &api::Held) -> String {
    let part = match (held.parts, held.is_complete) {
        (1, true) => return held.records.to_string(),
        (1, false) => "not all services yet".to_owned(),
        (parts, true) => format!("1/{parts} of all services"),
        (parts, false) => format!("1/{parts} of all services, not complete yet"),
    };
    format!("{}  {part}", held.records)
}

fn peer_counts(peers: &[Peer]) -> String {
    let states = [
        PeerState::Connected,
        PeerState::Connecting,
        PeerState::Resting,
        PeerState::Offline,
        PeerState::Revoked,
    ];
    let count = |state| peers.iter().filter(|peer| peer.state() == state).count();
    let counts = states.map(|state| (count(state), view::state_word(state)));
    let said: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if said.is_empty() { "none yet".to_owned() } else { said.join(", ") }
}

/// `2 here, 1 of them connected; 3 of others`.
fn guest_counts(guests: &[api::Guest]) -> String {
    let own = guests.iter().filter(|guest| guest.is_own).count();
    let connected = guests.iter().filter(|guest| guest.last_handshake_s.is_some()).count();
    match (own, guests.len() - own) {
        (0, others) => format!("{others} of others"),
        (own, 0) => format!("{own} here, {connected} of them connected"),
        (own, others) => format!("{own} here, {connected} of them connected; {others} of others"),
    }
}

fn drops(reply: &StatusReply) -> String {
    let mut drops: Vec<_> = reply.drops.iter().collect();
    drops.sort_by_key(|&(reason, count)| (Reverse(count), reason));
    let mut said: Vec<_> =
        drops.iter().take(STATUS_DROPS_MAX).map(|(reason, count)| format!("{count} {reason}")).collect();
    if drops.len() > STATUS_DROPS_MAX {
        said.push("others".to_owned());
    }
    said.join(", ")
}

/// The peers that matter most now, in so many lines.
fn peers_on_status(peers: &[Peer], room: usize, program: &str) -> Vec<String> {
    let mut shown: Vec<&Peer> = peers.iter().collect();
    shown.sort_by_key(|peer| peer.state);
    // One line has the headings, and another what is left out.
    let all = peers.len() < room;
    if !all {
        shown.truncate(room.saturating_sub(2).max(1));
    }
    let mut lines = narrow_peer_table(&shown, usize::MAX);
    let width = |line: &String| line.chars().count();
    let excess = lines.iter().map(width).max().unwrap_or(0).saturating_sub(SCREEN_COLUMNS);
    if excess > 0 {
        let longest = shown.iter().map(|peer| width(&path(peer.path.as_ref()))).max().unwrap_or(0);
        lines = narrow_peer_table(&shown, longest.saturating_sub(excess).max(PATH_SHOWN_MIN));
    }
    if !all {
        lines.push(format!("and {} more: `{program} peers`", peers.len() - shown.len()));
    }
    lines
}

/// A line a peer, with what fits beside a status; longer paths are cut to so many characters.
fn narrow_peer_table(peers: &[&Peer], path_length_max: usize) -> Vec<String> {
    let mut table = Table::with_headings(["NAME", "ADDRESS", "STATE", "PATH", "RTT", "LOSS"]);
    for peer in peers {
        let address = peer.addresses.first().cloned().unwrap_or_default();
        let (path, rtt, loss) = travel(peer.path.as_ref());
        let path = text::shorten(&path, path_length_max);
        table.row([peer.name.clone(), address, state(peer), path, rtt, loss]);
    }
    table.lines()
}

/// A line a peer, with everything that is known.
fn peer_table(peers: &[&Peer]) -> Vec<String> {
    let headings = [
        "NAME",
        "ID",
        "STATE",
        "PATH",
        "RTT",
        "LOSS",
        "MTU",
        "RECEIVED",
        "SENT",
        "LAST HANDSHAKE",
        "ADDRESSES",
    ];
    let mut table = Table::with_headings(headings);
    for peer in peers {
        let (path, rtt, loss) = travel(peer.path.as_ref());
        let handshake = peer.last_handshake_s.and_then(|s| Duration::try_from_secs_f64(s).ok());
        table.row([
            peer.name.clone(),
            short(&peer.id).to_owned(),
            state(peer),
            path,
            rtt,
            loss,
            peer.path.as_ref().and_then(|path| path.mtu).map_or("-".to_owned(), |mtu| mtu.to_string()),
            text::bytes(peer.rx_bytes),
            text::bytes(peer.tx_bytes),
            handshake.map_or("-".to_owned(), |ago| format!("{} ago", text::duration(ago))),
            peer.addresses.join(" "),
        ]);
    }
    table.lines()
}

fn state(peer: &Peer) -> String {
    view::state_word(peer.state()).to_owned()
}

/// `direct 203.0.113.5:41641`, `via b, c`, `stream (TCP) 203.0.113.5:443`.
pub(super) fn path(path: Option<&api::Path>) -> String {
    let Some(path) = path else { return "none".to_owned() };
    let remote = path.remote.as_ref().map_or(String::new(), |remote| format!(" {remote}"));
    match path.kind() {
        PathKind::Direct => format!("direct{remote}"),
        PathKind::Stream => format!("stream (TCP){remote}"),
        PathKind::Hop => {
            let hops = if path.hops.is_empty() { "hops".to_owned() } else { path.hops.join(", ") };
            format!("via {hops}{}", if path.pending { " (being set up)" } else { "" })
        }
        PathKind::None | PathKind::Unspecified => "none".to_owned(),
    }
}

/// Path, round trip and loss, as cells.
fn travel(api_path: Option<&api::Path>) -> (String, String, String) {
    let rtt = api_path.and_then(|path| path.rtt_ms).map_or("-".to_owned(), text::milliseconds);
    let loss = api_path.and_then(|path| path.loss_per_mille).map_or("-".to_owned(), text::per_mille);
    (path(api_path), rtt, loss)
}

/// The beginning of an id; ids come as text from a daemon and may hold anything.
fn short(id: &str) -> &str {
    id.char_indices().nth(ID_SHOWN).map_or(id, |(end, _)| &id[..end])
}
