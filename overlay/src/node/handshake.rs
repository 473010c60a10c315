//! Session handshakes: initiation, response, cookie reply, each with what makes it and what takes it.
//!
//! A message that is refused changes no state: everything is read and judged before the first field is written.

use super::reach::is_private;
use super::{ClockReading, Event, Node, Output};
use crate::door::{Admission, Knock};
use crate::drops::DropReason;
use crate::limits::{COOKIE_LIFE, COOKIES_PER_ATTEMPT_MAX, EARLIER_IN_USE_AFTER, EARLIER_TRIED, KNOCK_AFTER};
use crate::noise::{Handshake, SessionNoise};
use crate::peer::{Attempt, Held, Peer, Seeking};
use crate::session::{Role, Session};
use nat::Remote;
use std::sync::Arc;
use std::time::Instant;
use wire::credential::CredentialError;
use wire::datagram::{
    CookieReply, INITIATION_LENGTH, Initiation, Response, UNPROVED_REPLY_LENGTH_MAX, write_cookie_reply,
    write_initiation, write_response,
};
use wire::gate::{GateKeys, MAC_LENGTH};
use wire::handshake::{InitiationPayload, Refusal, ResponsePayload, Suite};
use wire::record::LinkState;
use wire::{Chain, NetworkSecret, NodeId, Revision};

/// Bits of a timestamp for milliseconds since the start: 139 years.
const TIMESTAMP_MS_BITS: u32 = 42;
/// What a response is longer than the responder's credentials: header, ephemeral key, tag, MACs, and the payload's other
/// fields with an IPv6 address among them, and revisions of a byte each.
const RESPONSE_OVERHEAD: usize = 12 + 32 + 16 + 2 * MAC_LENGTH + 37 + 3;
const _: () = assert!(Revision::CURRENT.number() < 24, "CBOR needs more bytes for them then");

impl Node {
    /// Sends an initiation to every address where a peer may be.
    pub(super) fn create_initiation(&mut self, node: NodeId, now: Instant) {
        let is_better_punched = self.is_better_punched(&node, now);
        let secrets = self.secrets_for(&node);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.asked(|wait| self.random.jitter(wait), now);
        let mut targets = peer.paths.targets();
        if peer.is_connected() && matches!(peer.seeking, Seeking::Asking { attempts: 1, .. }) {
            // A rekey goes by the path that works; only when that fails it goes by all.
            targets.truncate(1);
        }
        if is_better_punched {
            keep_off_the_nat(peer, &mut targets);
        }
        if targets.is_empty() {
            return;
        }
        for secret in secrets {
            self.initiate(node, &secret, &targets, now);
        }
    }

    /// The secrets to ask a peer under: the latest, which comes last and so makes the session when it can; before it the one
    /// that the peer has last shown, and when there is no answer earlier ones in turn, for it may have been away.
    fn secrets_for(&self, node: &NodeId) -> Vec<NetworkSecret> {
        let secrets = &self.members.network.secrets;
        let earlier: Vec<&NetworkSecret> = secrets.all().skip(1).collect();
        let peer = self.peers.get(node);
        let again = match peer.map(|peer| peer.seeking) {
            Some(Seeking::Asking { attempts, .. }) => attempts as usize,
            Some(Seeking::Content | Seeking::Resting) | None => 0,
        };
        let shown = peer.and_then(|peer| peer.epoch);
        // Who has answered under none of them is most likely off: then one at a time will do.
        let first = again.saturating_sub(1) * EARLIER_TRIED;
        let turns = if first < earlier.len() { first..first + EARLIER_TRIED } else { again..again + 1 };
        // Who has a session has our epoch, or is given it by that; and two new sessions at once would end the one in use.
        let has_session = peer.is_some_and(Peer::is_connected) && again < EARLIER_IN_USE_AFTER;
        let in_turn = |place: usize| again > 0 && turns.clone().any(|turn| turn % earlier.len() == place);
        let is_tried = |(place, secret): &(usize, &&NetworkSecret)| {
            let is_shown = shown == Some(secret.epoch()) && shown != Some(secrets.current().epoch());
            !has_session && (is_shown || in_turn(*place))
        };
        let tried = earlier.iter().enumerate().filter(is_tried).map(|(_, secret)| (*secret).clone());
        tried.chain([secrets.current().clone()]).collect()
    }

