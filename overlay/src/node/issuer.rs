//! The issuer's side of an enrolment: four messages, one credential, never two.
//!
//! The invite is marked as used in memory at once, so that of two joiners in the same instant the second is
//! refused; the mark is written before the credential leaves; and the joiner that was given it gets the same answer
//! again when it asks again. When the write fails the mark is taken back and the joiner is refused. Which way the
//! joiner comes, by itself or through a member (`vouch`), changes nothing but where answers go.

use super::vouch::Way;
use super::{Event, Node, Output};
use crate::answer::seal_answer;
use crate::drops::DropReason;
use crate::limits::{ENROLMENT_LIFE, ENROLMENTS_MAX, ENROLMENTS_THROUGH_MAX};
use crate::noise::{EnrolmentNoise, Handshake, RawKeys};
use crate::state::{StateFile, encode_invites};
use nat::Remote;
use std::time::Instant;
use wire::control::Message;
use wire::credential::verify_signature;
use wire::datagram::write_enrolment;
use wire::enrolment::{self, ANSWER_LENGTH_MAX, Answer, Contact, Refusal, Request};
use wire::invite::InviteRole;
use wire::{Chain, InviteId, Name, NodeId, NoisePublicKey, cbor};

/// An enrolment under way at the issuer.
pub(super) struct Enrolment {
    invite: InviteId,
    conversation: u32,
    /// Who put it through first, if somebody did.
    member: Option<NodeId>,
    since: Instant,
    stage: Stage,
}

enum Stage {
    /// The second message is sent.
    AwaitRequest { handshake: Box<Handshake>, second: Vec<u8> },
    /// The invite is marked as used, and the mark is being written.
    AwaitJournal { ticket: u64, keys: RawKeys, chain: Box<Chain>, way: Way },
    /// The fourth message is sent.
    Answered { fourth: Vec<u8> },
}

/// What a joiner has shown in its request.
struct Joiner {
    node: NodeId,
    noise_key: NoisePublicKey,
    name: Name,
    name_is_firm: bool,
}

impl Node {
    pub(super) fn consume_enrolment(
        &mut self,
        message: &wire::datagram::Enrolment<'_>,
        remote: Remote,
        now: Instant,
    ) {
        let outcome = if self.invites.iter().any(|invite| invite.id == message.invite) {
            self.take_enrolment(message, Way::Straight(remote), now)
        } else {
            self.put_through(message, remote, now)
        };
        match outcome {
            Some(()) => self.keep_stream(remote, now + ENROLMENT_LIFE),
            None => self.drops.count(DropReason::Enrolment),
        }
    }

    /// Takes a message of a joiner that has one of our invites.
    pub(super) fn take_enrolment(
        &mut self,
        message: &wire::datagram::Enrolment<'_>,
        way: Way,
        now: Instant,
    ) -> Option<()> {
        self.enrolments.retain(|enrolment| now < enrolment.since + ENROLMENT_LIFE);
        match message.stage {
            1 => self.begin_enrolment(message, way, now),
            3 => self.consume_request(message, way, now),
            _ => None,
        }
    }

    /// Sends a joiner a message, the way that its own came.
    fn answer(&mut self, way: Way, bytes: Vec<u8>) {
        match way {
            Way::Straight(remote) => self.transmit(remote, bytes),
            Way::Through { member, joiner } => {
                self.send(&member, &Message::Enrolment { joiner, bytes: bytes.into() }, None);
            }
        }
    }

    fn place(&self, message: &wire::datagram::Enrolment<'_>) -> Option<usize> {
        let same = |e: &Enrolment| e.invite == message.invite && e.conversation == message.conversation;
        self.enrolments.iter().position(same)
    }

    fn begin_enrolment(
        &mut self,
        message: &wire::datagram::Enrolment<'_>,
        way: Way,
        now: Instant,
    ) -> Option<()> {
        let invite = self.invites.iter().find(|invite| invite.id == message.invite)?;
        let key = wire::invite::mac_key(&invite.secret);
        if let Some(place) = self.place(message) {
            // The second message got lost.
            let Stage::AwaitRequest { second, .. } = &self.enrolments[place].stage else { return None };
            let bytes = write_enrolment(2, &message.invite, message.conversation, second, &key);
            self.answer(way, bytes);
            return Some(());
        }
        let member = match way {
            Way::Through { member, .. } => Some(member),
            Way::Straight(_) => None,
        };
        let of_member = self.enrolments.iter().filter(|e| member.is_some() && e.member == member);
        if of_member.count() >= ENROLMENTS_THROUGH_MAX {
            return None;
        }
        if self.enrolments.len() >= ENROLMENTS_MAX {
            // Who was answered has had its turn: its place goes first, the oldest before all.
            let answered = |e: &&Enrolment| matches!(e.stage, Stage::Answered { .. });
            let oldest = self.enrolments.iter().filter(answered).map(|e| (e.since, e.conversation)).min()?;
            self.enrolments.retain(|e| (e.since, e.conversation) != oldest);
        }
        let (psk, network) = (wire::invite::psk(&invite.secret), self.members.id());
        let noise = EnrolmentNoise {
            secret: &self.identity.noise,
            network: &network,
            invite: &message.invite,
            psk: &psk,
        };
        let mut handshake = noise.responder(&mut self.random);
        handshake.read(message.body).ok()?;
        let second = handshake.write(b"").ok()?;
        let bytes = write_enrolment(2, &message.invite, message.conversation, &second, &key);
        self.answer(way, bytes);
        self.enrolments.push(Enrolment {
            invite: message.invite,
            conversation: message.conversation,
            member,
            since: now,
            stage: Stage::AwaitRequest { handshake: Box::new(handshake), second },
        });
        Some(())
    }

