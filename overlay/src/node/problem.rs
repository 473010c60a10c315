//! What a Node knows to be wrong: a sentence each, the worst first, with what to do about it.

use super::{Node, PeerView, Standing};
use crate::peer::{Peer, PeerState};
use std::collections::BTreeMap;
use std::time::Instant;
use wire::credential::{CLOCK_SKEW_S, CredentialError};
use wire::handshake::Refusal;
use wire::{Name, NodeId};

/// Names that one sentence lists.
const LISTED_MAX: usize = 3;

/// What a peer's clock showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockReading {
    /// Seconds since 1970.
    pub(crate) unix_s: u64,
    /// When it came.
    pub(crate) at: Instant,
}

impl Node {
    /// One sentence for each thing that is wrong; `peers` are those of the same view.
    pub(super) fn problems(&self, peers: &[PeerView], now: Instant) -> Vec<String> {
        if self.is_revoked {
            let text = "This machine was revoked from the network. To come back: `hopmesh leave`, then `hopmesh join` with a new invite.";
            return vec![text.to_owned()];
        }
        let mut problems: Vec<String> = self.own_dates(now).into_iter().collect();
        problems.extend(self.exit_problem());
        problems.extend(silence(peers));
        problems.extend(self.refusals(now));
        problems.extend(self.revisions_apart());
        problems.extend(self.clocks_apart(peers));
        problems.extend(self.withheld_epoch(now).map(|number| format!("The network has a new secret, of epoch {number}, and no peer has given it to this machine: they have not got it themselves, or an admin has shut this machine out. Ask an admin.")));
        if self.registry.overflows() {
            problems.push("More services are published than the machines of this network hold: some are not found. Raise `registry.full_replication_max` on all of them.".to_owned());
        }
        problems.extend(self.names_of_others());
        problems.extend(self.refused_routes());
        problems
    }

    fn own_dates(&self, now: Instant) -> Option<String> {
        let (own, unix_s) = (self.members.own(), self.unix_s(now));
        if own.check_dates(unix_s).err()? != CredentialError::NotYetValid {
            return Some("By this machine's clock its credentials have ended, so no new session is made. If the clock is wrong, set it right; else have an admin's machine on the network, which renews them.".to_owned());
        }
        let begun_s =
            own.admin().into_iter().chain([own.claims()]).map(|claims| claims.not_before_s).max()?;
        Some(format!(
            "This machine's clock stands {} before the date of its own credentials, so no new session is made: set it right, by `timedatectl set-ntp true` or `date --set`.",
            rough_time(begun_s.saturating_sub(unix_s))
        ))
    }

    /// Peers that want no session with us.
    fn refusals(&self, now: Instant) -> Vec<String> {
        let (mut revoked, mut outdated) = (vec![], vec![]);
        for peer in self.peers.values() {
            match peer.refusal {
                Some(Refusal::Revoked) => revoked.push(self.name_of(&peer.node)),
                Some(Refusal::Expired | Refusal::NotYetValid) => outdated.push(peer),
                Some(Refusal::Revision) | None => {}
            }
        }
        let mut problems = vec![];
        if !revoked.is_empty() {
            let says = if revoked.len() == 1 { "says" } else { "say" };
            problems.push(format!("{} {says} that this machine was revoked: ask an admin; `hopmesh leave` and a new invite bring it back.", listed(&revoked)));
        }
        if let Some(first) = outdated.first() {
            let names: Vec<Name> = outdated.iter().map(|peer| self.name_of(&peer.node)).collect();
            let finds = if names.len() == 1 { "finds" } else { "find" };
            let cause = match self.clock_ahead_s(first, now).filter(|apart_s| is_apart(*apart_s)) {
                Some(apart_s) => format!(
                    "The clock there is {} this machine's: set the clock that is wrong.",
                    apart(apart_s)
                ),
                None => {
                    "The clocks agree: have an admin's machine on the network, which renews them.".to_owned()
                }
            };
            problems.push(format!(
                "{} {finds} this machine's credentials out of date, and {} no session. {cause}",
                listed(&names),
                if names.len() == 1 { "makes" } else { "make" }
            ));
        }
        problems
    }