    /// Sends one initiation under a secret to these addresses.
    fn initiate(&mut self, node: NodeId, secret: &NetworkSecret, targets: &[Remote], now: Instant) {
        let payload = InitiationPayload {
            timestamp: self.timestamp(now),
            unix_s: self.unix_s(now),
            suites: self.suites.clone(),
            chain: self.members.own().encode().into(),
            revisions: self.revisions,
        };
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let (network, psk) = (self.members.id(), secret.psk());
        let noise = SessionNoise { secret: &self.identity.noise, network: &network, psk: &psk };
        let mut handshake = noise.initiator(&peer.noise_key, &mut self.random);
        let Ok(message) = handshake.write(&payload.encode()) else { return };
        let Some(local_index) = self.indices.reserve(node, &mut self.random) else { return };
        let cookie = peer.cookie.filter(|(_, since)| now < *since + COOKIE_LIFE).map(|(cookie, _)| cookie);
        let gate = GateKeys::of_receiver(secret, &peer.noise_key);
        let bytes = write_initiation(local_index, &message, &gate, cookie.as_ref());
        peer.attempts.push_back(Attempt {
            handshake,
            epoch: secret.epoch(),
            gate,
            local_index,
            noise: message,
            mac1: mac1_of(&bytes),
            sent: now,
            cookies: 0,
        });
        for remote in targets {
            self.transmit(*remote, bytes.clone());
        }
    }

    /// Whether a hop will carry the first words to a peer, so that nothing needs to knock at its NAT unasked: there are
    /// NATs that give another port to whom they were knocked at by (nat/README.md section 3, `linux_open_input`).
    fn is_better_punched(&mut self, node: &NodeId, now: Instant) -> bool {
        let attempts = match self.peers.get(node).map(|peer| peer.seeking) {
            Some(Seeking::Asking { attempts, .. }) => attempts,
            Some(Seeking::Content | Seeking::Resting) | None => return false,
        };
        // The peer's own word on its NAT comes a moment after its addresses. And when nothing helps, all is tried.
        let may_translate = self.topology.state(node).is_none_or(LinkState::may_translate);
        attempts <= KNOCK_AFTER
            && may_translate
            && (self.route_to(node, now).is_some() || !self.links().is_empty())
    }

    fn timestamp(&mut self, now: Instant) -> u64 {
        let since_start = now.saturating_duration_since(self.started).as_millis() as u64;
        self.last_timestamp =
            (self.identity.starts << TIMESTAMP_MS_BITS | since_start).max(self.last_timestamp + 1);
        self.last_timestamp
    }

    pub(super) fn consume_initiation(&mut self, initiation: &Initiation<'_>, remote: Remote, now: Instant) {
        let reply_is_long =
            self.members.own().encode_without_root().len() + RESPONSE_OVERHEAD > UNPROVED_REPLY_LENGTH_MAX;
        let Some(place) = self.gates.place(initiation.gate.mark, |keys| initiation.gate.passes(keys)) else {
            return self.drops.count(DropReason::Gate);
        };
        let knock = Knock { reply_is_long, is_earlier: place > 0 };
        match self.door.admit(&initiation.gate, remote, knock, &mut self.random, now) {
            Admission::Admit => {}
            Admission::Refuse => return self.drops.count(DropReason::HandshakeFlood),
            Admission::AskForCookie(cookie) => {
                let nonce = self.random.bytes();
                let Some(keys) = self.gates.keys(place) else { return };
                let sealed = keys.seal_cookie(&cookie, &nonce, &initiation.gate.mac1);
                let bytes = write_cookie_reply(&CookieReply::new(initiation.sender, nonce, sealed, keys));
                return self.transmit(remote, bytes);
            }
        }
        // The secrets are in the order of their gates.
        let Some(secret) = self.members.network.secrets.all().nth(place).cloned() else { return };
        if let Err(reason) = self.answer_initiation(initiation, &secret, remote, now) {
            self.drops.count(reason);
        }
    }

