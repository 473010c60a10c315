//! What `top` shows: the latest status, the rates since the one before, the order and the place in the list.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api::{PathKind, Peer, StatusReply};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::cli::observe::path;
use crate::cli::text::{self, clean};
use crate::cli::view::state_word;

/// Rates over less time than this say nothing.
const SAMPLE_MIN: Duration = Duration::from_millis(50);
/// Lines that the page keys move.
const PAGE: usize = 10;

/// What a key asks of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Stay,
    Quit,
}

/// A column that the list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Name,
    Path,
    RoundTrip,
    Loss,
    BytesIn,
    BytesOut,
    PacketsIn,
    PacketsOut,
}

impl Column {
    /// From left to right.
    pub(super) const ALL: [Self; 8] = [
        Self::Name,
        Self::Path,
        Self::RoundTrip,
        Self::Loss,
        Self::BytesIn,
        Self::BytesOut,
        Self::PacketsIn,
        Self::PacketsOut,
    ];

    fn neighbour(self, step: isize) -> Self {
        let count = Self::ALL.len();
        let at = Self::ALL.iter().position(|column| *column == self).unwrap_or(0);
        Self::ALL[(at + count).saturating_add_signed(step) % count]
    }

    /// Figures stand right, and the largest is looked for first.
    pub(super) fn is_figure(self) -> bool {
        !matches!(self, Self::Name | Self::Path)
    }
}

/// What passes in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    pub(super) packets_in: f64,
    pub(super) packets_out: f64,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    id: String,
    /// How packets travel, or what the session is doing when they do not.
    pub(super) path: String,
    pub(super) is_reached: bool,
    pub(super) round_trip_ms: Option<f64>,
    pub(super) loss_per_mille: Option<u32>,
    /// None until two answers tell the difference.
    pub(super) rates: Option<Rates>,
}

/// Counters of all peers at one moment, by id.
struct Sample {
    at: Instant,
    counters: BTreeMap<String, [u64; 4]>,
}

/// All that is drawn.
pub(super) struct Model {
    /// Absent until the first answer.
    pub(super) headline: Option<String>,
    /// What is wrong, the most important first.
    pub(super) problems: Vec<String>,
    /// Why there is no answer; what is shown is old then.
    pub(super) away: Option<String>,
    pub(super) rows: Vec<Row>,
    pub(super) sort: Column,
    pub(super) is_descending: bool,
    /// Lines that are scrolled out at the top.
    pub(super) offset: usize,
    sample: Option<Sample>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            headline: None,
            problems: vec![],
            away: None,
            rows: vec![],
            sort: Column::Name,
            is_descending: false,
            offset: 0,
            sample: None,
        }
    }

    /// Takes what the daemon says, or why it says nothing.
    pub(super) fn handle_answer(&mut self, answer: Result<StatusReply, String>, now: Instant) {
        let status = match answer {
            Ok(status) => status,
            Err(sentence) => {
                self.away = Some(clean(&sentence));
                self.rows.iter_mut().for_each(|row| row.rates = None);
                self.sample = None;
                return;
            }
        };
        self.away = None;
        self.headline = Some(headline(&status));
        self.problems = status.problems.iter().map(|problem| clean(problem)).collect();
        let before = self.sample.take();
        self.rows = status.peers.iter().map(|peer| row(peer, before.as_ref(), now)).collect();
        let counters = status.peers.iter().map(|peer| (peer.id.clone(), counters(peer))).collect();
        self.sample = Some(Sample { at: now, counters });
        self.arrange();
    }

    /// Takes a key.
    pub(super) fn handle_key(&mut self, key: KeyEvent) -> Wish {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if key.kind == KeyEventKind::Release {
            return Wish::Stay;
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "all other keys mean nothing here")]
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('c' | 'd') if is_control => return Wish::Quit,
            KeyCode::Left => self.sort_by(self.sort.neighbour(-1)),
            KeyCode::Right => self.sort_by(self.sort.neighbour(1)),
            KeyCode::Char('r') => self.is_descending = !self.is_descending,
            KeyCode::Up => self.offset = self.offset.saturating_sub(1),
            KeyCode::Down => self.offset += 1,
            KeyCode::PageUp => self.offset = self.offset.saturating_sub(PAGE),
            KeyCode::PageDown => self.offset += PAGE,
            KeyCode::Home => self.offset = 0,
            KeyCode::End => self.offset = self.rows.len(),
            _ => {}
        }
        self.arrange();
        Wish::Stay
    }

    /// All rates together.
    pub(super) fn total(&self) -> Option<Rates> {
        let sum = |a: Rates, b: Rates| Rates {
            bytes_in: a.bytes_in + b.bytes_in,
            bytes_out: a.bytes_out + b.bytes_out,
            packets_in: a.packets_in + b.packets_in,
            packets_out: a.packets_out + b.packets_out,
        };
        self.rows.iter().filter_map(|row| row.rates).reduce(sum)
    }

    fn sort_by(&mut self, column: Column) {
        self.sort = column;
        self.is_descending = column.is_figure();
    }

    /// Puts the rows in order; at least one stays on the screen.
    fn arrange(&mut self) {
        let (column, is_descending) = (self.sort, self.is_descending);
        self.rows.sort_by(|a, b| {
            let order = compare(column, a, b);
            let order = if is_descending { order.reverse() } else { order };
            order.then_with(|| (&a.name, &a.id).cmp(&(&b.name, &b.id)))
        });
        self.offset = self.offset.min(self.rows.len().saturating_sub(1));
    }
}