    fn consume_request(
        &mut self,
        message: &wire::datagram::Enrolment<'_>,
        way: Way,
        now: Instant,
    ) -> Option<()> {
        let place = self.place(message)?;
        let handshake = match &mut self.enrolments[place].stage {
            Stage::AwaitRequest { handshake, .. } => handshake,
            Stage::AwaitJournal { way: latest, .. } => {
                *latest = way;
                return Some(());
            }
            Stage::Answered { fourth } => {
                let bytes = fourth.clone();
                self.answer(way, bytes);
                return Some(());
            }
        };
        let hash = handshake.hash();
        let payload = handshake.read(message.body).ok()?;
        let noise_key = handshake.remote()?;
        let request: Request = cbor::decode(&payload).ok()?;
        let proof = enrolment::proof_message(&hash, &noise_key);
        verify_signature(&request.node.0, &proof, &request.proof[..]).ok()?;
        // The joiner has proved the secret and its keys: from here on it gets an answer.
        let Enrolment { invite, conversation, member, stage, .. } = self.enrolments.swap_remove(place);
        let Stage::AwaitRequest { handshake, .. } = stage else { return None };
        let keys = handshake.finish().ok()?;
        let joiner =
            Joiner { node: request.node, noise_key, name: request.name, name_is_firm: request.name_is_firm };
        let stage = match self.admit_joiner(&invite, &joiner, now) {
            Ok(chain) => {
                let ticket = self.persist_invites();
                Stage::AwaitJournal { ticket, keys, chain: Box::new(chain), way }
            }
            Err(refusal) => {
                let answer = Answer::Refused { refusal };
                Stage::Answered { fourth: self.send_answer(&invite, conversation, &keys, &answer, way) }
            }
        };
        self.enrolments.push(Enrolment { invite, conversation, member, since: now, stage });
        Some(())
    }

    fn send_answer(
        &mut self,
        invite: &InviteId,
        conversation: u32,
        keys: &RawKeys,
        answer: &Answer,
        way: Way,
    ) -> Vec<u8> {
        let secret = self.invites.iter().find(|i| i.id == *invite).map_or([0; 16], |i| i.secret.into());
        let body = seal_answer(keys, answer);
        let bytes = write_enrolment(4, invite, conversation, &body, &wire::invite::mac_key(&secret));
        self.answer(way, bytes.clone());
        bytes
    }

    /// Decides about a joiner and marks the invite as used by it.
    fn admit_joiner(&mut self, invite: &InviteId, joiner: &Joiner, now: Instant) -> Result<Chain, Refusal> {
        let network = self.members.id();
        let issued = self.invites.iter().find(|i| i.id == *invite).cloned().ok_or(Refusal::Unable)?;
        match (issued.used_by, &issued.chain) {
            // The same machine asks again, after a restart of one of us: it gets the same credentials.
            (Some(node), Some(bytes)) if node == joiner.node => {
                let chain = Chain::verify(bytes, &network).map_err(|_| Refusal::Unable)?;
                // It may have been given another address before it heard of the first.
                let chain = self.members.best(&chain).clone();
                return if self.members.is_revoked(&chain) { Err(Refusal::Revoked) } else { Ok(chain) };
            }
            (Some(_), _) => return Err(Refusal::Used),
            (None, _) => {}
        }
        if self.unix_s(now) >= issued.expires_s {
            return Err(Refusal::Expired);
        }
        self.must_know_the_time(now).map_err(|_| Refusal::Unable)?;
        let name = self.name_for(issued.name.as_ref(), joiner)?;
        let address = self.free_address(issued.address(), Some(invite)).map_err(|_| Refusal::AddressTaken)?;
        let admin = issued.role == InviteRole::Admin;
        let mut claims = self.new_claims(joiner.node, joiner.noise_key, name, address, admin, now);
        claims.services = issued.services.clone().unwrap_or_default();
        let chain = self.sign_claims(claims).map_err(|_| Refusal::Unable)?;
        if self.members.is_revoked(&chain) {
            return Err(Refusal::Revoked);
        }
        if let Some(invite) = self.invites.iter_mut().find(|i| i.id == *invite) {
            invite.used_by = Some(joiner.node);
            invite.chain = Some(chain.encode().into());
        }
        Ok(chain)
    }

