//! One peer: its keys in use, the handshake under way, its paths, and the packets that wait for it.

use crate::limits::{
    HANDSHAKE_LIFE, HANDSHAKE_RETRY, HANDSHAKE_RETRY_MAX, IDLE_REKEY_AFTER, OFFLINE_AFTER, REJECT_AFTER,
    REKEY_AFTER, RESPONDER_REKEY_DELAY, STAGED_LIFE, STAGED_PACKETS_MAX, USED_LIFE,
};
use crate::node::{ClockReading, Need, Punching};
use crate::noise::Handshake;
use crate::peers::Plan;
use crate::session::{Role, Session};
use crate::tables::PeerShared;
use nat::{PathMtu, Paths, Traffic};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::control::Share;
use wire::datagram::write_initiation;
use wire::gate::{Cookie, GateKeys, MAC_LENGTH};
use wire::handshake::Refusal;
use wire::{NodeId, NoisePublicKey, Revision, Revisions};

/// A session and when its keys were made.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) session: Arc<Session>,
    pub(crate) born: Instant,
    /// What the peer's packets came to then.
    traffic: Traffic,
    /// Since when it has carried packets, as far as we looked.
    used: Option<Instant>,
    /// The revision of the protocol that both ends speak in it.
    revision: Revision,
}

impl Held {
    /// A session whose keys were made just now.
    pub(crate) fn new(session: Arc<Session>, revision: Revision, traffic: Traffic, now: Instant) -> Self {
        Self { session, born: now, traffic, used: None, revision }
    }

    /// When it is to be replaced by its initiator.
    fn rekey(&self, rekey_after: Duration) -> Instant {
        match self.used {
            Some(used) => used.max(self.born + rekey_after),
            None => self.born + rekey_after.max(IDLE_REKEY_AFTER),
        }
    }

    /// When it neither seals nor opens any more.
    fn end(&self) -> Instant {
        match self.used {
            Some(used) => (self.born + REJECT_AFTER).max(used + REJECT_AFTER - REKEY_AFTER),
            None => self.born + IDLE_REKEY_AFTER + REJECT_AFTER - REKEY_AFTER,
        }
    }
}

/// The three key pairs of a peer.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Still opens what was sent before the rekey.
    previous: Option<Held>,
    /// Seals and opens.
    current: Option<Held>,
    /// Made as responder; opens, and seals once the peer has used it.
    next: Option<Held>,
}

impl Sessions {
    pub(crate) fn current(&self) -> Option<&Held> {
        self.current.as_ref()
    }

    /// Takes a session that seals at once; gives back those that are in use no more.
    pub(crate) fn install_current(&mut self, held: Held) -> Vec<Held> {
        let oldest = self.previous.take();
        self.previous = self.current.replace(held);
        oldest.into_iter().collect()
    }

    /// Takes a session that waits for the peer's first datagram; gives back those that are in use no more.
    pub(crate) fn install_next(&mut self, held: Held) -> Vec<Held> {
        self.next.replace(held).into_iter().collect()
    }

    /// The peer has used the session with this index: when it is the next one, it becomes current. `None` when not.
    ///
    /// When both have begun at once there are two new sessions, and both nodes must seal by the same one: else
    /// both rekey at the same instant, and lose what flies. It is the one that `we_go_first` speaks of.
    pub(crate) fn confirm(&mut self, index: u32, we_go_first: bool) -> Option<Vec<Held>> {
        let next = self.next.take_if(|next| next.session.local_index == index)?;
        let crossed = |ours: &Held| ours.session.role == Role::Initiator && ours.born >= next.born;
        if we_go_first && self.current.as_ref().is_some_and(crossed) {
            return Some(self.previous.replace(next).into_iter().collect());
        }
        Some(self.install_current(next))
    }

    /// Takes out every session.
    pub(crate) fn take_all(&mut self) -> Vec<Held> {
        self.take(|_| true)
    }

    /// Takes out those that are too old to be used.
    pub(crate) fn take_ended(&mut self, now: Instant) -> Vec<Held> {
        self.take(|held| now >= held.end())
    }

    fn take(&mut self, gone: impl Fn(&Held) -> bool) -> Vec<Held> {
        [&mut self.previous, &mut self.current, &mut self.next]
            .into_iter()
            .filter_map(|slot| slot.take_if(|held| gone(held)))
            .collect()
    }

    /// What the peer's packets come to now: whether sessions have carried any.
    pub(crate) fn note_traffic(&mut self, traffic: Traffic, now: Instant) {
        for held in [&mut self.previous, &mut self.current, &mut self.next].into_iter().flatten() {
            if held.used.is_none() && held.traffic != traffic {
                held.used = Some(now);
            }
        }
    }