    fn answer_initiation(
        &mut self,
        initiation: &Initiation<'_>,
        secret: &NetworkSecret,
        remote: Remote,
        now: Instant,
    ) -> Result<(), DropReason> {
        let (mut handshake, payload, chain) = self.read_initiation(initiation, secret)?;
        let node = chain.claims().node;
        if !self.is_end_of(&node, remote) {
            return Err(DropReason::NoCircuit);
        }
        if self.peers.get(&node).is_some_and(|peer| payload.timestamp <= peer.highest_timestamp) {
            return Err(DropReason::Handshake);
        }
        let keys = GateKeys::of_receiver(secret, &chain.claims().noise_key);
        let revision = match self.agree(&payload, &chain, now) {
            Ok(revision) => revision,
            Err(refusal) => {
                let (unix_s, revisions) = (self.unix_s(now), self.revisions);
                let answer = ResponsePayload::Refused { refusal, unix_s, revisions };
                let bytes = self.write_answer(&mut handshake, &answer, (0, initiation.sender), &keys)?;
                self.transmit(remote, bytes);
                let is_apart = refusal == Refusal::Revision;
                return Err(if is_apart { DropReason::Revision } else { DropReason::Revoked });
            }
        };
        let noise_key = chain.claims().noise_key;
        self.learn_chain(chain.clone());
        let peer = self.ensure_peer(node, noise_key, now).ok_or(DropReason::HandshakeFlood)?;
        peer.highest_timestamp = payload.timestamp;
        peer.clock = Some(ClockReading { unix_s: payload.unix_s, at: now });
        peer.epoch = Some(secret.epoch());
        peer.revisions = Some(payload.revisions);
        let position = peer.position;
        let local_index = self.indices.reserve(node, &mut self.random).ok_or(DropReason::HandshakeFlood)?;
        let suite = choose_suite(&self.suites, &payload.suites);
        let answer = ResponsePayload::Accepted {
            suite,
            observed: remote.candidate(),
            chain: self.members.own().encode_without_root().into(),
            unix_s: self.unix_s(now),
            revisions: self.revisions,
        };
        let indices = (local_index, initiation.sender);
        let answered = self.write_answer(&mut handshake, &answer, indices, &keys);
        let (Ok(bytes), Ok(raw)) = (answered, handshake.finish()) else {
            self.indices.free(local_index);
            return Err(DropReason::Handshake);
        };
        let session = Arc::new(Session::new(&raw, Role::Responder, suite, indices, position));
        self.install(node, session, revision, now);
        // The workers know the session before the initiator can use it.
        self.publish_tables();
        self.transmit(remote, bytes);
        Ok(())
    }

    fn read_initiation(
        &mut self,
        initiation: &Initiation<'_>,
        secret: &NetworkSecret,
    ) -> Result<(Handshake, InitiationPayload, Chain), DropReason> {
        let (psk, network) = (secret.psk(), self.members.id());
        let noise = SessionNoise { secret: &self.identity.noise, network: &network, psk: &psk };
        let mut handshake = noise.responder(&mut self.random);
        let payload = handshake.read(initiation.noise).map_err(|_| DropReason::Handshake)?;
        let payload = InitiationPayload::decode(&payload).map_err(|_| DropReason::Handshake)?;
        let chain = Chain::verify(&payload.chain, &network).map_err(|_| DropReason::Credential)?;
        let proved = handshake.remote() == Some(chain.claims().noise_key);
        if !proved || chain.claims().node == self.identity.node() {
            return Err(DropReason::Credential);
        }
        Ok((handshake, payload, chain))
    }