    fn name_for(&self, promised: Option<&Name>, joiner: &Joiner) -> Result<Name, Refusal> {
        let free = |name: &Name| self.members.holder_of_name(name).is_none_or(|holder| holder == joiner.node);
        if let Some(name) = promised {
            return if free(name) { Ok(name.clone()) } else { Err(Refusal::NameTaken) };
        }
        // A machine called like a service would take its name from it.
        let is_of_service =
            |name: &Name| self.services.holding(name, |node| self.credentials(node)).is_some();
        let free = |name: &Name| {
            free(name)
                && !is_of_service(name)
                && !self.invites.iter().any(|i| i.used_by.is_none() && i.name.as_ref() == Some(name))
        };
        if free(&joiner.name) {
            return Ok(joiner.name.clone());
        }
        let numbered = (2..10_000).map(|n| joiner.name.numbered(n)).find(free);
        if joiner.name_is_firm { Err(Refusal::NameTaken) } else { numbered.ok_or(Refusal::NameTaken) }
    }

    /// Queues a write of the invites; its ticket.
    pub(super) fn persist_invites(&mut self) -> u64 {
        self.tables_are_old = true;
        self.unwritten.invites = None;
        self.persist(StateFile::Invites, encode_invites(&self.invites))
    }

    /// Takes how a write went; what depended on it goes on, or is taken back.
    pub fn handle_persisted(&mut self, ticket: u64, written: bool, now: Instant) {
        if !written {
            self.persist_again(ticket, now);
        }
        self.handle_epoch_written(ticket, written, now);
        let waits = |e: &Enrolment| matches!(&e.stage, Stage::AwaitJournal { ticket: t, .. } if *t == ticket);
        let Some(place) = self.enrolments.iter().position(waits) else { return };
        let Enrolment { invite, conversation, member, stage, .. } = self.enrolments.swap_remove(place);
        let Stage::AwaitJournal { keys, chain, way, .. } = stage else { return };
        let chain = self.members.best(&chain).clone();
        let answer = if written {
            self.welcome(&chain, way, now);
            self.accepted(&chain, &way)
        } else {
            // The same machine may have asked again, and its second mark may be on its way to the disk.
            let is_marked = |e: &Enrolment| e.is_of(&invite) && matches!(e.stage, Stage::AwaitJournal { .. });
            let is_marked = self.enrolments.iter().any(is_marked);
            if let Some(invite) = self.invites.iter_mut().find(|i| i.id == invite && !is_marked) {
                invite.used_by = None;
                invite.chain = None;
            }
            // A write of something else may have been queued meanwhile, with the mark in it.
            self.persist_invites();
            Answer::Refused { refusal: Refusal::Unable }
        };
        let fourth = self.send_answer(&invite, conversation, &keys, &answer, way);
        self.enrolments.push(Enrolment {
            invite,
            conversation,
            member,
            since: now,
            stage: Stage::Answered { fourth },
        });
    }

    fn accepted(&self, chain: &Chain, way: &Way) -> Answer {
        let answer = |contacts: &[Contact]| Answer::Accepted {
            network_name: self.members.network.name.clone(),
            chain: chain.encode().into(),
            epoch: self.members.network.secrets.current().epoch(),
            secret: (*self.members.network.secrets.current().bytes()).into(),
            contacts: contacts.to_vec(),
        };
        let mut contacts = self.contacts_for(way);
        while cbor::encode(&answer(&contacts)).len() > ANSWER_LENGTH_MAX && contacts.pop().is_some() {}
        answer(&contacts)
    }

    fn welcome(&mut self, chain: &Chain, way: Way, now: Instant) {
        let claims = chain.claims().clone();
        // Before the node tells of itself, others must know that its name and address are taken. What is known was told of.
        if self.members.chain(&claims.node) != Some(chain) {
            self.publish_chain(chain.clone(), now);
        }
        if let Some(peer) = self.ensure_peer(claims.node, claims.noise_key, now)
            && let Way::Straight(remote) = way
            && let Some(candidate) = remote.candidate()
        {
            peer.paths.candidates.remember(candidate);
            // Whatever happens to us in the next moment: we know whom to dial afterwards.
            self.unwritten.contacts = Some(now);
        }
        self.outputs.push_back(Output::Event(Event::Enrolled(claims.node, claims.name)));
    }

    /// Credentials that invites gave before the restart count, though the record of them may not have been written.
    pub(super) fn restore_issued(&mut self, now: Instant) {
        let network = self.members.id();
        let chains: Vec<Chain> =
            self.invites.iter().filter_map(|i| Chain::verify(i.chain.as_deref()?, &network).ok()).collect();
        for chain in chains {
            if self.members.chain(&chain.claims().node).is_none() {
                self.publish_chain(chain, now);
            }
        }
    }
}

impl Enrolment {
    pub(super) fn is_of(&self, invite: &InviteId) -> bool {
        self.invite == *invite
    }

    pub(super) fn over(&self, life: std::time::Duration) -> Instant {
        self.since + life
    }

    pub(super) fn is_over(&self, now: Instant, life: std::time::Duration) -> bool {
        now >= self.over(life)
    }
}
