//! What others say that our address is, and what follows for the NAT before us.
//!
//! Every word counts little: an address is ours when witnesses in different networks agree on it, and a NAT has a class
//! when a majority shows it. Witnesses may lie. It asks nobody itself: it says when fresh sockets are wanted, and is told
//! who saw which of our sockets where.

mod ports;

use crate::limits::{
    CLASS_MIN, DIAL_BACK_LIFE, OBSERVATION_LIFE, OBSERVATIONS_MAX, SAMPLES_FEW, SAMPLES_INTERVAL,
    SAMPLES_MANY, SAMPLES_ROUND, SEQUENCE_FRESH, TENTATIVE_MAX, VOTES_MAX, VOTES_MIN,
};
use crate::remote::SocketId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use wire::{Candidate, Dependence, NatProfile, NodeId, Ports};

/// Who says how it sees us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Witness {
    /// A member of the network.
    Member(NodeId),
    /// A server that anybody may ask, such as of STUN, or a node of the DHT.
    Server(SocketAddr),
}

/// From where a witness sent to us without being asked there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DialBack {
    /// From another port of the address that we send to.
    OtherPort,
    /// From an address that we have not sent to.
    OtherAddress,
}

#[derive(Debug, Clone, Copy)]
struct Observation {
    witness: Witness,
    /// The witness' address that we sent to.
    asked: SocketAddr,
    socket: SocketId,
    observed: Candidate,
    at: Instant,
    /// Since when it is the same: the mapping is no younger.
    since: Instant,
}

impl Observation {
    fn address(&self) -> SocketAddr {
        self.observed.socket_address()
    }
}

/// Observations of one family, oldest first.
#[derive(Debug, Default)]
struct Family {
    /// Of the main socket.
    main: VecDeque<Observation>,
    /// Of fresh sockets.
    samples: VecDeque<Observation>,
    /// What a majority saw last.
    agreed: Option<Candidate>,
}

/// What others say that our address is; bounded.
#[derive(Debug, Default)]
pub struct Observations {
    v4: Family,
    v6: Family,
    dial_backs: BTreeMap<DialBack, (bool, Instant)>,
    samples_asked: Option<Instant>,
}

impl Observations {
    /// Nobody has said anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A witness that we sent to at `asked`, from a socket of ours, has seen it as `observed`.
    pub fn insert(
        &mut self,
        witness: Witness,
        asked: SocketAddr,
        socket: SocketId,
        observed: SocketAddr,
        now: Instant,
    ) {
        let asked = SocketAddr::new(asked.ip().to_canonical(), asked.port());
        let Some(observed) = Candidate::new(observed) else { return };
        if asked.is_ipv4() != observed.socket_address().is_ipv4() {
            return;
        }
        let family = if asked.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        let list = if socket == SocketId::MAIN { &mut family.main } else { &mut family.samples };
        let is_same =
            |known: &Observation| (known.witness, known.asked, known.socket) == (witness, asked, socket);
        let before = list.iter().find(|known| is_same(known) && known.observed == observed);
        let since = before.map_or(now, |known| known.since);
        list.retain(|known| !is_same(known) && now < known.at + OBSERVATION_LIFE);
        if list.len() == OBSERVATIONS_MAX {
            list.pop_front();
        }
        list.push_back(Observation { witness, asked, socket, observed, at: now, since });
        family.agreed = agreed(family, now);
    }

    /// A witness was asked to dial back to our main socket; whether that arrived.
    pub fn handle_dial_back(&mut self, from: DialBack, arrived: bool, now: Instant) {
        // What has arrived once was let in: the next may have been lost, or never sent.
        let known = self.dial_backs.get(&from).filter(|(_, at)| now < *at + DIAL_BACK_LIFE);
        if arrived || known.is_none_or(|(arrived, _)| !arrived) {
            self.dial_backs.insert(from, (arrived, now));
        }
    }

    /// Our own addresses or routes changed: what was seen was seen of another network.
    pub fn handle_local_change(&mut self) {
        *self = Self::default();
    }

    /// Our addresses as a majority of witnesses sees them, at least two in different networks; at most one per family.
    /// A NAT that gives another port to each mapping leaves none.
    #[must_use]
    pub fn reflexive(&self, now: Instant) -> Vec<Candidate> {
        [&self.v6, &self.v4].into_iter().filter_map(|family| agreed(family, now)).collect()
    }

    /// The same, and what single witnesses say, latest first; only for a peer that we call.
    #[must_use]
    pub fn tentative(&self, now: Instant) -> Vec<Candidate> {
        let mut candidates = self.reflexive(now);
        for family in [&self.v6, &self.v4] {
            let mut added = 0;
            for observation in live(&family.main, now).rev() {
                if added < TENTATIVE_MAX && !candidates.contains(&observation.observed) {
                    candidates.push(observation.observed);
                    added += 1;
                }
            }
        }
        candidates
    }

