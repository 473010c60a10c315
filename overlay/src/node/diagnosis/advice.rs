//! Words for people: what a NAT does, why a path is not direct, and what would make it so.
//!
//! Pure functions over what both sides know of themselves. They follow the ladder of strategies: what it can
//! reach needs no advice, what it cannot needs a port mapping, IPv6, or a node that passes packets on.

use super::{PathView, Reach};
use crate::peer::PeerState;
use nat::Remote;
use wire::{Dependence, Name, NatProfile, Ports};

/// Two blocks of ports can be searched while the product of their sizes is at most this: 6,000 datagrams a side then
/// meet in 98 of 100 tries.
const BLOCKS_PRODUCT_MAX: u64 = 8_000_000;

/// What is known of one end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Side {
    /// The NAT or firewall before it; `None`: not told.
    pub profile: Option<NatProfile>,
    /// Whether UDP leaves its network.
    pub udp: Reach,
    /// Whether it has a global IPv6 address.
    pub has_ipv6: bool,
    /// Whether its router passes a port on.
    pub has_port_mapping: bool,
}

/// All that the words depend on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Name of the peer.
    pub peer: &'a Name,
    /// How its packets travel now.
    pub path: &'a PathView,
    /// How the peer is.
    pub state: PeerState,
    /// Our end.
    pub ours: Side,
    /// The peer's end.
    pub theirs: Side,
    /// Whether we know an anchor, or are one.
    pub has_anchor: bool,
    /// At how many addresses the peer may be dialled.
    pub addresses: usize,
}

/// How a NAT or firewall looks to somebody who wants through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Unknown,
    /// Whoever knows the address gets in.
    Open,
    /// One mapping for everybody, and an answer gets in from any port of an address that was sent to.
    Lenient,
    /// One mapping for everybody; an answer gets in from exactly where something was sent to.
    Steady,
    /// Another port for every peer, one after the other.
    Stepping,
    /// Another port for every peer, out of so many.
    Block(u64),
    /// Another port for every peer, anywhere.
    Scattered,
}

/// What comes of two classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meeting {
    Unknown,
    /// Both send, and it works.
    Plain,
    /// It works after some search, mostly.
    Search,
    /// No search is long enough.
    Hopeless,
}

fn class(profile: &NatProfile) -> Class {
    match (profile.filtering, profile.mapping, profile.ports) {
        (Dependence::EndpointIndependent, _, _) => Class::Open,
        (_, Dependence::Unknown, _) => Class::Unknown,
        (Dependence::AddressDependent, Dependence::EndpointIndependent, _) => Class::Lenient,
        (_, Dependence::EndpointIndependent, _) => Class::Steady,
        (_, _, Ports::Sequential { .. }) => Class::Stepping,
        (_, _, Ports::Block { first, last }) => Class::Block(u64::from(last.abs_diff(first)) + 1),
        (_, _, Ports::Unknown | Ports::Preserved | Ports::Fixed | Ports::Random) => Class::Scattered,
    }
}

fn class_of(side: &Side) -> Class {
    if side.has_port_mapping { Class::Open } else { side.profile.as_ref().map_or(Class::Unknown, class) }
}

fn meeting(ours: &Side, theirs: &Side) -> Meeting {
    if ours.has_ipv6 && theirs.has_ipv6 {
        return Meeting::Plain;
    }
    match (class_of(ours), class_of(theirs)) {
        (Class::Open, _) | (_, Class::Open) => Meeting::Plain,
        (Class::Unknown, _) | (_, Class::Unknown) => Meeting::Unknown,
        (Class::Lenient, _) | (_, Class::Lenient) | (Class::Steady, Class::Steady) => Meeting::Plain,
        (Class::Steady, _) | (_, Class::Steady) | (Class::Stepping, Class::Stepping) => Meeting::Search,
        (Class::Block(a), Class::Block(b)) if a * b <= BLOCKS_PRODUCT_MAX => Meeting::Search,
        (
            Class::Stepping | Class::Block(_) | Class::Scattered,
            Class::Stepping | Class::Block(_) | Class::Scattered,
        ) => Meeting::Hopeless,
    }
}