    /// When the oldest session ends.
    pub(crate) fn expiry(&self) -> Option<Instant> {
        [&self.previous, &self.current, &self.next].into_iter().flatten().map(Held::end).min()
    }

    /// When the current session is to be replaced.
    pub(crate) fn rekey(&self, rekey_after: Duration) -> Option<Instant> {
        let held = self.current.as_ref()?;
        let delay = match held.session.role {
            Role::Initiator => Duration::ZERO,
            Role::Responder => RESPONDER_REKEY_DELAY,
        };
        Some(held.rekey(rekey_after) + delay)
    }
}

/// An initiation on its way.
pub(crate) struct Attempt {
    pub(crate) handshake: Handshake,
    /// Number of the epoch that it is under, and its keys of the peer's gate.
    pub(crate) epoch: u32,
    pub(crate) gate: GateKeys,
    pub(crate) local_index: u32,
    /// The Noise message, to be sent again with a cookie.
    pub(crate) noise: Vec<u8>,
    pub(crate) mac1: [u8; MAC_LENGTH],
    pub(crate) sent: Instant,
    /// How many cookie replies to it were answered.
    pub(crate) cookies: u8,
}

impl Attempt {
    /// The datagram, once more.
    pub(crate) fn initiation(&self, cookie: Option<&Cookie>) -> Vec<u8> {
        write_initiation(self.local_index, &self.noise, &self.gate, cookie)
    }
}

/// What we do about a session with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seeking {
    /// Nothing: there is one, and it is young.
    Content,
    /// Nothing: nobody needs one.
    Resting,
    /// Asking; the next initiation goes out at `next`.
    Asking {
        /// Initiations without an answer.
        attempts: u32,
        /// First of them.
        since: Instant,
        /// Next of them.
        next: Instant,
    },
}

/// A packet that waits.
pub(crate) struct Staged {
    pub(crate) packet: Vec<u8>,
    pub(crate) until: Instant,
}

/// How a peer is called in `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// There is a session and a path.
    Connected,
    /// Asked, not answered yet.
    Connecting,
    /// Has not answered for a while; asked again from time to time.
    Offline,
    /// Nobody needs a session; there will be one when there is a packet for it.
    Resting,
    /// No member any more.
    Revoked,
}

/// A peer.
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(crate) position: usize,
    pub(crate) noise_key: NoisePublicKey,
    pub(crate) sessions: Sessions,
    pub(crate) seeking: Seeking,
    pub(crate) attempts: VecDeque<Attempt>,
    pub(crate) highest_timestamp: u64,
    pub(crate) cookie: Option<(Cookie, Instant)>,
    pub(crate) paths: Paths,
    pub(crate) path_mtu: PathMtu,
    pub(crate) punching: Punching,
    /// Before this no circuit is asked for.
    pub(crate) next_circuit: Instant,
    /// How often in a row there was none, and the first hops that it was tried by.
    pub(crate) circuit_failures: u32,
    pub(crate) tried_hops: Vec<NodeId>,
    pub(crate) staged: VecDeque<Staged>,
    pub(crate) shared: Arc<PeerShared>,
    pub(crate) last_handshake: Option<Instant>,
    /// Why it wants no session with us, while that is so.
    pub(crate) refusal: Option<Refusal>,
    /// What it speaks, as it last said.
    pub(crate) revisions: Option<Revisions>,
    /// What its clock showed when it last told.
    pub(crate) clock: Option<ClockReading>,
    /// The epoch of its latest handshake, and when we last gave it the network secret.
    pub(crate) epoch: Option<u32>,
    pub(crate) told_secret: Option<Instant>,
    /// Digest of its records and what it holds, as it last said, and when we last sent it a summary.
    pub(crate) told: Option<(u64, Share)>,
    pub(crate) last_summary: Option<Instant>,
    /// Records that it was told because it asked for names, in the second that began then.
    answers: (Option<Instant>, u32),
    /// The circuit to it that was asked for last.
    pub(crate) opening: Option<u64>,
    pub(crate) need: Need,
    pub(crate) plan: Plan,
}