fn compare(column: Column, a: &Row, b: &Row) -> Ordering {
    // What is not known is less than any figure.
    let figures = |of: &dyn Fn(&Row) -> Option<f64>| {
        let [a, b] = [a, b].map(|row| of(row).unwrap_or(-1.0));
        a.total_cmp(&b)
    };
    match column {
        Column::Name => a.name.cmp(&b.name),
        Column::Path => (!a.is_reached, &a.path).cmp(&(!b.is_reached, &b.path)),
        Column::RoundTrip => figures(&|row| row.round_trip_ms),
        Column::Loss => figures(&|row| row.loss_per_mille.map(f64::from)),
        Column::BytesIn => figures(&|row| row.rates.map(|rates| rates.bytes_in)),
        Column::BytesOut => figures(&|row| row.rates.map(|rates| rates.bytes_out)),
        Column::PacketsIn => figures(&|row| row.rates.map(|rates| rates.packets_in)),
        Column::PacketsOut => figures(&|row| row.rates.map(|rates| rates.packets_out)),
    }
}

/// `home  a  10.7.0.1  up 2 h 5 min  3 peers, 1 connected`.
fn headline(status: &StatusReply) -> String {
    let network = status.network.as_ref().map_or("", |network| &network.name);
    let (node, address) = status
        .node
        .as_ref()
        .map_or(("", ""), |node| (node.name.as_str(), node.addresses.first().map_or("", String::as_str)));
    let up = text::duration(Duration::from_secs(status.uptime_s));
    let connected = status.peers.iter().filter(|peer| peer.state() == api::PeerState::Connected).count();
    clean(&format!(
        "{network}  {node}  {address}  up {up}  {} peers, {connected} connected",
        status.peers.len()
    ))
}

fn row(peer: &Peer, before: Option<&Sample>, now: Instant) -> Row {
    let kind = peer.path.as_ref().map_or(PathKind::None, api::Path::kind);
    let is_reached = !matches!(kind, PathKind::None | PathKind::Unspecified);
    let way = if is_reached { path(peer.path.as_ref()) } else { state_word(peer.state()).to_owned() };
    Row {
        name: clean(&peer.name),
        id: peer.id.clone(),
        path: clean(&way),
        is_reached,
        round_trip_ms: peer.path.as_ref().and_then(|path| path.rtt_ms),
        loss_per_mille: peer.path.as_ref().and_then(|path| path.loss_per_mille),
        rates: before.and_then(|before| rates(before, peer, now)),
    }
}

fn counters(peer: &Peer) -> [u64; 4] {
    [peer.rx_bytes, peer.tx_bytes, peer.rx_packets, peer.tx_packets]
}

/// None where a peer is new, or its counters began anew with the daemon.
fn rates(before: &Sample, peer: &Peer, now: Instant) -> Option<Rates> {
    let elapsed = Some(now.saturating_duration_since(before.at)).filter(|elapsed| *elapsed >= SAMPLE_MIN)?;
    let earlier = before.counters.get(&peer.id)?;
    let mut rates = [0.0; 4];
    for ((rate, then), now) in rates.iter_mut().zip(earlier).zip(counters(peer)) {
        #[expect(clippy::cast_precision_loss, reason = "a few digits of it are shown")]
        let difference = now.checked_sub(*then)? as f64;
        *rate = difference / elapsed.as_secs_f64();
    }
    let [bytes_in, bytes_out, packets_in, packets_out] = rates;
    Some(Rates { bytes_in, bytes_out, packets_in, packets_out })
}