    /// Our IPv4 address (IPv6 where there is none) as a majority sees it, with the port that was seen last; what a peer
    /// aims at whose NAT or ours gives ports that are not known.
    #[must_use]
    pub fn public(&self, now: Instant) -> Option<Candidate> {
        let family = self.profiled(now);
        let ip = agreed_ip(family, now)?;
        agreed(family, now).or_else(|| self.latest(family, ip, now).map(|latest| latest.observed))
    }

    /// The port that our NAT gave last, where ports come one after the other.
    #[must_use]
    pub fn predicted(&self, now: Instant) -> Option<u16> {
        let family = self.profiled(now);
        let ip = agreed_ip(family, now)?;
        let Ports::Sequential { step } = self.ports(family, now) else { return None };
        let latest = self.latest(family, ip, now)?;
        // Of a round of samples, answers may have overtaken others.
        let round = all(family, ip, now).filter(|other| other.since + SAMPLES_ROUND >= latest.since);
        let farther = |best: u16, port: u16| {
            let ahead = port.wrapping_sub(best).cast_signed();
            if ahead.signum() == step.signum() { port } else { best }
        };
        Some(round.map(|observation| observation.address().port()).fold(latest.address().port(), farther))
    }

    /// How the NAT before us behaves. `local`: our own addresses, with the main socket's port.
    #[must_use]
    pub fn profile(&self, local: &[SocketAddr], now: Instant) -> NatProfile {
        let family = self.profiled(now);
        let is_ours = |ip| local.iter().any(|local| local.ip().to_canonical() == ip);
        let translates = agreed_ip(family, now).is_some_and(|ip| !is_ours(ip));
        let mapping = mapping(family, now);
        let ports = match mapping {
            Dependence::Unknown => Ports::Unknown,
            Dependence::EndpointIndependent => {
                let port = majority(votes(family, now).map(|vote| vote.address().port()));
                let is_preserved = port.is_some_and(|port| local.iter().any(|local| local.port() == port));
                if is_preserved { Ports::Preserved } else { Ports::Fixed }
            }
            Dependence::AddressDependent | Dependence::AddressAndPortDependent => self.ports(family, now),
        };
        NatProfile { translates, mapping, filtering: self.filtering(now), ports }
    }

    /// How many fresh sockets should ask witnesses, one after the other in the order of their numbers and two witnesses
    /// each, to learn which ports our NAT gives; `None` when that is known, or was asked for a moment ago. To be called
    /// when somebody wants to know, that is before a punch.
    pub fn wants_samples(&mut self, now: Instant) -> Option<u16> {
        let family = self.profiled(now);
        let varies = matches!(
            mapping(family, now),
            Dependence::AddressDependent | Dependence::AddressAndPortDependent
        );
        let asked_within = |time: Duration| {
            self.samples_asked.is_some_and(|asked| now.saturating_duration_since(asked) < time)
        };
        let is_known = match self.ports(family, now) {
            Ports::Unknown => false,
            // What comes next, others behind the NAT decide as well.
            Ports::Sequential { .. } => {
                if asked_within(SEQUENCE_FRESH) {
                    return None;
                }
                self.samples_asked = Some(now);
                return Some(SAMPLES_FEW);
            }
            Ports::Preserved | Ports::Fixed | Ports::Block { .. } | Ports::Random => true,
        };
        let was_asked = asked_within(SAMPLES_INTERVAL);
        let sockets: BTreeSet<_> = live(&family.samples, now).map(|sample| sample.socket).collect();
        let has_few = sockets.len() >= usize::from(SAMPLES_FEW);
        // The answers to the few lead to the many at once.
        if !varies || is_known || (was_asked && !(has_few && sockets.len() < usize::from(SAMPLES_MANY) / 2)) {
            return None;
        }
        self.samples_asked = Some(now);
        Some(if has_few { SAMPLES_MANY } else { SAMPLES_FEW })
    }

    /// The family that the profile is of.
    fn profiled(&self, now: Instant) -> &Family {
        if live(&self.v4.main, now).next().is_some() { &self.v4 } else { &self.v6 }
    }

    /// The youngest mapping of any socket under this address.
    fn latest<'a>(&self, family: &'a Family, ip: IpAddr, now: Instant) -> Option<&'a Observation> {
        all(family, ip, now).max_by_key(|observation| observation.since)
    }

    fn ports(&self, family: &Family, now: Instant) -> Ports {
        let Some(ip) = agreed_ip(family, now) else { return Ports::Unknown };
        let ports = |list| -> Vec<u16> {
            live(list, now)
                .map(Observation::address)
                .filter(|seen| seen.ip() == ip)
                .map(|seen| seen.port())
                .collect()
        };
        ports::allocation(&ports(&family.main), &ports(&family.samples))
    }

    fn filtering(&self, now: Instant) -> Dependence {
        let result = |from| {
            self.dial_backs
                .get(&from)
                .filter(|(_, at)| now < *at + DIAL_BACK_LIFE)
                .map(|(arrived, _)| *arrived)
        };
        match (result(DialBack::OtherAddress), result(DialBack::OtherPort)) {
            (Some(true), _) => Dependence::EndpointIndependent,
            (_, Some(true)) => Dependence::AddressDependent,
            (_, Some(false)) => Dependence::AddressAndPortDependent,
            (Some(false) | None, None) => Dependence::Unknown,
        }
    }
}

