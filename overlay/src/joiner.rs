//! The joiner's side of an enrolment: by an invite to a credential.
//!
//! Sans-IO like everything here: datagrams and time in, datagrams, an end and deadlines out. Every address of the
//! invite is asked at the same time, the issuer's and those of members that put us through to it; the first that answers
//! is talked to. Losing any message costs a retry. When the first falls silent all are asked again, and at last anew.
//! Who reaches none of them leaves word in the DHT, and asks the issuer where that says it is (`mailbox`).

mod mailbox;

pub use mailbox::MailboxParams;

use crate::answer::open_answer;
use crate::identity::Identity;
use crate::limits::{
    ENROLMENT_ASK_ALL_AFTER, ENROLMENT_BEGIN_ANEW_AFTER, ENROLMENT_PATIENCE, ENROLMENT_RETRY,
    MAILBOX_PATIENCE, STREAM_DIALS_MAX,
};
use crate::node::{DhtEvent, DhtRequest};
use crate::noise::{EnrolmentNoise, Handshake, RawKeys};
use crate::random::Random;
use crate::secrets::Secrets;
use crate::state::{Contact, Network};
use ed25519_dalek::Signer;
use mailbox::Mailbox;
use nat::{Remote, SocketId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use wire::datagram::{Datagram, Enrolment, write_enrolment};
use wire::enrolment::{self, Answer, Refusal, Request};
use wire::{Candidate, Chain, Invite, Name, NetworkSecret, NoisePublicKey, cbor};

/// Why a joiner is no member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The issuer says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody answered.
    #[error(
        "no answer at any address of the invite, neither from the machine that made it nor from members that would put us through: check that it is up and connected to its network, and that its UDP port or theirs can be reached from here; if the invite is old, make another"
    )]
    NoAnswer,
    /// Nobody answered, nor the issuer to what was left for it in the DHT.
    #[error(
        "no answer at any address of the invite, nor in the DHT to the word that was left there: check that the machine that made the invite is up, connected to the internet, and has `dht.enabled`; if the invite is old, make another"
    )]
    NoWord,
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
    /// Send a datagram to a node of the DHT, which says where it sees us.
    Ping {
        /// To which.
        remote: Remote,
        /// UDP payload.
        bytes: Vec<u8>,
    },
    /// Send a datagram to the group of the machine's own networks, where the issuer or a member may listen.
    Group(Vec<u8>),
    /// Ask the DHT for something; what comes of it goes to [`Joiner::handle_dht`].
    Dht(DhtRequest),
    /// A member now: the membership, and whom to reach first, the issuer before all.
    Done(Box<Network>, Vec<Contact>),
    /// No member.
    Failed(JoinError),
    /// Nothing until the deadline.
    Wait(Instant),
}

enum Stage {
    AwaitSecond { handshake: Box<Handshake>, first: Vec<u8> },
    AwaitAnswer { keys: RawKeys, issuer: NoisePublicKey, third: Vec<u8>, remote: Remote, since: Instant },
    Over,
}

