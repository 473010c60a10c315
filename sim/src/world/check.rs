//! Promises that hold after every step; a broken one ends the run.

use super::World;
use crate::machine::State;
use overlay::PeerState;
use overlay::Remote;
use overlay::limits::STAGED_PACKETS_TOTAL_MAX;
use std::net::IpAddr;
use wire::datagram::{Datagram, OVERHEAD};

/// Places for sessions that a peer may have cost: three sessions, and an attempt a second for five seconds under three
/// network secrets, with slack.
const PLACES_PER_PEER_MAX: usize = 24;
/// Longest datagram that a Node makes: the longest of the slow path, or the longest packet of a scenario.
const DATAGRAM_LENGTH_MAX: usize = 1500 + OVERHEAD;

impl World {
    /// No plaintext and no key leaves a machine.
    pub(super) fn check_datagram(&mut self, machine: usize, bytes: &[u8]) {
        if let Some(what) = self.secrets.found_in(bytes) {
            self.violate(format!("machine {machine} sends {what} in the clear"));
        }
        if bytes.is_empty() || bytes.len() > DATAGRAM_LENGTH_MAX {
            self.violate(format!("machine {machine} sends a datagram of {} bytes", bytes.len()));
        }
    }

    /// What can be seen of a Node from outside, whenever it waits.
    pub(super) fn check_machine(&mut self, machine: usize) {
        let State::Up(up) = &self.machines[machine].state else { return };
        let (staged, places) = (up.staged, up.tables.places());
        if staged > STAGED_PACKETS_TOTAL_MAX {
            self.violate(format!("machine {machine} keeps {staged} packets"));
        }
        if places > self.machines.len() * PLACES_PER_PEER_MAX {
            self.violate(format!("machine {machine} has {places} places for sessions"));
        }
    }

    /// A packet comes out of the TUN: it is the one that was sent, from whom it says, once, and from a member.
    pub(super) fn deliver(&mut self, machine: usize, packet: &[u8]) {
        let Some(number) = self.ledger.number(packet) else {
            self.violate(format!("machine {machine} gets a packet that nobody sent"));
            return;
        };
        self.trace.note(self.at, machine, "is given packet", &number.to_be_bytes());
        let at = self.at;
        let sent = self.ledger.packet_mut(number);
        let (from, source, destination) = (sent.from, sent.source, sent.destination);
        let came_before = sent.arrived.replace(at).is_some();
        let is_whole = sent.bytes == packet;
        if came_before {
            self.violate(format!("packet {number} came twice to machine {machine}"));
        }
        if !is_whole {
            self.violate(format!("packet {number} was altered on its way to machine {machine}"));
        }
        let sender = self.machines[from].id();
        let Some(view) = self.view(machine) else { return };
        // Whose address it is may just have changed, but nobody takes what is not his own.
        if ![IpAddr::V4(view.own.ipv4.addr()), IpAddr::V6(view.own.ipv6())].contains(&destination) {
            self.violate(format!("packet {number} for {destination} came to machine {machine}"));
        }
        let Some(peer) = view.peers.iter().find(|peer| peer.node == sender) else {
            self.violate(format!("packet {number} comes from machine {from}, which {machine} does not know"));
            return;
        };
        let (owns, is_revoked) = (peer.addresses.contains(&source), peer.state == PeerState::Revoked);
        if !owns {
            self.violate(format!(
                "machine {machine} takes {source} from machine {from}, which does not own it"
            ));
        }
        if is_revoked {
            self.violate(format!(
                "machine {machine} takes a packet from {from}, which it knows to be revoked"
            ));
        }
    }

    /// A datagram that was altered on its way is refused and changes nothing.
    pub(super) fn arrive_damaged(&mut self, machine: usize, remote: Remote, bytes: Vec<u8>) {
        if let Some(Datagram::Labelled(_)) = Datagram::parse(&bytes) {
            // A hop cannot tell: the end of the circuit does, which is no longer seen here but for what it delivers.
            self.inbound(machine, remote, bytes);
            return self.drive(machine);
        }
        // Whatever is due for another reason comes first.
        self.drive(machine);
        let before = self.picture(machine);
        let delivered = self.ledger.packets().iter().filter(|sent| sent.arrived.is_some()).count();
        let activity = self.machines[machine].activity;
        self.inbound(machine, remote, bytes.clone());
        self.drive(machine);
        let after = self.picture(machine);
        let delivered_after = self.ledger.packets().iter().filter(|sent| sent.arrived.is_some()).count();
        let kind = bytes.first().copied().unwrap_or(0);
        if let (Some((before, drops_before)), Some((after, drops_after))) = (&before, &after) {
            if before != after {
                self.violate(format!(
                    "a damaged datagram ({kind:02x}) changed machine {machine}:\n{before}\n{after}"
                ));
            }
            if drops_before + 1 != *drops_after {
                self.violate(format!(
                    "a damaged datagram ({kind:02x}) was not counted once at machine {machine}"
                ));
            }
        }
        if activity != self.machines[machine].activity || delivered != delivered_after {
            self.violate(format!("machine {machine} does something on a damaged datagram ({kind:02x})"));
        }
    }

    /// All that can be seen of a Node, and the sum of its drops.
    fn picture(&self, machine: usize) -> Option<(String, u64)> {
        let State::Up(up) = &self.machines[machine].state else { return None };
        let wake = self.machines[machine].wake.map(|at| at - self.start);
        let seen = format!("{:?} {:p} {wake:?}", up.node.view(self.now()), up.tables);
        Some((seen, up.drops.counted().map(|(_, count)| count).sum()))
    }
}
