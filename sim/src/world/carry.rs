//! The way of datagrams: from a machine through routers and the network to another machine.

use super::{Happening, World};
use crate::network::Copy;
use crate::underlay::{Realm, Transit};
use overlay::{Remote, SocketId};
use std::net::SocketAddr;

/// Datagrams that are remembered for replay.
const OVERHEARD_MAX: usize = 64;
/// Sockets of one machine at the same time: those of a hard attempt, of one or two that have just ended, and what was won.
const SOCKETS_MAX: usize = 2048;
/// Ports that the operating system gives to sockets that want any.
const EPHEMERAL_PORTS: std::ops::Range<u16> = 32_768..61_000;

impl World {
    /// Puts a datagram on the wire. With a low TTL it dies on the way, but routers near the machine remember it.
    pub(super) fn transmit(&mut self, machine: usize, remote: Remote, ttl: Option<u8>, bytes: Vec<u8>) {
        self.check_datagram(machine, &bytes);
        self.note_datagram(machine, "sends", &bytes);
        let sender = &mut self.machines[machine];
        sender.activity.datagrams += 1;
        sender.activity.bytes += bytes.len() as u64;
        let Remote::Udp { socket, address: to } = remote else { return };
        let Some(from) = sender.address_towards(to, socket) else { return };
        self.overhear(from, to, &bytes);
        if to.ip().is_multicast() {
            return self.multicast(machine, from, &bytes);
        }
        let now = self.now();
        let departed = self.underlay.depart(&self.machines, (machine, from), to, ttl, now);
        let Some(at) = departed else { return };
        let receivers = self.underlay.receivers(&self.machines, &at);
        if !receivers.iter().any(|to| self.network.passes(machine, *to)) {
            return;
        }
        for copy in self.copies(machine, at.realm, &bytes) {
            let (bytes, is_damaged) = (copy.bytes, copy.is_damaged);
            self.plan(copy.after, Happening::Datagram { sender: machine, at, bytes, is_damaged });
        }
    }

    /// A datagram reaches the edge of a realm.
    pub(super) fn come(&mut self, sender: usize, at: Transit, bytes: Vec<u8>, is_damaged: bool) {
        let now = self.now();
        let Some((machine, socket)) = self.underlay.arrive(&self.machines, at, now) else { return };
        // Of the machines behind a router, some may be in another part of the world than the sender.
        let is_behind = self.machines[machine].realm != at.realm;
        if is_behind && !self.network.passes(sender, machine) {
            return;
        }
        let remote = Remote::Udp { socket, address: at.from };
        self.note_datagram(machine, if is_damaged { "gets damaged" } else { "gets" }, &bytes);
        self.arrive(machine, remote, bytes, is_damaged);
    }

    /// All other machines of a home get what one sends to a group. The internet carries no such thing.
    fn multicast(&mut self, machine: usize, from: SocketAddr, bytes: &[u8]) {
        let realm = self.machines[machine].realm;
        let is_neighbour = |other: &usize| *other != machine && self.machines[*other].realm == realm;
        let neighbours: Vec<usize> = (0..self.machines.len()).filter(is_neighbour).collect();
        if realm == Realm::INTERNET {
            return;
        }
        for to in neighbours.into_iter().filter(|to| self.network.passes(machine, *to)).collect::<Vec<_>>() {
            for copy in self.copies(machine, realm, bytes) {
                let (bytes, is_damaged) = (copy.bytes, copy.is_damaged);
                self.plan(copy.after, Happening::Multicast { to, from, bytes, is_damaged });
            }
        }
    }

    /// A machine of the home gets what was sent to the group.
    pub(super) fn come_to_all(&mut self, to: usize, from: SocketAddr, bytes: Vec<u8>, is_damaged: bool) {
        self.note_datagram(to, "gets from the group", &bytes);
        self.arrive(to, Remote::udp(from), bytes, is_damaged);
    }

    /// What the network lets through of a datagram into a realm.
    fn copies(&mut self, sender: usize, realm: Realm, bytes: &[u8]) -> Vec<Copy> {
        let is_at_home = realm != Realm::INTERNET && realm == self.machines[sender].realm;
        let conditions = if is_at_home { self.network.lan_conditions } else { self.network.conditions };
        self.network.carry(conditions, bytes)
    }

    fn overhear(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if self.overheard.len() == OVERHEARD_MAX {
            let at = self.random.below(OVERHEARD_MAX);
            self.overheard.swap_remove(at);
        }
        self.overheard.push((from, to, bytes.to_vec()));
    }

    /// Opens sockets of a machine on ports of the operating system's choice.
    ///
    /// # Panics
    /// When a node wants more than 2,048 at the same time.
    pub fn open_sockets(&mut self, machine: usize, first: SocketId, count: u16) {
        let open = self.machines[machine].sockets.len();
        assert!(
            open + usize::from(count) <= SOCKETS_MAX,
            "machine {machine} has {open} sockets and wants {count}"
        );
        for id in (first.0..=u16::MAX).take(count.into()).map(SocketId) {
            let port = loop {
                let port = EPHEMERAL_PORTS.start + self.random.below(EPHEMERAL_PORTS.len()) as u16;
                let opener = &self.machines[machine];
                let is_main = opener.addresses.iter().any(|own| [port, port - 1].contains(&own.port()));
                if !is_main && opener.sockets.values().all(|taken| *taken != port) {
                    break port;
                }
            };
            self.machines[machine].sockets.insert(id, port);
        }
    }

    /// Closes sockets of a machine.
    pub fn close_sockets(&mut self, machine: usize, first: SocketId, count: u16) {
        let end = first.0.saturating_add(count);
        self.machines[machine].sockets.retain(|id, _| !(first.0..end).contains(&id.0));
    }
}

#[cfg(test)]
mod tests;
