//! A crowd: as many nodes as a machine holds, each with its views and its broadcast and nothing else.
//!
//! No keys, no paths, no packets: sessions come about after a while, or do not, and messages arrive after a while, or do not.
//! Time is virtual and chance comes from a seed. What is shown is that all nodes are one whole, that news reaches all of them,
//! and what that costs a node when there are many.

mod event;
mod graph;
mod sessions;
mod surroundings;

use crate::Random;
use crate::world::beginning;
use event::{Events, Letter, What};
use registry::{Broadcast, BroadcastOutput, ViewOutput, Views};
use sessions::Sessions;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
pub use surroundings::{Surroundings, Traffic};
use wire::control::{HaveEntry, Message};
use wire::{NodeId, cbor, datagram};

/// Bytes of a record in its datagram: a member record with two candidates, and some more.
const RECORD_LENGTH: u64 = 500;
/// Bytes of both datagrams of a handshake.
const HANDSHAKE_LENGTH: u64 = (datagram::INITIATION_LENGTH + datagram::UNPROVED_REPLY_LENGTH_MAX) as u64;
/// Members that a node recalls at a time.
const REMINDERS: u32 = 3;
/// How often sessions that carry nothing are looked for.
const SESSIONS_INTERVAL: Duration = Duration::from_secs(60);

/// One node.
#[derive(Debug)]
struct Member {
    views: Views,
    broadcast: Broadcast,
    held: BTreeSet<u64>,
    /// When it is looked at next.
    timer: Option<Instant>,
}

/// All of them.
#[derive(Debug)]
pub struct Crowd {
    now: Instant,
    random: Random,
    surroundings: Surroundings,
    /// By number; none before it has joined and after it died.
    members: Vec<Option<Box<Member>>>,
    sessions: Sessions,
    events: Events,
    traffic: Traffic,
    /// Whether members of even and odd numbers cannot reach each other.
    is_cut: bool,
    /// As many have joined, the dead ones included.
    joined: u32,
    news_count: u64,
    /// When the latest news came out, and when somebody heard it for the first time last.
    spread: (Instant, Instant),
}

/// The id of a member: its number, behind bytes that put ids in another order.
fn id(number: u32) -> NodeId {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&u64::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[28..].copy_from_slice(&number.to_be_bytes());
    NodeId(bytes)
}

fn number(id: &NodeId) -> u32 {
    let bytes: [u8; 4] = id.as_bytes()[28..].try_into().expect("four of 32 bytes");
    u32::from_be_bytes(bytes)
}

impl Crowd {
    /// Nobody yet.
    #[must_use]
    pub fn new(surroundings: Surroundings, seed: u64) -> Self {
        let now = beginning();
        let mut events = Events::default();
        events.push(now + SESSIONS_INTERVAL, What::EndIdleSessions);
        Self {
            now,
            random: Random::new(seed),
            surroundings,
            members: Vec::new(),
            sessions: Sessions::default(),
            events,
            traffic: Traffic::default(),
            is_cut: false,
            joined: 0,
            news_count: 0,
            spread: (now, now),
        }
    }

    /// As many more join, one after the other, within a time. Each knows some that are there before it.
    pub fn join(&mut self, count: u32, within: Duration) {
        let first = self.members.len() as u32;
        for at in 0..count {
            self.members.push(None);
            self.events.push(self.now + within * at / count, What::Join(first + at));
        }
        self.run(within);
    }

    /// So many of a thousand, by chance, die at once and without a word.
    pub fn kill(&mut self, per_mille: u32) {
        for member in &mut self.members {
            if member.is_some() && self.random.per_mille(per_mille) {
                *member = None;
            }
        }
    }