impl Peer {
    pub(crate) fn new(
        node: NodeId,
        position: usize,
        noise_key: NoisePublicKey,
        (token_seed, mtu_max): (u64, u16),
        now: Instant,
    ) -> Self {
        Self {
            node,
            position,
            noise_key,
            sessions: Sessions::default(),
            seeking: Seeking::Resting,
            attempts: VecDeque::new(),
            highest_timestamp: 0,
            cookie: None,
            paths: Paths::new(token_seed),
            path_mtu: PathMtu::new(mtu_max, token_seed.rotate_left(32)),
            punching: Punching::default(),
            next_circuit: now,
            circuit_failures: 0,
            tried_hops: vec![],
            staged: VecDeque::new(),
            shared: Arc::default(),
            last_handshake: None,
            refusal: None,
            revisions: None,
            clock: None,
            epoch: None,
            told_secret: None,
            told: None,
            last_summary: None,
            answers: (None, 0),
            opening: None,
            need: Need::default(),
            plan: Plan::default(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.sessions.current().is_some() && self.paths.primary().is_some()
    }

    /// The revision that is spoken with it now.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.sessions.current().map(|held| held.revision)
    }

    pub(crate) fn state(&self, now: Instant) -> PeerState {
        match self.seeking {
            _ if self.is_connected() => PeerState::Connected,
            Seeking::Asking { attempts, since, .. }
                if attempts > 1 && now.saturating_duration_since(since) >= OFFLINE_AFTER =>
            {
                PeerState::Offline
            }
            Seeking::Resting => PeerState::Resting,
            Seeking::Asking { .. } | Seeking::Content => PeerState::Connecting,
        }
    }

    /// Whether a session with it is wanted.
    pub(crate) fn is_wanted(&self, now: Instant) -> bool {
        self.need.is_kept || self.need.is_used(now)
    }

    /// Whether there is no session although there should be one.
    pub(crate) fn is_missing(&self) -> bool {
        !self.is_connected() && self.seeking != Seeking::Resting
    }

    /// A packet or a ping wants a session.
    pub(crate) fn use_it(&mut self, now: Instant) {
        self.need.note(USED_LIFE, now);
    }

    /// Begins to ask for a session, at once; goes on asking as before when it does already. Rests when none is wanted.
    pub(crate) fn seek(&mut self, now: Instant) {
        match (self.is_wanted(now), self.seeking) {
            (false, _) => self.seeking = Seeking::Resting,
            (true, Seeking::Asking { .. }) => {}
            (true, Seeking::Content | Seeking::Resting) => {
                self.seeking = Seeking::Asking { attempts: 0, since: now, next: now };
            }
        }
    }

    /// Asks at once instead of at the end of a long wait, at most once in [`HANDSHAKE_RETRY`].
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.seek(now);
        let last = self.attempts.back().map(|attempt| attempt.sent);
        let soon = last.map_or(now, |sent| now.max(sent + HANDSHAKE_RETRY));
        if let Seeking::Asking { next, .. } = &mut self.seeking {
            *next = soon.min(*next);
        }
    }

    /// Asks as if for the first time: there is an address that it was not asked at.
    pub(crate) fn ask_anew(&mut self, now: Instant) {
        self.hurry(now);
        if let Seeking::Asking { attempts, .. } = &mut self.seeking {
            *attempts = 0;
        }
    }

    /// Notes that an initiation goes out; the wait for the next one doubles, unless packets wait for the answer.
    pub(crate) fn asked(&mut self, jitter: impl FnOnce(Duration) -> Duration, now: Instant) {
        if let Seeking::Asking { attempts, next, .. } = &mut self.seeking {
            let doublings = if self.staged.is_empty() { (*attempts).min(8) } else { 0 };
            let wait = HANDSHAKE_RETRY.saturating_mul(1 << doublings).min(HANDSHAKE_RETRY_MAX);
            *attempts += 1;
            *next = now + jitter(wait);
        }
    }

    /// Whether so many more records may be told to it, of as many as may be in a second; they count.
    pub(crate) fn may_be_told(&mut self, records: u32, per_second: u32, now: Instant) -> bool {
        let (since, count) = &mut self.answers;
        if since.is_none_or(|since| now >= since + Duration::from_secs(1)) {
            (*since, *count) = (Some(now), 0);
        }
        let may = *count + records <= per_second;
        *count += if may { records } else { 0 };
        may
    }

    /// Attempts that are too old to be answered; their indices are free.
    pub(crate) fn take_old_attempts(&mut self, now: Instant) -> Vec<u32> {
        let old = self.attempts.iter().take_while(|a| now >= a.sent + HANDSHAKE_LIFE).count();
        self.attempts.drain(..old).map(|attempt| attempt.local_index).collect()
    }

    /// Puts a packet to those that wait; gives back the oldest when there are too many.
    pub(crate) fn stage(&mut self, packet: Vec<u8>, now: Instant) -> Option<Vec<u8>> {
        let evicted = (self.staged.len() == STAGED_PACKETS_MAX).then(|| self.staged.pop_front()).flatten();
        self.staged.push_back(Staged { packet, until: now + STAGED_LIFE });
        evicted.map(|staged| staged.packet)
    }

    /// Packets that have waited too long.
    pub(crate) fn take_old_packets(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let old = self.staged.iter().take_while(|staged| now >= staged.until).count();
        self.staged.drain(..old).map(|staged| staged.packet).collect()
    }
}
