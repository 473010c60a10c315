//! By which means two sides meet, from the profiles of their NATs alone: nat/README.md section 4 as a function.
//!
//! Both sides call it with the two profiles swapped and get matching halves. It must never depend on anything that only
//! one of them knows.

use super::side::{Side, has_near_way};
use crate::limits::{
    BIRTHDAY_PORTS, BIRTHDAY_PORTS_WIDE, BLOCK_PRODUCT, BLOCK_PRODUCT_WEAK, PORT_MIN, SEQUENCE_SOCKETS,
};
use std::fmt;
use wire::{Dependence, NatProfile, Ports};

/// By which means two sides meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Both probe each other's candidates; who is probed from elsewhere probes back.
    Plain,
    /// Before that, both open their own NAT with packets that never reach the other's.
    LowTtl,
    /// The ports of one side come one after the other: the other tries the next ones.
    Sequential(Role),
    /// So do those of both: many sockets aim at one port that is yet to come.
    BothSequential,
    /// The ports of one side are anyone's guess: it opens many, the other tries more.
    Birthday {
        /// Which of the two we are.
        role: Role,
        /// Ports that the other tries.
        ports: u16,
    },
    /// The ports of both lie somewhere in small blocks: both try from many.
    BlockBirthday {
        /// Probes that each side sends.
        probes: u16,
    },
    /// They will not meet; hops carry their packets.
    Hopeless(Reason),
}

/// Which half of a strategy is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Our NAT gives ports that the other must find: we open mappings to it.
    Opens,
    /// We look for the other's port.
    Sprays,
}

/// Why two sides cannot meet directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The ports of both are random, or lie in blocks that are too large.
    BothRandom,
    /// The ports of one come in sequence, those of the other from all or from too many.
    SequentialAndRandom,
    /// The NATs of both give a port for each address.
    BothByAddress,
}

impl Strategy {
    /// Whether it opens many sockets or sends hundreds of packets, so that only one may be under way in a node.
    #[must_use]
    pub fn is_hard(&self) -> bool {
        match self {
            Self::Plain | Self::LowTtl | Self::Sequential(_) | Self::Hopeless(_) => false,
            Self::BothSequential | Self::Birthday { .. } | Self::BlockBirthday { .. } => true,
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::LowTtl => f.write_str("low TTL first"),
            Self::Sequential(Role::Opens) => f.write_str("sequence of ours"),
            Self::Sequential(Role::Sprays) => f.write_str("sequence of the peer"),
            Self::BothSequential => write!(f, "both sequences, {SEQUENCE_SOCKETS} sockets"),
            Self::Birthday { role: Role::Opens, ports } => write!(f, "birthday, ours found in {ports} ports"),
            Self::Birthday { role: Role::Sprays, ports } => write!(f, "birthday, {ports} ports tried"),
            Self::BlockBirthday { probes } => write!(f, "birthday in blocks, {probes} probes"),
            Self::Hopeless(reason) => reason.fmt(f),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BothRandom => "both NATs give ports at random",
            Self::SequentialAndRandom => "one NAT counts its ports up, the other gives them at random",
            Self::BothByAddress => "both NATs give another port for each address",
        })
    }
}

/// The means for two profiles. What is not known counts as the friendliest.
#[must_use]
pub fn strategy(ours: &NatProfile, theirs: &NatProfile) -> Strategy {
    match (is_steady(ours), is_steady(theirs)) {
        (true, true) if admits_peer(ours) || admits_peer(theirs) => Strategy::Plain,
        (true, true) => Strategy::LowTtl,
        (false, true) => find_one(ours, theirs, Role::Opens),
        (true, false) => find_one(theirs, ours, Role::Sprays),
        (false, false) => find_both(ours, theirs),
    }
}

/// How far up the ladder an attempt is: the same profiles, judged ever more darkly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// By the profiles, with what is not known as the friendliest; the LAN or IPv6, where both have them, before all.
    Likely,
    /// As before, but every NAT may be one that a stranger's packet confuses.
    Opened,
    /// What is not known counts as the hardest.
    Guarded,
    /// And more ports are tried, and sequences are not relied on.
    Wide,
}

impl Rung {
    /// All of them, from the first.
    pub const ALL: [Self; 4] = [Self::Likely, Self::Opened, Self::Guarded, Self::Wide];