/// An enrolment, seen from the joiner.
pub struct Joiner {
    invite: Invite,
    /// Ways over TCP, for where UDP is blocked.
    streams: Vec<Remote>,
    mailbox: Option<Mailbox>,
    /// The socket that the answer came to.
    socket: SocketId,
    identity: Identity,
    name: Name,
    name_is_firm: bool,
    random: Random,
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
        let stage = begin(&invite, &identity, &mut random);
        Self {
            conversation: random.u32(),
            random,
            stage,
            invite,
            streams: vec![],
            mailbox: None,
            socket: SocketId::MAIN,
            identity,
            name,
            name_is_firm,
            started: now,
            next: now,
            outputs: VecDeque::new(),
        }
    }

    /// A stream is open to where an address of the invite is: it is asked by this way too.
    pub fn handle_stream(&mut self, stream: Remote, now: Instant) {
        if self.streams.len() < STREAM_DIALS_MAX {
            self.streams.push(stream);
            self.next = now;
        }
    }

    /// There is a DHT from now on: the issuer is asked by it too.
    pub fn handle_mailbox(&mut self, params: MailboxParams, now: Instant) {
        self.mailbox = Some(Mailbox::new(&self.invite, params, now));
    }

    /// Takes what the DHT says.
    pub fn handle_dht(&mut self, event: DhtEvent, now: Instant) {
        let Some(mailbox) = &mut self.mailbox else { return };
        if mailbox.handle_dht(event, &self.invite, now) {
            self.next = now;
        }
    }

    /// The socket that the issuer's answer came to.
    #[must_use]
    pub fn socket(&self) -> SocketId {
        self.socket
    }

    /// Takes a datagram; what is not an answer to us changes nothing.
    pub fn handle_datagram(&mut self, bytes: &[u8], remote: Remote, now: Instant) {
        let Some(Datagram::Enrolment(message)) = Datagram::parse(bytes) else {
            return self.mailbox.iter_mut().for_each(|mailbox| mailbox.handle_datagram(bytes, remote));
        };
        let ours = message.invite == self.invite.id
            && message.conversation == self.conversation
            && message.passes(&self.invite.mac_key());
        if ours {
            match message.stage {
                2 => self.consume_second(&message, remote, now),
                4 => self.consume_answer(&message, remote),
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
            (Ok(third), Some(issuer), Ok(keys)) => {
                Stage::AwaitAnswer { keys, issuer, third, remote, since: now }
            }
            _ => {
                self.outputs.push_back(JoinOutput::Failed(JoinError::Unusable));
                Stage::Over
            }
        };
        self.next = now;
    }

    fn consume_answer(&mut self, message: &Enrolment<'_>, remote: Remote) {
        let Stage::AwaitAnswer { keys, issuer, .. } = &self.stage else { return };
        let Some(answer) = open_answer(keys, message.body) else { return };
        if let Remote::Udp { socket, .. } = remote {
            self.socket = socket;
        }
        let output = match answer {
            Answer::Accepted { network_name, chain, epoch, secret, contacts } => {
                let contacts = self.contacts(*issuer, contacts, remote);
                self.membership(network_name, &chain, NetworkSecret::new(epoch, secret.into()))
                    .map_or(JoinOutput::Failed(JoinError::Unusable), |network| {
                        JoinOutput::Done(Box::new(network), contacts)
                    })
            }
            Answer::Refused { refusal } => JoinOutput::Failed(refusal.into()),
        };
        self.stage = Stage::Over;
        self.outputs.push_back(output);
    }

    /// Whom we know now, and where: the issuer at all addresses of the invite that are nobody else's.
    fn contacts(
        &self,
        issuer: NoisePublicKey,
        members: Vec<enrolment::Contact>,
        remote: Remote,
    ) -> Vec<Contact> {
        let members = members.into_iter().filter(|member| member.node != self.invite.issuer);
        let mut members: Vec<Contact> = members
            .take(enrolment::CONTACTS_MAX)
            .map(|enrolment::Contact { node, noise_key, mut candidates }| {
                candidates.truncate(enrolment::CONTACT_CANDIDATES_MAX);
                Contact { node, noise_key, candidates }
            })
            .collect();
        let asked = remote.candidate().into_iter().chain(self.invite.addresses.iter().copied());
        let is_a_members = |c: &Candidate| members.iter().any(|member| member.candidates.contains(c));
        let mut candidates: Vec<Candidate> = asked.filter(|c| !is_a_members(c)).collect();
        candidates.dedup();
        members.insert(0, Contact { node: self.invite.issuer, noise_key: issuer, candidates });
        members
    }

    fn membership(&self, name: Name, chain: &[u8], secret: NetworkSecret) -> Option<Network> {
        let chain = Chain::verify(chain, &self.invite.network).ok()?;
        let claims = chain.claims();
        let is_ours = claims.node == self.identity.node() && claims.noise_key == self.identity.noise_key();
        is_ours.then_some(Network { name, chain, secrets: Secrets::new(secret), root: None })
    }

    /// Where the issuer has answered from, while it makes up its mind.
    #[must_use]
    pub fn answered_by(&self) -> Option<Remote> {
        match &self.stage {
            Stage::AwaitAnswer { remote, .. } => Some(*remote),
            Stage::AwaitSecond { .. } | Stage::Over => None,
        }
    }

    fn patience(&self) -> Duration {
        if self.has_left_word() { MAILBOX_PATIENCE } else { ENROLMENT_PATIENCE }
    }

    fn has_left_word(&self) -> bool {
        self.mailbox.as_ref().is_some_and(Mailbox::has_left_word)
    }

    /// What is to be done now about the DHT, if anything is.
    fn ask_dht(&mut self, now: Instant) -> Option<JoinOutput> {
        let mailbox = self.mailbox.as_mut()?;
        for (remote, bytes) in mailbox.pings(&mut self.random, now) {
            self.outputs.push_back(JoinOutput::Ping { remote, bytes });
        }
        let request = mailbox.request((&self.invite, &self.identity), &mut self.random, now);
        self.outputs.extend(request.map(JoinOutput::Dht));
        self.outputs.pop_front()
    }

    /// What is to be done next.
    pub fn poll_output(&mut self, now: Instant) -> JoinOutput {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if matches!(self.stage, Stage::Over) {
            return JoinOutput::Wait(now + ENROLMENT_PATIENCE);
        }
        let end = self.started + self.patience();
        if now >= end {
            self.stage = Stage::Over;
            return JoinOutput::Failed(if self.has_left_word() {
                JoinError::NoWord
            } else {
                JoinError::NoAnswer
            });
        }
        if let Some(output) = self.ask_dht(now) {
            return output;
        }
        if now < self.next {
            let dht = self.mailbox.as_ref().and_then(Mailbox::deadline);
            return JoinOutput::Wait(self.next.min(end).min(dht.unwrap_or(end)));
        }
        self.next = now + ENROLMENT_RETRY;
        if matches!(self.stage, Stage::AwaitAnswer { since, .. } if now >= since + ENROLMENT_BEGIN_ANEW_AFTER)
        {
            self.stage = begin(&self.invite, &self.identity, &mut self.random);
            self.conversation = self.random.u32();
        }
        let mut remotes: Vec<Remote> = self
            .invite
            .addresses
            .iter()
            .map(|c| Remote::udp(c.socket_address()))
            .chain(self.streams.iter().copied())
            .chain(self.mailbox.iter().flat_map(Mailbox::remotes))
            .collect();
        let (stage, body) = match &self.stage {
            Stage::AwaitSecond { first, .. } => (1, first),
            Stage::AwaitAnswer { third, remote, since, .. } => {
                // The one that answered first; and all ways to the issuer when that is silent.
                remotes.retain(|other| other != remote && now >= *since + ENROLMENT_ASK_ALL_AFTER);
                remotes.insert(0, *remote);
                (3, third)
            }
            Stage::Over => return JoinOutput::Wait(now + ENROLMENT_PATIENCE),
        };
        let bytes = write_enrolment(stage, &self.invite.id, self.conversation, body, &self.invite.mac_key());
        if stage == 1 {
            self.outputs.push_back(JoinOutput::Group(bytes.clone()));
        }
        for remote in remotes {
            self.outputs.push_back(JoinOutput::Transmit { remote, bytes: bytes.clone() });
        }
        self.outputs.pop_front().unwrap_or(JoinOutput::Wait(self.next))
    }
}

/// The first message of a handshake of its own.
fn begin(invite: &Invite, identity: &Identity, random: &mut Random) -> Stage {
    let noise = EnrolmentNoise {
        secret: &identity.noise,
        network: &invite.network,
        invite: &invite.id,
        psk: &invite.psk(),
    };
    let mut handshake = noise.initiator(random);
    let first = handshake.write(b"").expect("the first message of XX always fits");
    Stage::AwaitSecond { handshake: Box::new(handshake), first }
}
