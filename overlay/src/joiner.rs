//! The joiner's side of an enrolment: by an invite to a credential.
//!
//! Sans-IO like everything here: datagrams and time in, datagrams, an end and deadlines out. Every address of the
//! invite is asked at the same time; the first that answers is talked to. Losing any message costs a retry.

use crate::answer::open_answer;
use crate::identity::Identity;
use crate::limits::{ENROLMENT_PATIENCE, ENROLMENT_RETRY};
use crate::noise::{EnrolmentNoise, Handshake, RawKeys};
use crate::random::Random;
use crate::state::{Contact, Network};
use ed25519_dalek::Signer;
use nat::Remote;
use std::collections::VecDeque;
use std::time::Instant;
use wire::datagram::{Datagram, Enrolment, write_enrolment};
use wire::enrolment::{self, Answer, Refusal, Request};
use wire::{Chain, Invite, Name, NetworkSecret, NoisePublicKey, cbor};

/// Why a joiner is no member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The issuer says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody answered.
    #[error(
        "no answer from the machine that made the invite: check that it is up and that its UDP port can be reached from here; if the invite is old, make another"
    )]
    NoAnswer,
    /// An answer that authenticates and makes no sense.
    #[error("the issuer's answer cannot be used: are both machines on the same version of Hopmesh?")]
    Unusable,
}

/// What the joiner is to do.
pub enum JoinOutput {
    /// Send a datagram.
    Transmit {
        /// To whom.
        remote: Remote,
        /// UDP payload.
        bytes: Vec<u8>,
    },
    /// A member now: the membership, and how to reach the issuer.
    Done(Box<Network>, Contact),
    /// No member.
    Failed(JoinError),
    /// Nothing until the deadline.
    Wait(Instant),
}

enum Stage {
    AwaitSecond { handshake: Box<Handshake>, first: Vec<u8> },
    AwaitAnswer { keys: RawKeys, issuer: NoisePublicKey, third: Vec<u8>, remote: Remote },
    Over,
}

/// An enrolment, seen from the joiner.
pub struct Joiner {
    invite: Invite,
    identity: Identity,
    name: Name,
    name_is_firm: bool,
    conversation: u32,
    stage: Stage,
    started: Instant,
    next: Instant,
    outputs: VecDeque<JoinOutput>,
}

impl Joiner {
    /// Begins. `name` is what this machine wants to be called, `name_is_firm` that no other name will do.
    #[must_use]
    pub fn new(
        invite: Invite,
        identity: Identity,
        (name, name_is_firm): (Name, bool),
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let mut random = Random::new(seed);
        let noise = EnrolmentNoise {
            secret: &identity.noise,
            network: &invite.network,
            invite: &invite.id,
            psk: &invite.psk(),
        };
        let mut handshake = noise.initiator(&mut random);
        let first = handshake.write(b"").expect("the first message of XX always fits");
        Self {
            conversation: random.u32(),
            stage: Stage::AwaitSecond { handshake: Box::new(handshake), first },
            invite,
            identity,
            name,
            name_is_firm,
            started: now,
            next: now,
            outputs: VecDeque::new(),
        }
    }

    /// Takes a datagram; what is not an answer to us changes nothing.
    pub fn handle_datagram(&mut self, bytes: &[u8], remote: Remote, now: Instant) {
        let Some(Datagram::Enrolment(message)) = Datagram::parse(bytes) else { return };
        let ours = message.invite == self.invite.id
            && message.conversation == self.conversation
            && message.passes(&self.invite.mac_key());
        if ours {
            match message.stage {
                2 => self.consume_second(&message, remote, now),
                4 => self.consume_answer(&message),
                _ => {}
            }
        }
    }

    fn consume_second(&mut self, message: &Enrolment<'_>, remote: Remote, now: Instant) {
        let Stage::AwaitSecond { handshake, .. } = &mut self.stage else { return };
        if handshake.read(message.body).is_err() {
            return;
        }
        let (hash, noise_key) = (handshake.hash(), self.identity.noise_key());
        let proof = self.identity.signing.sign(&enrolment::proof_message(&hash, &noise_key)).to_bytes();
        let request = Request {
            node: self.identity.node(),
            proof: proof.into(),
            name: self.name.clone(),
            name_is_firm: self.name_is_firm,
        };
        let third = handshake.write(&cbor::encode(&request));
        let issuer = handshake.remote();
        let Stage::AwaitSecond { handshake, .. } = std::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        self.stage = match (third, issuer, handshake.finish()) {
            (Ok(third), Some(issuer), Ok(keys)) => Stage::AwaitAnswer { keys, issuer, third, remote },
            _ => {
                self.outputs.push_back(JoinOutput::Failed(JoinError::Unusable));
                Stage::Over
            }
        };
        self.next = now;
    }

    fn consume_answer(&mut self, message: &Enrolment<'_>) {
        let Stage::AwaitAnswer { keys, issuer, remote, .. } = &self.stage else { return };
        let Some(answer) = open_answer(keys, message.body) else { return };
        let contact = Contact {
            node: self.invite.issuer,
            noise_key: *issuer,
            candidates: remote.candidate().into_iter().chain(self.invite.addresses.iter().copied()).collect(),
        };
        let output = match answer {
            Answer::Accepted { network_name, chain, epoch, secret } => self
                .membership(network_name, &chain, NetworkSecret::new(epoch, secret.into()))
                .map_or(JoinOutput::Failed(JoinError::Unusable), |network| {
                    JoinOutput::Done(Box::new(network), contact)
                }),
            Answer::Refused { refusal } => JoinOutput::Failed(refusal.into()),
        };
        self.stage = Stage::Over;
        self.outputs.push_back(output);
    }

    fn membership(&self, name: Name, chain: &[u8], secret: NetworkSecret) -> Option<Network> {
        let chain = Chain::verify(chain, &self.invite.network).ok()?;
        let claims = chain.claims();
        let is_ours = claims.node == self.identity.node() && claims.noise_key == self.identity.noise_key();
        is_ours.then_some(Network { name, chain, secret, root: None })
    }

    /// Where the issuer has answered from, while it makes up its mind.
    #[must_use]
    pub fn answered_by(&self) -> Option<Remote> {
        match &self.stage {
            Stage::AwaitAnswer { remote, .. } => Some(*remote),
            Stage::AwaitSecond { .. } | Stage::Over => None,
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self, now: Instant) -> JoinOutput {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let (stage, body, remotes) = match &self.stage {
            Stage::AwaitSecond { first, .. } => {
                (1, first, self.invite.addresses.iter().map(|c| Remote::udp(c.socket_address())).collect())
            }
            Stage::AwaitAnswer { third, remote, .. } => (3, third, vec![*remote]),
            Stage::Over => return JoinOutput::Wait(now + ENROLMENT_PATIENCE),
        };
        if now >= self.started + ENROLMENT_PATIENCE {
            self.stage = Stage::Over;
            return JoinOutput::Failed(JoinError::NoAnswer);
        }
        if now < self.next {
            return JoinOutput::Wait(self.next.min(self.started + ENROLMENT_PATIENCE));
        }
        self.next = now + ENROLMENT_RETRY;
        let bytes = write_enrolment(stage, &self.invite.id, self.conversation, body, &self.invite.mac_key());
        for remote in remotes {
            self.outputs.push_back(JoinOutput::Transmit { remote, bytes: bytes.clone() });
        }
        self.outputs.pop_front().unwrap_or(JoinOutput::Wait(self.next))
    }
}