    /// Its number in a call.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The rung that a call names; `None` when there is no such.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// The means on a rung.
#[must_use]
pub fn strategy_on(rung: Rung, ours: &Side, theirs: &Side) -> Strategy {
    let likely = strategy(&ours.profile, &theirs.profile);
    let is_easy = |strategy: Strategy| matches!(strategy, Strategy::Plain | Strategy::LowTtl);
    let guarded = || match strategy(&harden(ours.profile), &harden(theirs.profile)) {
        easy if is_easy(easy) => Strategy::LowTtl,
        hard => hard,
    };
    match rung {
        Rung::Likely if has_near_way(ours, theirs) && !is_easy(likely) => Strategy::Plain,
        Rung::Likely => likely,
        Rung::Opened if has_near_way(ours, theirs) || is_easy(likely) => Strategy::LowTtl,
        Rung::Opened => likely,
        Rung::Guarded => guarded(),
        Rung::Wide => widen(guarded(), ours, theirs),
    }
}

/// Whether nothing that one side sends at first gets past the other's NAT, as far as that has shown what it admits.
pub(crate) fn is_refused(ours: &NatProfile, theirs: &NatProfile) -> bool {
    let is_open = matches!(theirs.filtering, Dependence::EndpointIndependent | Dependence::AddressDependent);
    !is_steady(ours) && !is_open
}

/// Whether it is seen under the same port by everybody.
fn is_steady(profile: &NatProfile) -> bool {
    matches!(profile.mapping, Dependence::Unknown | Dependence::EndpointIndependent)
}

/// Whether it lets a peer in whose address it has sent to, whatever the port is now.
fn admits_peer(profile: &NatProfile) -> bool {
    profile.filtering != Dependence::AddressAndPortDependent
}

/// Whether it lets strangers in.
fn admits_strangers(profile: &NatProfile) -> bool {
    matches!(profile.filtering, Dependence::Unknown | Dependence::EndpointIndependent)
}

/// Whether it has one port for all that comes from an address, and lets it in.
fn goes_by_address(profile: &NatProfile) -> bool {
    profile.mapping == Dependence::AddressDependent && profile.filtering == Dependence::AddressDependent
}

/// One side's port must be found by the other, whose own is known.
fn find_one(hidden: &NatProfile, steady: &NatProfile, role: Role) -> Strategy {
    if admits_peer(steady) || admits_strangers(hidden) {
        return Strategy::Plain;
    }
    match hidden.ports {
        Ports::Sequential { .. } => Strategy::Sequential(role),
        Ports::Unknown | Ports::Preserved | Ports::Fixed | Ports::Block { .. } | Ports::Random => {
            birthday(hidden, role, BIRTHDAY_PORTS)
        }
    }
}

/// Neither port is known to the other.
fn find_both(ours: &NatProfile, theirs: &NatProfile) -> Strategy {
    if admits_strangers(ours) || admits_strangers(theirs) {
        return Strategy::Plain;
    }
    match (goes_by_address(ours), goes_by_address(theirs)) {
        // It does not matter from which port the other sends.
        (true, false) => return birthday(ours, Role::Opens, BIRTHDAY_PORTS),
        (false, true) => return birthday(theirs, Role::Sprays, BIRTHDAY_PORTS),
        (true, true) => return Strategy::Hopeless(Reason::BothByAddress),
        (false, false) => {}
    }
    match (&ours.ports, &theirs.ports) {
        (Ports::Sequential { .. }, Ports::Sequential { .. }) => Strategy::BothSequential,
        (Ports::Sequential { .. }, other) | (other, Ports::Sequential { .. }) => sequence_and_block(other),
        (ours, theirs) => blocks(ours, theirs),
    }
}

fn birthday(hidden: &NatProfile, role: Role, ports: u16) -> Strategy {
    let all = u16::try_from(block_size(&hidden.ports)).unwrap_or(u16::MAX);
    Strategy::Birthday { role, ports: ports.min(all) }
}

/// `ceil(2·sqrt(a·b))` probes of each side find each other with 98 %.
fn blocks(ours: &Ports, theirs: &Ports) -> Strategy {
    let product = block_size(ours) * block_size(theirs);
    if product > BLOCK_PRODUCT_WEAK {
        return Strategy::Hopeless(Reason::BothRandom);
    }
    Strategy::BlockBirthday { probes: block_probes(product) }
}

/// The next `n` ports of the sequential side are its block: `n` probes of each side into `n` and `b` ports meet with
/// 63 % when `n` is `b`, and with 98 % when it is four times `b`.
fn sequence_and_block(block: &Ports) -> Strategy {
    let size = block_size(block);
    if size > u64::from(block_probes(BLOCK_PRODUCT)) {
        return Strategy::Hopeless(Reason::SequentialAndRandom);
    }
    Strategy::BlockBirthday { probes: block_probes(4 * size * size) }
}

fn block_probes(product: u64) -> u16 {
    let quadruple = 4 * product.min(BLOCK_PRODUCT);
    let root = quadruple.isqrt();
    let root = if root * root < quadruple { root + 1 } else { root };
    u16::try_from(root).expect("the root of 32 million")
}

fn block_size(ports: &Ports) -> u64 {
    match ports {
        Ports::Block { first, last } => u64::from(last.saturating_sub(*first)) + 1,
        Ports::Unknown | Ports::Preserved | Ports::Fixed | Ports::Sequential { .. } | Ports::Random => {
            u64::from(u16::MAX - PORT_MIN) + 1
        }
    }
}

fn harden(mut profile: NatProfile) -> NatProfile {
    for class in [&mut profile.mapping, &mut profile.filtering] {
        if *class == Dependence::Unknown {
            *class = Dependence::AddressAndPortDependent;
        }
    }
    profile
}

fn widen(strategy: Strategy, ours: &Side, theirs: &Side) -> Strategy {
    match strategy {
        Strategy::Sequential(role @ Role::Opens) => birthday(&ours.profile, role, BIRTHDAY_PORTS_WIDE),
        Strategy::Sequential(role @ Role::Sprays) => birthday(&theirs.profile, role, BIRTHDAY_PORTS_WIDE),
        Strategy::Birthday { role: role @ Role::Opens, .. } => {
            birthday(&ours.profile, role, BIRTHDAY_PORTS_WIDE)
        }
        Strategy::Birthday { role: role @ Role::Sprays, .. } => {
            birthday(&theirs.profile, role, BIRTHDAY_PORTS_WIDE)
        }
        Strategy::Plain
        | Strategy::LowTtl
        | Strategy::BothSequential
        | Strategy::BlockBirthday { .. }
        | Strategy::Hopeless(_) => strategy,
    }
}

#[cfg(test)]
mod tests;
