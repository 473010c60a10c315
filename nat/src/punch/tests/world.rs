//! Two nodes, each behind a NAT, and a core between them. Packets take time, may be lost, and die when their TTL ends.
//! A node here does what the real one does: it answers every probe, and tells its punch.

use super::nat::{Kind, Nat};
use crate::punch::{
    Punch, PunchOutput, PunchParams, PunchResult, Rung, Shuffle, Side, Strategy, strategy_on,
};
use crate::remote::SocketId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use wire::{Candidate, NatProfile};

const DELAY: Duration = Duration::from_millis(20);
const MAIN_PORT: u16 = 40_001;

/// What came of an attempt.
pub(crate) struct Outcome {
    pub(crate) sides: [Result; 2],
}

impl Outcome {
    pub(crate) fn have_met(&self) -> bool {
        self.sides.iter().all(|side| side.won.is_some())
    }
}

/// What came of it on one side.
pub(crate) struct Result {
    pub(crate) won: Option<(SocketId, SocketAddr)>,
    pub(crate) probes: u32,
    pub(crate) opened: u16,
    pub(crate) open: BTreeSet<SocketId>,
    pub(crate) lasted: Duration,
    pub(crate) times: Vec<Instant>,
    /// Addresses that were probed.
    pub(crate) probed: BTreeSet<IpAddr>,
    /// Addresses that the peer named.
    pub(crate) named: BTreeSet<IpAddr>,
}

impl Result {
    pub(crate) fn most_in_a_second(&self) -> usize {
        let in_second = |from: &Instant| {
            self.times.iter().filter(|at| (*from..*from + Duration::from_secs(1)).contains(at)).count()
        };
        self.times.iter().map(in_second).max().unwrap_or(0)
    }
}

pub(crate) struct World {
    kinds: [Kind; 2],
    nats: [Nat; 2],
    seed: u64,
    start: Instant,
    /// What each knows of its NAT.
    pub(crate) known: [NatProfile; 2],
    pub(crate) loses_percent: u32,
    /// So much later begins the second.
    pub(crate) skew_ms: i64,
    /// Mappings that others open behind each NAT before the start.
    pub(crate) others: u16,
}

struct Node {
    punch: Punch,
    over: Option<(PunchResult, Instant)>,
    open: BTreeSet<SocketId>,
    opened: u16,
    sent: BTreeSet<(SocketId, SocketAddr)>,
    times: Vec<Instant>,
}

type Probe = (SocketId, SocketAddr, Option<u8>);

#[derive(Clone, Copy)]
struct Packet {
    from: usize,
    source: SocketAddr,
    target: SocketAddr,
    is_answer: bool,
    dies: bool,
}

fn ip(side: usize) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, 1 + u8::try_from(side).unwrap()).into()
}

fn port(socket: SocketId) -> u16 {
    if socket == SocketId::MAIN { MAIN_PORT } else { 50_000 + socket.0 }
}

fn socket(port: u16) -> SocketId {
    if port == MAIN_PORT { SocketId::MAIN } else { SocketId(port.wrapping_sub(50_000)) }
}

impl World {
    pub(crate) fn new(kinds: [Kind; 2], seed: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
        let start = Instant::now() + Duration::from_secs(1);
        let nats = [Nat::new(kinds[0], 2 * seed), Nat::new(kinds[1], 2 * seed + 1)];
        let known = kinds.map(Kind::profile);
        Self { kinds, nats, seed, start, known, loses_percent: 0, skew_ms: 0, others: 0 }
    }

    pub(crate) fn run(self, rung: Rung) -> Outcome {
        let mut world = self;
        let strategies = world.strategies(rung);
        world.run_by(strategies)
    }

    pub(crate) fn strategies(&mut self, rung: Rung) -> [Strategy; 2] {
        let sides = [self.side(0), self.side(1)];
        [strategy_on(rung, &sides[0], &sides[1]), strategy_on(rung, &sides[1], &sides[0])]
    }

    /// What a node tells of itself, after an anchor has seen it.
    fn side(&mut self, side: usize) -> Side {
        let anchor = SocketAddr::new(Ipv4Addr::new(198, 51, 100, 1).into(), 7);
        let seen = self.nats[side].leave(MAIN_PORT, anchor);
        let public = Candidate::new(SocketAddr::new(ip(side), seen));
        Side {
            profile: self.known[side],
            candidates: public.into_iter().collect(),
            public,
            predicted: (self.kinds[side] == Kind::Sequential).then_some(self.nats[side].counter),
        }
    }

    pub(crate) fn run_by(mut self, strategies: [Strategy; 2]) -> Outcome {
        let sides = [self.side(0), self.side(1)];
        for nat in &mut self.nats {
            nat.counter += self.others;
        }
        let begin = self.start.checked_sub(Duration::from_millis(300)).unwrap();
        let skew = Duration::from_millis(self.skew_ms.unsigned_abs());
        let skewed = if self.skew_ms < 0 { self.start.checked_sub(skew).unwrap() } else { self.start + skew };
        let starts = [self.start, skewed];
        let mut nodes = [0, 1].map(|side| {
            let params = PunchParams {
                ours: sides[side].clone(),
                theirs: sides[1 - side].clone(),
                strategy: strategies[side],
                first_socket: SocketId(100),
                seed: self.seed + 1000 * u64::try_from(side).unwrap(),
                start: starts[side],
                is_double: false,
            };
            Node::new(&params)
        });
        self.play(&mut nodes, begin);
        Outcome { sides: [0, 1].map(|side| nodes[side].result(starts[side], &sides[1 - side])) }
    }