    /// Whether members of even numbers and those of odd ones cannot reach each other.
    pub fn cut(&mut self, is_cut: bool) {
        self.is_cut = is_cut;
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, what)) = self.events.pop(end) {
            self.now = at;
            self.happen(what);
        }
        self.now = end;
    }

    /// Lets time pass, a second at a time, until something is so or it has been too long; how long it took.
    pub fn run_until(&mut self, longest: Duration, is_so: impl Fn(&Self) -> bool) -> Option<Duration> {
        let start = self.now;
        while self.now - start <= longest {
            if is_so(self) {
                return Some(self.now - start);
            }
            self.run(Duration::from_secs(1));
        }
        None
    }

    /// A member, any of them, has news; its name.
    pub fn publish(&mut self) -> u64 {
        let alive: Vec<u32> = (0..self.members.len() as u32).filter(|at| self.is_alive(*at)).collect();
        let by = *self.random.one_of(&alive);
        self.news_count += 1;
        self.spread = (self.now, self.now);
        self.take_record(HaveEntry { key: self.news_count, sequence: 1 }, None, by);
        self.look_at(by);
        self.news_count
    }

    /// How many have that news.
    #[must_use]
    pub fn reached(&self, news: u64) -> usize {
        self.members.iter().flatten().filter(|member| member.held.contains(&news)).count()
    }

    /// How long the latest news took to the last one that has heard it.
    #[must_use]
    pub fn spread_time(&self) -> Duration {
        self.spread.1 - self.spread.0
    }

    /// What was sent since this was asked last.
    pub fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn is_alive(&self, at: u32) -> bool {
        self.members[at as usize].is_some()
    }

    fn can_reach(&self, a: u32, b: u32) -> bool {
        let (low, high) = (u64::from(a.min(b)), u64::from(a.max(b)));
        let mixed = ((low << 32) | high).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        let drawn = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
        let is_blocked = drawn % 1000 < self.surroundings.blocked_per_mille;
        let is_cut_off = self.is_cut && a % 2 != b % 2;
        self.is_alive(b) && !is_blocked && !is_cut_off
    }

    fn happen(&mut self, what: What) {
        let now = self.now;
        match what {
            What::Join(at) => self.begin(at),
            What::Timer(at) => {
                let Some(member) = &mut self.members[at as usize] else { return };
                if member.timer.is_none_or(|timer| timer > now) {
                    return;
                }
                member.timer = None;
                self.look_at(at);
            }
            What::Arrival { from, to, letter } => self.arrive(from, to, letter),
            What::Connected { by, to } if self.is_alive(by) && self.can_reach(by, to) => {
                if !self.sessions.use_one(by, to, now) {
                    self.sessions.insert(by, to, now);
                    self.traffic.handshakes += HANDSHAKE_LENGTH;
                    self.traffic.handshake_count += 1;
                }
                for (at, other) in [(to, by), (by, to)] {
                    if let Some(member) = &mut self.members[at as usize] {
                        member.views.handle_connected(id(other), now);
                        self.look_at(at);
                    }
                }
            }
            What::Connected { by, to } => self.give_up(by, to),
            What::Unreachable { by, to } => {
                self.sessions.remove(by, to);
                if let Some(member) = &mut self.members[by as usize] {
                    member.views.handle_unreachable(&id(to), now);
                    self.look_at(by);
                }
            }
            What::EndIdleSessions => {
                self.sessions.end_idle(now);
                self.events.push(now + SESSIONS_INTERVAL, What::EndIdleSessions);
            }
        }
    }

    fn begin(&mut self, at: u32) {
        self.joined = at + 1;
        let views = Views::new(id(at), self.random.u64(), self.now);
        let member = Member { views, broadcast: Broadcast::new(), held: BTreeSet::new(), timer: None };
        self.members[at as usize] = Some(Box::new(member));
        self.look_at(at);
    }

    /// A member looks into its records, which name members of all times, whether they are up or not.
    fn remind(&mut self, at: u32) {
        for _ in 0..REMINDERS {
            let other = id(self.random.below(self.joined as usize) as u32);
            if let Some(member) = &mut self.members[at as usize] {
                member.views.handle_known(other, self.now);
            }
        }
    }

    fn arrive(&mut self, from: u32, to: u32, letter: Letter) {
        let Some(member) = &mut self.members[to as usize] else { return };
        match letter {
            Letter::View(message) => member.views.handle_message(id(from), &message, self.now),
            Letter::News(message) => {
                let held = &member.held;
                member.broadcast.handle_message(
                    id(from),
                    &message,
                    |news| held.contains(&news.key),
                    self.now,
                );
            }
            Letter::Record(news) => self.take_record(news, Some(id(from)), to),
        }
        self.look_at(to);
    }

    fn take_record(&mut self, news: HaveEntry, from: Option<NodeId>, at: u32) {
        let Some(member) = &mut self.members[at as usize] else { return };
        if member.held.insert(news.key) {
            self.spread.1 = self.now;
            member.broadcast.handle_news(news, from, self.now);
        } else if let Some(from) = from {
            member.broadcast.handle_duplicate(&news, from);
        }
    }

    /// Does whatever a member wants done, and looks again when it says.
    fn look_at(&mut self, at: u32) {
        let now = self.now;
        loop {
            let Some(member) = &mut self.members[at as usize] else { return };
            match (member.views.poll_output(now), &mut member.broadcast) {
                (ViewOutput::Connect(to), _) => self.connect(at, number(&to)),
                (ViewOutput::Send(to, message), _) => self.send(at, number(&to), Letter::View(message)),
                (ViewOutput::Recall, _) => self.remind(at),
                (ViewOutput::Joined(node), broadcast) => broadcast.handle_neighbour_joined(node),
                (ViewOutput::Left(node), broadcast) => broadcast.handle_neighbour_left(&node),
                (ViewOutput::Wait(next), broadcast) => match broadcast.poll_output(now) {
                    BroadcastOutput::SendRecord(to, news) => self.send(at, number(&to), Letter::Record(news)),
                    BroadcastOutput::Send(to, message) => self.send(at, number(&to), Letter::News(message)),
                    BroadcastOutput::Wait(also) => {
                        let next = also.map_or(next, |also| also.min(next));
                        if member.timer.is_none_or(|timer| next < timer) {
                            member.timer = Some(next);
                            self.events.push(next, What::Timer(at));
                        }
                        return;
                    }
                },
            }
        }
    }

    fn connect(&mut self, by: u32, to: u32) {
        if !self.can_reach(by, to) {
            return self.give_up(by, to);
        }
        let (least, most) = self.surroundings.connecting;
        let takes = if self.sessions.use_one(by, to, self.now) {
            Duration::ZERO
        } else {
            self.random.duration(least, most)
        };
        self.events.push(self.now + takes, What::Connected { by, to });
    }

    /// It turns out later that somebody cannot be reached.
    fn give_up(&mut self, by: u32, to: u32) {
        let (least, most) = self.surroundings.giving_up;
        let at = self.now + self.random.duration(least, most);
        self.events.push(at, What::Unreachable { by, to });
    }

    fn send(&mut self, from: u32, to: u32, letter: Letter) {
        if !self.sessions.use_one(from, to, self.now) {
            self.traffic.without_session += 1;
            return;
        }
        self.count(&letter);
        if !self.can_reach(from, to) {
            return self.give_up(from, to);
        }
        if !self.random.per_mille(self.surroundings.loss_per_mille) {
            let (least, most) = self.surroundings.delay;
            let at = self.now + self.random.duration(least, most);
            self.events.push(at, What::Arrival { from, to, letter });
        }
    }

    fn count(&mut self, letter: &Letter) {
        let length = |message: Message| (cbor::encode(&message).len() + datagram::OVERHEAD) as u64;
        match letter {
            Letter::View(message) => self.traffic.views += length(Message::View(message.clone())),
            Letter::News(message) => self.traffic.news += length(Message::News(message.clone())),
            Letter::Record(_) => {
                self.traffic.records += RECORD_LENGTH;
                self.traffic.record_count += 1;
            }
        }
    }
}
