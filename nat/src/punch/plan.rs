//! What each strategy sends: the trains of probes of our half, and the sockets for them.

use super::PunchParams;
use super::shuffle::Shuffle;
use super::side::{Side, targets, targets_beside};
use super::strategy::{Role, Strategy, is_refused};
use super::train::{Course, Train};
use crate::limits::{
    BIRTHDAY_PORTS, BIRTHDAY_SOCKETS, BLOCK_SOCKETS_MAX, OPENER_GAP, OPENER_LEAD, OPENER_TTL,
    OPENER_TTL_DOUBLE, PACES, ROUNDS_PER_PACE, SEQUENCE_AIM, SEQUENCE_GAP, SEQUENCE_HOLD, SEQUENCE_PASSES,
    SEQUENCE_PORTS, SEQUENCE_ROUNDS, SEQUENCE_SOCKETS, SPRAY_GAP,
};
use std::net::SocketAddr;
use std::time::Duration;
use wire::Ports;

/// The sockets and trains of one attempt.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Sockets beside the main ones.
    pub(crate) sockets: u16,
    pub(crate) trains: Vec<Train>,
    /// From the start until both sides have sent everything.
    pub(crate) lasts: Duration,
}

impl Plan {
    pub(crate) fn new(params: &PunchParams) -> Self {
        let mut plan = Self { sockets: 0, trains: Vec::new(), lasts: rounds_last() };
        let Some(aim) = params.theirs.aim() else { return plan };
        match params.strategy {
            Strategy::Plain => {
                plan.trains.push(Train::rounds(targets(&params.ours, &params.theirs), params.start));
                return plan;
            }
            Strategy::LowTtl => {
                let all = targets(&params.ours, &params.theirs);
                plan.push_openers(params, || Course::Each(all.clone()));
                // From a port that the peer's NAT does not expect nothing arrives, but some NATs take note of it.
                let is_in_vain = is_refused(&params.ours.profile, &params.theirs.profile);
                let probed = if is_in_vain { targets_beside(&params.ours, &params.theirs) } else { all };
                plan.trains.push(Train::rounds(probed, params.start));
                return plan;
            }
            Strategy::Hopeless(_) => return plan,
            Strategy::Sequential(Role::Opens) => plan.await_sequence(params, aim),
            Strategy::Sequential(Role::Sprays) => plan.try_sequence(params, aim),
            Strategy::BothSequential => plan.aim_ahead(params, aim),
            Strategy::Birthday { role: Role::Opens, ports } => plan.open_many(params, aim, ports),
            Strategy::Birthday { role: Role::Sprays, ports } => plan.try_many(params, aim, ports),
            Strategy::BlockBirthday { probes } => plan.try_blocks(params, aim, probes),
        }
        let beside = targets_beside(&params.ours, &params.theirs);
        plan.trains.push(Train::rounds(beside, params.start));
        plan
    }

    /// Our ports come in sequence: one socket that has no mapping yet gets one of the next.
    fn await_sequence(&mut self, params: &PunchParams, aim: SocketAddr) {
        self.sockets = 1;
        self.push_openers(params, || Course::Sockets(params.first_socket, 1, aim));
        let count = ROUNDS_PER_PACE * 2;
        let start = params.start + SEQUENCE_HOLD;
        let course = Course::Sockets(params.first_socket, 1, aim);
        self.trains.push(Train::paced(course, PACES[1], count, Some(start)));
    }

    /// Theirs do: the next ones are tried, in their order, several times.
    fn try_sequence(&mut self, params: &PunchParams, aim: SocketAddr) {
        let ports = following(&params.theirs, SEQUENCE_PORTS);
        let count = u32::from(SEQUENCE_PORTS) * SEQUENCE_PASSES;
        let course = Course::Ports(aim.ip(), ports);
        self.trains.push(Train::paced(course, SEQUENCE_GAP, count, Some(params.start)));
    }