    /// Peers with a session whose clocks are further from ours than credentials bear.
    fn clocks_apart(&self, peers: &[PeerView]) -> Option<String> {
        let is_meant =
            |peer: &&PeerView| peer.state == PeerState::Connected && peer.clock_ahead_s.is_some_and(is_apart);
        let meant: Vec<&PeerView> = peers.iter().filter(is_meant).collect();
        let apart_s = meant.first()?.clock_ahead_s?;
        let names: Vec<Name> = meant.iter().map(|peer| peer.name.clone()).collect();
        Some(format!(
            "The clock of {} was {} this machine's at the last handshake: set the clock that is wrong, before credentials or invites count as out of date.",
            listed(&names),
            apart(apart_s)
        ))
    }

    /// How far the clock of a peer is ahead of ours, in seconds, by what it said last.
    pub(super) fn clock_ahead_s(&self, peer: &Peer, now: Instant) -> Option<i64> {
        let ClockReading { unix_s, at } = peer.clock?;
        let theirs_s = unix_s.saturating_add(now.saturating_duration_since(at).as_secs());
        Some(i64::try_from(theirs_s).ok()?.saturating_sub(i64::try_from(self.unix_s(now)).ok()?))
    }

    /// Names that are published here and are other nodes': one sentence for each of these.
    fn names_of_others(&self) -> impl Iterator<Item = String> {
        let mut holders: BTreeMap<NodeId, Vec<Name>> = BTreeMap::new();
        let mut machines = vec![];
        for (name, standing) in self.standings() {
            match standing {
                Standing::Taken(holder) => holders.entry(holder).or_default().push(name.clone()),
                Standing::NodeName(_) => machines.push(name.clone()),
                Standing::Waiting | Standing::Held | Standing::Shared(_) => {}
            }
        }
        let taken = holders.into_iter().map(|(holder, names)| {
            let ([belongs, it], holder) = (number(&names), self.name_of(&holder));
            format!("The service {belongs} to {holder}: what is published here under {it} does not count. Choose another name, or have {holder} share {it}, or an admin delegate {it} to this machine.")
        });
        let machines = (!machines.is_empty()).then(|| {
            format!("What this machine publishes under {} does not count: a machine of the network is called so. Choose another name.", listed(&machines))
        });
        taken.collect::<Vec<_>>().into_iter().chain(machines)
    }
}

/// When nobody answers; a network of one has nobody to miss.
fn silence(peers: &[PeerView]) -> Option<String> {
    let is = |state| move |peer: &PeerView| peer.state == state;
    let is_silent = peers.iter().any(is(PeerState::Offline)) && !peers.iter().any(is(PeerState::Connected));
    is_silent.then(|| "No peer answers: see whether this machine is on a network that lets UDP out; `hopmesh netcheck` and `hopmesh why NODE` say more. After more than 400 days away, or 16 revocations, only `hopmesh leave` and a new invite help.".to_owned())
}

fn is_apart(ahead_s: i64) -> bool {
    ahead_s.unsigned_abs() > CLOCK_SKEW_S
}

/// `2 hours ahead of`.
fn apart(ahead_s: i64) -> String {
    format!("{} {}", rough_time(ahead_s.unsigned_abs()), if ahead_s > 0 { "ahead of" } else { "behind" })
}

/// A time in the largest unit of which there are two, give or take a little: `2 hours`, `59 minutes`, `50 years`.
#[must_use]
pub fn rough_time(s: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(365 * 86_400, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes")];
    let count = |unit_s: u64| (s + unit_s / 60) / unit_s;
    let found = UNITS.iter().find(|(unit_s, _)| count(*unit_s) >= 2);
    found.map_or_else(|| format!("{s} seconds"), |(unit_s, unit)| format!("{} {unit}", count(*unit_s)))
}

/// `name web belongs` and `it`, or the same of several.
fn number(names: &[Name]) -> [String; 2] {
    match names {
        [name] => [format!("name {name} belongs"), "it".to_owned()],
        names => [format!("names {} belong", listed(names)), "them".to_owned()],
    }
}

/// `a, b, c and 4 more`.
pub(super) fn listed(names: &[Name]) -> String {
    let shown = names.iter().take(LISTED_MAX).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