    /// Why a node that shows these credentials gets no session. It may not know yet of those that it was given since.
    pub(super) fn refusal(&self, shown: &Chain, now: Instant) -> Option<Refusal> {
        let chain = self.members.best(shown);
        if self.is_revoked || self.members.is_revoked(chain) {
            return Some(Refusal::Revoked);
        }
        match chain.check_dates(self.unix_s(now)) {
            Ok(()) => None,
            Err(CredentialError::NotYetValid) => Some(Refusal::NotYetValid),
            Err(_) => Some(Refusal::Expired),
        }
    }

    fn write_answer(
        &self,
        handshake: &mut Handshake,
        answer: &ResponsePayload,
        (sender, receiver): (u32, u32),
        keys: &GateKeys,
    ) -> Result<Vec<u8>, DropReason> {
        let message = handshake.write(&answer.encode()).map_err(|_| DropReason::Handshake)?;
        let bytes = write_response(sender, receiver, &message, keys);
        debug_assert!(bytes.len() < INITIATION_LENGTH, "a response is never longer than what it answers");
        Ok(bytes)
    }

    pub(super) fn consume_response(&mut self, response: &Response<'_>, remote: Remote, now: Instant) {
        if let Err(reason) = self.finish_handshake(response, remote, now) {
            self.drops.count(reason);
        }
    }

    fn finish_handshake(
        &mut self,
        response: &Response<'_>,
        remote: Remote,
        now: Instant,
    ) -> Result<(), DropReason> {
        let node = self.indices.attempt(response.receiver).ok_or(DropReason::NoSession)?;
        if !self.is_end_of(&node, remote) {
            return Err(DropReason::NoCircuit);
        }
        let peer = self.peers.get_mut(&node).ok_or(DropReason::NoSession)?;
        let mine = |attempt: &Attempt| attempt.local_index == response.receiver;
        let place = peer.attempts.iter().position(mine).ok_or(DropReason::NoSession)?;
        let payload =
            peer.attempts[place].handshake.read(response.noise).map_err(|_| DropReason::Handshake)?;
        let attempt = peer.attempts.remove(place).ok_or(DropReason::NoSession)?;
        // The responder keeps only what it made last: when it has answered a later attempt, that one must end too.
        peer.attempts.drain(..place).for_each(|earlier| self.indices.free(earlier.local_index));
        // From here on the responder has proved its key: what it says ends the attempt, one way or the other.
        let position = peer.position;
        peer.epoch = Some(attempt.epoch);
        let outcome = self.judge_response((node, remote), &payload, now);
        let (Ok((suite, revision)), Ok(keys)) = (outcome, attempt.handshake.finish()) else {
            self.indices.free(attempt.local_index);
            return Err(outcome.err().unwrap_or(DropReason::Handshake));
        };
        let indices = (attempt.local_index, response.sender);
        let session = Arc::new(Session::new(&keys, Role::Initiator, suite, indices, position));
        self.install(node, session, revision, now);
        self.established(node, remote, now);
        Ok(())
    }