/// What a NAT or firewall does, in words for people.
#[must_use]
pub fn nat_words(profile: &NatProfile) -> &'static str {
    match (class(profile), profile.translates) {
        (Class::Unknown, true) => "a NAT; what it does is not known yet",
        (Class::Unknown, false) => "not known yet",
        (Class::Open, true) => "a NAT that lets everybody in",
        (Class::Open, false) => "none: everybody can dial this node",
        (Class::Lenient | Class::Steady, true) => {
            "a NAT with one port for all peers: direct paths come easily"
        }
        (Class::Steady, false) if profile.filtering == Dependence::Unknown => {
            "no NAT; whether there is a firewall is not known yet"
        }
        (Class::Lenient | Class::Steady, false) => "a firewall without NAT: direct paths come easily",
        (Class::Stepping, _) => {
            "a NAT with another port for every peer, one after the other: direct paths take a guess"
        }
        (Class::Block(_), _) => {
            "a NAT with another port for every peer, out of a block: direct paths take a long search"
        }
        (Class::Scattered, _) => {
            "a NAT with another port for every peer, at random: direct paths only to peers with an easier one"
        }
    }
}

/// Why the path is as it is: one sentence without full stop.
#[must_use]
pub fn reason(situation: &Situation<'_>) -> String {
    let Situation { peer, path, state, ours, theirs, addresses, .. } = situation;
    match path {
        _ if *state == PeerState::Revoked => return format!("{peer} was removed from the network"),
        PathView::Direct { remote: Remote::Stream(_) } => {
            return "UDP does not get through, so datagrams go in a TCP connection".to_owned();
        }
        PathView::Direct { .. } => return "the path is direct".to_owned(),
        PathView::None if *addresses == 0 => return format!("no address of {peer} is known yet"),
        PathView::None | PathView::Via { .. } => {}
    }
    if ours.udp == Reach::Blocked {
        return "no UDP leaves the network that this machine is on".to_owned();
    }
    if theirs.udp == Reach::Blocked {
        return format!("no UDP leaves the network that {peer} is on");
    }
    match meeting(ours, theirs) {
        Meeting::Hopeless => {
            "the NATs on both sides give another port to every peer, and neither side can foretell the other's"
                .to_owned()
        }
        Meeting::Unknown | Meeting::Plain | Meeting::Search if **path == PathView::None => match addresses {
            1 => format!("{peer} does not answer at the one address that is known of it"),
            _ => format!("{peer} answers at none of the {addresses} addresses that are known of it"),
        },
        Meeting::Unknown => "it is not known yet what the NATs on both sides do".to_owned(),
        Meeting::Search => {
            "one of the NATs gives another port to every peer: it must be found by trying".to_owned()
        }
        Meeting::Plain => "nothing is known to be in the way: a direct path is still being tried".to_owned(),
    }
}

/// What people can do for a direct path, or for any: sentences, each of which helps by itself. Empty when the path is
/// direct, or becomes so without anybody.
#[must_use]
pub fn advise(situation: &Situation<'_>) -> Vec<String> {
    let Situation { peer, path, state, ours, theirs, has_anchor, .. } = situation;
    if *state == PeerState::Revoked {
        return vec![
            "To bring it back: `hopmesh leave` there, then `hopmesh join` with a new invite.".to_owned(),
        ];
    }
    if matches!(path, PathView::Direct { remote: Remote::Udp { .. } }) {
        return vec![];
    }
    let mut advice = vec![];
    let is_stream = matches!(path, PathView::Direct { .. });
    if ours.udp == Reach::Blocked {
        advice.push("Allow outgoing UDP on the network that this machine is on.".to_owned());
    }
    if theirs.udp == Reach::Blocked {
        advice.push(format!("Allow outgoing UDP on the network that {peer} is on."));
    }
    if is_stream && advice.is_empty() {
        advice.push(format!("Allow UDP between this machine and {peer}, on both networks."));
    }
    if !advice.is_empty() {
        // No other path could help while no datagram gets out.
        return advice;
    }
    let meeting = meeting(ours, theirs);
    if **path == PathView::None && meeting != Meeting::Hopeless {
        advice.push(format!("Check that {peer} is up and on a network: `hopmesh status` there."));
    }
    if matches!(meeting, Meeting::Hopeless | Meeting::Search) {
        advice.push(
            "Turn on UPnP, PCP or NAT-PMP on one of the two routers, or forward a UDP port to the machine behind it \
             and name it in `addresses.advertise`."
                .to_owned(),
        );
        advice.push(match (ours.has_ipv6, theirs.has_ipv6) {
            (true, _) => format!("Give {peer} IPv6, which this machine has."),
            (false, true) => format!("Give this machine IPv6, which {peer} has."),
            (false, false) => "Give both machines IPv6.".to_owned(),
        });
    }
    let needs_anchor = **path == PathView::None || meeting == Meeting::Unknown;
    if needs_anchor && !has_anchor {
        advice.push(
            "Keep one node up that others can dial, with a public address or a forwarded UDP port: it becomes an \
             anchor by itself, and the others meet by it."
                .to_owned(),
        );
    }
    advice
}

#[cfg(test)]
mod tests;
