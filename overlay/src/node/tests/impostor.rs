//! Members and joiners that claim to be who they are not.

use super::lab::{Flight, Lab, any_member};
use crate::DropReason;
use crate::Identity;
use crate::limits::REJECT_AFTER;
use crate::noise::{EnrolmentNoise, Handshake};
use crate::random::Random;
use ed25519_dalek::Signer;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use wire::datagram::{Datagram, write_enrolment};
use wire::enrolment::{self, Request};
use wire::{Invite, NodeId, cbor};

const SECOND: Duration = Duration::from_secs(1);
const CONVERSATION: u32 = 7;

/// A joiner written by hand, that may say what it likes in its request.
struct Forger {
    invite: Invite,
    identity: Identity,
    handshake: Handshake,
}

impl Forger {
    fn new(invite: Invite, identity: Identity) -> Self {
        let psk = invite.psk();
        let noise = EnrolmentNoise {
            secret: &identity.noise,
            network: &invite.network,
            invite: &invite.id,
            psk: &psk,
        };
        let handshake = noise.initiator(&mut Random::new([9; 32]));
        Self { invite, identity, handshake }
    }

    /// Goes as far as its request, which names `node`; whether an answer came.
    fn asks_as(mut self, node: NodeId, lab: &mut Lab) -> bool {
        let to = lab.machines[0].remote;
        let from = nat::Remote::udp("198.51.100.1:7".parse().unwrap());
        let answers = Rc::new(RefCell::new(vec![]));
        let catch = answers.clone();
        lab.lose = Box::new(move |flight| {
            if flight.to == from {
                catch.borrow_mut().push(flight.bytes.clone());
            }
            flight.to == from
        });
        let key = self.invite.mac_key();
        let first = self.handshake.write(b"").unwrap();
        let bytes = write_enrolment(1, &self.invite.id, CONVERSATION, &first, &key);
        lab.arrive(&Flight { from, to, bytes });
        let second = answers.borrow_mut().remove(0);
        let Some(Datagram::Enrolment(second)) = Datagram::parse(&second) else { panic!() };
        self.handshake.read(second.body).unwrap();
        let proof = enrolment::proof_message(&self.handshake.hash(), &self.identity.noise_key());
        let request = Request {
            node,
            proof: self.identity.signing.sign(&proof).to_bytes().into(),
            name: "x".parse().unwrap(),
            name_is_firm: false,
        };
        let third = self.handshake.write(&cbor::encode(&request)).unwrap();
        let bytes = write_enrolment(3, &self.invite.id, CONVERSATION, &third, &key);
        lab.arrive(&Flight { from, to, bytes });
        !answers.borrow().is_empty()
    }
}

#[test]
fn a_joiner_gets_no_credential_for_an_id_whose_key_it_has_not() {
    for (node, answered) in [(Identity::generate([40; 32]).node(), true), (NodeId([8; 32]), false)] {
        let mut lab = Lab::new();
        let invite = lab.invite(0, &any_member());
        let forger = Forger::new(invite, Identity::generate([40; 32]));
        assert_eq!(forger.asks_as(node, &mut lab), answered);
        assert_eq!(lab.view(0).peers.len(), usize::from(answered));
        assert_eq!(lab.drops(0, DropReason::Enrolment), u64::from(!answered));
    }
    let mut lab = Lab::with(&["b"]);
    let invite = lab.invite(0, &any_member());
    let forger = Forger::new(invite, Identity::generate([40; 32]));
    let victim = lab.id(1);
    assert!(!forger.asks_as(victim, &mut lab));
}

#[test]
fn a_member_that_shows_anothers_credentials_gets_no_session() {
    let mut lab = Lab::with(&["b", "c"]);
    let b = lab.machines[1].remote;
    lab.machines[2].is_up = false;
    lab.run(REJECT_AFTER);
    lab.show_credentials_of(2, 1);
    // Or it would find its own credentials there.
    lab.machines[2].files.remove(&crate::state::StateFile::Records);
    // First the impostor asks, then it is asked.
    for at in [2, 0] {
        let refused = if at == 2 { lab.drops(0, DropReason::Credential) } else { 0 };
        lab.restart(at);
        lab.run(2 * SECOND);
        assert!(lab.drops(0, DropReason::Credential) > refused);
        assert!(!lab.connected(0, 2));
        assert_eq!(lab.peer(0, 1).unwrap().remote, Some(b), "b's own session is as it was");
    }
    lab.send(1, 0, b"it is me");
    lab.run(SECOND);
    assert_eq!(lab.received(0), [b"it is me"]);
}