    fn judge_response(
        &mut self,
        (node, remote): (NodeId, Remote),
        payload: &[u8],
        now: Instant,
    ) -> Result<(Suite, Revision), DropReason> {
        let payload = ResponsePayload::decode(payload).map_err(|_| DropReason::Handshake)?;
        let (suite, bytes, unix_s, revisions) = match payload {
            ResponsePayload::Accepted { suite, chain, observed, unix_s, revisions } => {
                self.take_observation(node, remote, observed, now);
                (suite, chain, unix_s, revisions)
            }
            ResponsePayload::Refused { refusal, unix_s, revisions } => {
                if let Some(peer) = self.peers.get_mut(&node) {
                    peer.revisions = Some(revisions);
                }
                self.note_refusal(node, refusal, ClockReading { unix_s, at: now });
                return Err(DropReason::Handshake);
            }
        };
        let root = self.members.own().root();
        let chain = Chain::verify_under(&bytes, root).map_err(|_| DropReason::Credential)?;
        let proved = self.peers.get(&node).is_some_and(|peer| peer.noise_key == chain.claims().noise_key);
        let offered = self.suites.contains(&suite) || suite == Suite::ChaCha20Poly1305;
        if !proved || chain.claims().node != node || !offered {
            return Err(DropReason::Credential);
        }
        match self.refusal(&chain, now) {
            None => {}
            Some(Refusal::Revoked) => return Err(DropReason::Revoked),
            Some(Refusal::Expired | Refusal::NotYetValid | Refusal::Revision) => {
                return Err(DropReason::Credential);
            }
        }
        let Some(revision) = self.revisions.common(revisions) else {
            // It should have said so itself.
            self.note_apart(node, revisions);
            return Err(DropReason::Revision);
        };
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.revisions = Some(revisions);
            peer.clock = Some(ClockReading { unix_s, at: now });
        }
        self.learn_chain(chain);
        Ok((suite, revision))
    }

    fn note_refusal(&mut self, node: NodeId, refusal: Refusal, clock: ClockReading) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let is_news = peer.refusal != Some(refusal);
        (peer.refusal, peer.clock) = (Some(refusal), Some(clock));
        if is_news {
            let name = self.name_of(&node);
            self.outputs.push_back(Output::Event(Event::RefusedBy(name, refusal)));
        }
    }

    pub(super) fn consume_cookie_reply(&mut self, reply: &CookieReply, remote: Remote, now: Instant) {
        let peer = self.indices.attempt(reply.receiver).and_then(|node| self.peers.get_mut(&node));
        let Some(peer) = peer else { return self.drops.count(DropReason::NoSession) };
        // Only whom we asked is answered, and not for ever: a forged source would make us shout at somebody else.
        let asked = peer.paths.targets().contains(&remote);
        let ours = |attempt: &&mut Attempt| {
            asked && attempt.local_index == reply.receiver && attempt.cookies < COOKIES_PER_ATTEMPT_MAX
        };
        let opened = peer.attempts.iter_mut().find(ours).and_then(|attempt| {
            let cookie = attempt.gate.open_cookie(&reply.sealed, &reply.nonce, &attempt.mac1)?;
            Some((cookie, attempt))
        });
        let Some((cookie, attempt)) = opened else { return self.drops.count(DropReason::Handshake) };
        attempt.cookies += 1;
        peer.cookie = Some((cookie, now));
        let bytes = attempt.initiation(Some(&cookie));
        self.transmit(remote, bytes);
    }

    /// Gives a session its place; frees those that it drives out.
    fn install(&mut self, node: NodeId, session: Arc<Session>, revision: Revision, now: Instant) {
        self.indices.install(session.clone());
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let held = Held::new(session.clone(), revision, peer.shared.traffic(), now);
        let gone = match session.role {
            Role::Initiator => {
                self.handshakes.initiated += 1;
                peer.sessions.install_current(held)
            }
            Role::Responder => {
                self.handshakes.answered += 1;
                peer.sessions.install_next(held)
            }
        };
        gone.iter().for_each(|held| self.indices.free(held.session.local_index));
        self.tables_are_old = true;
    }
}

fn keep_off_the_nat(peer: &Peer, targets: &mut Vec<Remote>) {
    let remembered = peer.paths.candidates.remembered();
    targets.retain(|remote| match remote.candidate() {
        Some(candidate) => is_private(candidate.socket_address().ip()) || remembered.contains(&candidate),
        None => true,
    });
}

fn mac1_of(initiation: &[u8]) -> [u8; MAC_LENGTH] {
    let start = initiation.len() - 2 * MAC_LENGTH;
    initiation[start..start + MAC_LENGTH].try_into().expect("an initiation ends with two MACs")
}

/// AES where both are quick at it, else the cipher that everybody has.
fn choose_suite(own: &[Suite], offered: &[Suite]) -> Suite {
    own.iter().copied().find(|suite| offered.contains(suite)).unwrap_or(Suite::ChaCha20Poly1305)
}