/// All of a family under this address.
fn all(family: &Family, ip: IpAddr, now: Instant) -> impl Iterator<Item = &Observation> {
    let all = live(&family.main, now).chain(live(&family.samples, now));
    all.filter(move |observation| observation.address().ip() == ip)
}

fn live(list: &VecDeque<Observation>, now: Instant) -> impl DoubleEndedIterator<Item = &Observation> {
    list.iter().filter(move |observation| now < observation.at + OBSERVATION_LIFE)
}

/// The latest words, one for each witness and each network, so that nobody is heard twice.
fn votes(family: &Family, now: Instant) -> impl Iterator<Item = &Observation> {
    let mut votes: Vec<&Observation> = Vec::new();
    for observation in live(&family.main, now).rev() {
        let is_heard = |vote: &&Observation| {
            vote.witness == observation.witness || network(vote.asked) == network(observation.asked)
        };
        if votes.len() < VOTES_MAX && !votes.iter().any(is_heard) {
            votes.push(observation);
        }
    }
    votes.into_iter()
}

/// What most say, and at least two.
fn majority<T: Ord + Copy>(votes: impl Iterator<Item = T>) -> Option<T> {
    let votes: Vec<T> = votes.collect();
    let count = |said: &T| votes.iter().filter(|vote| *vote == said).count();
    votes.iter().copied().find(|said| count(said) >= VOTES_MIN && 2 * count(said) > votes.len())
}

/// What most say. While they are divided, or begin to say something else, it is what they said last, as long as enough of them
/// go on saying so: a NAT that serves some by a port of their own changes the majority at every word of theirs.
fn agreed(family: &Family, now: Instant) -> Option<Candidate> {
    let saying = |said: Candidate| live(&family.main, now).filter(move |seen| seen.observed == said);
    let is_said_since = |said: &Candidate, since: Option<Instant>| {
        let saying = || saying(*said).filter(|seen| since.is_none_or(|since| seen.at > since));
        let witnesses: BTreeSet<_> = saying().map(|seen| seen.witness).collect();
        let networks: BTreeSet<_> = saying().map(|seen| network(seen.asked)).collect();
        witnesses.len().min(networks.len()) >= VOTES_MIN
    };
    let most = majority(votes(family, now).map(|vote| vote.observed));
    let first_said = most.and_then(|most| saying(most).map(|seen| seen.since).min());
    family.agreed.filter(|before| most == Some(*before) || is_said_since(before, first_said)).or(most)
}

fn agreed_ip(family: &Family, now: Instant) -> Option<IpAddr> {
    majority(votes(family, now).map(|vote| vote.address().ip()))
}

/// For whom a mapping holds, from what the addresses that were asked have seen of the main socket. Who sees us under
/// another address than most is on our LAN, or lies.
fn mapping(family: &Family, now: Instant) -> Dependence {
    let mut asked: BTreeMap<SocketAddr, SocketAddr> = BTreeMap::new();
    let mut witnesses = BTreeSet::new();
    let agreed = agreed_ip(family, now);
    let counts = |seen: &&Observation| agreed.is_none_or(|ip| seen.address().ip() == ip);
    for observation in live(&family.main, now).filter(counts) {
        asked.insert(observation.asked, observation.address());
        witnesses.insert(observation.witness);
    }
    if asked.len() < CLASS_MIN || witnesses.len() < 2 {
        return Dependence::Unknown;
    }
    // One that is alone with what it says changes nothing: it may lie.
    let count = |said: &SocketAddr| asked.values().filter(|seen| *seen == said).count();
    if asked.values().any(|said| 2 * count(said) > asked.len() && is_shared(said, family, now)) {
        return Dependence::EndpointIndependent;
    }
    let mut by_ip: BTreeMap<IpAddr, Vec<SocketAddr>> = BTreeMap::new();
    for (asked, seen) in &asked {
        by_ip.entry(asked.ip()).or_default().push(*seen);
    }
    let twice: Vec<_> = by_ip.values().filter(|seen| seen.len() > 1).collect();
    let same = twice.iter().filter(|seen| seen.iter().all(|address| *address == seen[0])).count();
    if 2 * same > twice.len() {
        return Dependence::AddressDependent;
    }
    Dependence::AddressAndPortDependent
}

/// Whether two witnesses at different addresses say so: the same witness on two of its ports shows nothing for others.
fn is_shared(said: &SocketAddr, family: &Family, now: Instant) -> bool {
    let saying = || live(&family.main, now).filter(|observation| observation.address() == *said);
    saying()
        .any(|one| saying().any(|other| other.witness != one.witness && other.asked.ip() != one.asked.ip()))
}

/// What one owner may hold as a whole: a /16, or a /32 in IPv6.
fn network(address: SocketAddr) -> [u8; 5] {
    match address.ip() {
        IpAddr::V4(ip) => [4, ip.octets()[0], ip.octets()[1], 0, 0],
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.octets();
            [6, a, b, c, d]
        }
    }
}

#[cfg(test)]
mod tests;