    fn play(&mut self, nodes: &mut [Node; 2], begin: Instant) {
        let mut shuffle = Shuffle::new(self.seed + 77);
        let mut air: BTreeMap<(Instant, u64), Packet> = BTreeMap::new();
        let (mut now, mut number) = (begin, 0);
        loop {
            let mut next = None;
            for side in [0, 1] {
                let (packets, wakes) = nodes[side].poll(side, now);
                for (socket, target, ttl) in packets {
                    let packet = self.send(side, socket, target, false, ttl);
                    number += 1;
                    if shuffle.below(100) >= self.loses_percent {
                        air.insert((now + DELAY, number), packet);
                    }
                }
                next = next.into_iter().chain(wakes).min();
            }
            next = next.into_iter().chain(air.keys().next().map(|(at, _)| *at)).min();
            let Some(next) = next else { return };
            now = next;
            while let Some(entry) = air.first_entry().filter(|entry| entry.key().0 <= now) {
                let packet = entry.remove();
                if let Some(answer) = self.arrive(nodes, packet, now) {
                    number += 1;
                    if shuffle.below(100) >= self.loses_percent {
                        air.insert((now + DELAY, number), answer);
                    }
                }
            }
        }
    }

    fn send(
        &mut self,
        side: usize,
        from: SocketId,
        target: SocketAddr,
        is_answer: bool,
        ttl: Option<u8>,
    ) -> Packet {
        let source = SocketAddr::new(ip(side), self.nats[side].leave(port(from), target));
        // Two hops are our router and the core, unless we are in the core ourselves.
        let dies = ttl.is_some() && self.kinds[side] != Kind::Open;
        Packet { from: side, source, target, is_answer, dies }
    }

    /// A packet comes to the other side's NAT; the answer of the node behind it.
    fn arrive(&mut self, nodes: &mut [Node; 2], packet: Packet, now: Instant) -> Option<Packet> {
        let side = 1 - packet.from;
        if packet.dies || packet.target.ip() != ip(side) {
            return None;
        }
        let inside = self.nats[side].enter(packet.source, packet.target.port())?;
        let socket = socket(inside);
        let node = &mut nodes[side];
        if socket != SocketId::MAIN && !node.open.contains(&socket) {
            return None;
        }
        if packet.is_answer {
            if node.sent.contains(&(socket, packet.source)) {
                node.punch.handle_success(socket, packet.source, now);
            }
            return None;
        }
        node.punch.handle_probe(socket, packet.source, now);
        Some(self.send(side, socket, packet.source, true, None))
    }
}

impl Node {
    fn new(params: &PunchParams) -> Self {
        Self {
            punch: Punch::new(params),
            over: None,
            open: BTreeSet::new(),
            opened: 0,
            sent: BTreeSet::new(),
            times: Vec::new(),
        }
    }

    /// What it sends now, and when it wants to be asked again.
    fn poll(&mut self, side: usize, now: Instant) -> (Vec<Probe>, Option<Instant>) {
        let mut packets = Vec::new();
        loop {
            match self.punch.poll_output(now) {
                PunchOutput::OpenSockets { first, count } => {
                    self.opened += count;
                    self.open.extend((first.0..first.0 + count).map(SocketId));
                }
                PunchOutput::CloseSockets { first, count } => {
                    for socket in first.0..first.0 + count {
                        assert!(
                            self.open.remove(&SocketId(socket)),
                            "side {side} closes {socket} that is not open"
                        );
                    }
                }
                PunchOutput::Probe { socket, address, ttl } => {
                    assert!(socket == SocketId::MAIN || self.open.contains(&socket));
                    self.sent.insert((socket, address));
                    self.times.push(now);
                    packets.push((socket, address, ttl));
                }
                PunchOutput::Wait(until) => {
                    assert!(until > now, "a wait that is over");
                    return (packets, Some(until));
                }
                PunchOutput::Over(result) => {
                    self.over.get_or_insert((result, now));
                    return (packets, None);
                }
            }
        }
    }

    fn result(&self, start: Instant, peer: &Side) -> Result {
        let (result, ended) = self.over.expect("a punch ends");
        let won = match result {
            PunchResult::Won { socket, address } => Some((socket, address)),
            PunchResult::Failed => None,
        };
        assert_eq!(self.punch.probes() as usize, self.times.len());
        Result {
            won,
            probes: self.punch.probes(),
            opened: self.opened,
            open: self.open.clone(),
            lasted: ended.saturating_duration_since(start),
            times: self.times.clone(),
            probed: self.sent.iter().map(|(_, address)| address.ip()).collect(),
            named: peer.candidates.iter().map(|candidate| candidate.socket_address().ip()).collect(),
        }
    }
}