    /// Both do: our sockets get ports before and after the one at which theirs aim, and theirs so.
    fn aim_ahead(&mut self, params: &PunchParams, aim: SocketAddr) {
        self.sockets = SEQUENCE_SOCKETS;
        let (step, last) = params.theirs.sequence();
        let port = last.wrapping_add_signed(step.wrapping_mul(SEQUENCE_AIM)).max(1);
        let target = SocketAddr::new(aim.ip(), port);
        let course = || Course::Sockets(params.first_socket, SEQUENCE_SOCKETS, target);
        self.push_openers(params, course);
        let count = u32::from(SEQUENCE_SOCKETS) * SEQUENCE_ROUNDS;
        self.trains.push(Train::paced(course(), SEQUENCE_GAP, count, Some(params.start)));
    }

    /// Our ports are anyone's guess: many mappings to the peer, by packets that never reach it and so cannot confuse its
    /// NAT. When more ports are tried than at first, there may be more NATs before us than we know: the second
    /// packets have a full TTL.
    fn open_many(&mut self, params: &PunchParams, aim: SocketAddr, ports: u16) {
        self.sockets = BIRTHDAY_SOCKETS;
        let course = || Course::Sockets(params.first_socket, BIRTHDAY_SOCKETS, aim);
        if ports > BIRTHDAY_PORTS {
            self.trains.push(Train::once(course(), OPENER_GAP, None).with_ttl(opener_ttl(params)));
            self.trains.push(Train::once(course(), OPENER_GAP, Some(params.start)));
        } else {
            self.push_openers(params, course);
        }
        self.lasts = self.lasts.max(SPRAY_GAP * u32::from(ports));
    }

    /// Theirs are: we try many.
    fn try_many(&mut self, params: &PunchParams, aim: SocketAddr, ports: u16) {
        let tried = Shuffle::new(params.seed).ports(params.theirs.block().collect(), usize::from(ports));
        let course = Course::Ports(aim.ip(), tried);
        self.trains.push(Train::once(course, SPRAY_GAP, Some(params.start)));
        self.lasts = self.lasts.max(SPRAY_GAP * u32::from(ports));
    }

    /// Those of both: each socket of ours tries every port of their block and has another port of our block for each.
    fn try_blocks(&mut self, params: &PunchParams, aim: SocketAddr, probes: u16) {
        let theirs = match params.theirs.profile.ports {
            Ports::Sequential { .. } => following(&params.theirs, probes),
            Ports::Unknown | Ports::Preserved | Ports::Fixed | Ports::Block { .. } | Ports::Random => {
                params.theirs.block().collect()
            }
        };
        let size = theirs.len();
        let ports = Shuffle::new(params.seed).ports(theirs, size);
        let sockets = usize::from(probes).div_ceil(size).min(usize::from(BLOCK_SOCKETS_MAX));
        self.sockets = u16::try_from(sockets).expect("bounded just now");
        let count = usize::from(probes).min(sockets * size);
        let count = u32::try_from(count).expect("at most the probes");
        let course = Course::Block(params.first_socket, aim.ip(), ports);
        self.trains.push(Train::paced(course, SPRAY_GAP, count, Some(params.start)));
        self.lasts = self.lasts.max(SPRAY_GAP * u32::from(probes));
    }

    /// Two packets along this course that open our NAT and die before the peer's: one at once, for a peer whose start is
    /// before ours, one just before the start.
    fn push_openers(&mut self, params: &PunchParams, course: impl Fn() -> Course) {
        let late = params.start.checked_sub(OPENER_LEAD);
        for start in [None, late] {
            self.trains.push(Train::once(course(), OPENER_GAP, start).with_ttl(opener_ttl(params)));
        }
    }
}

fn opener_ttl(params: &PunchParams) -> u8 {
    if params.is_double { OPENER_TTL_DOUBLE } else { OPENER_TTL }
}

/// The ports that a sequential NAT gives next, in their order.
fn following(side: &Side, count: u16) -> Vec<u16> {
    let (step, last) = side.sequence();
    let mut port = last;
    let next = |_| {
        port = port.wrapping_add_signed(step);
        port
    };
    (0..count).map(next).filter(|port| *port != 0).collect()
}

fn rounds_last() -> Duration {
    PACES.iter().sum::<Duration>() * ROUNDS_PER_PACE
}
