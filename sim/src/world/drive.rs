//! What the daemon does with a Node: datagrams and packets through the fast path, the rest to the Node, and then what the
//! Node asks for, until it waits.

use super::{Happening, World};
use crate::machine::{State, Write};
use overlay::Remote;
use overlay::fastpath::{self, Inbound, Outbound};
use overlay::state::{Network, StateFile};
use overlay::{JoinOutput, Output};
use std::time::Duration;
use wire::offload::Offload;

/// The longest datagram that a machine's interface takes in one piece: Ethernet's, over IPv4.
const DATAGRAM_MAX: usize = 1472;
/// Outputs of one Node at one instant before it must wait: a flood of all records to all peers stays below.
const POLLS_MAX: usize = 5_000;

impl World {
    /// A datagram reaches a machine.
    pub(super) fn arrive(&mut self, machine: usize, remote: Remote, bytes: Vec<u8>, is_damaged: bool) {
        if is_damaged {
            self.arrive_damaged(machine, remote, bytes);
        } else {
            self.inbound(machine, remote, bytes);
            self.drive(machine);
        }
    }

    pub(super) fn inbound(&mut self, machine: usize, remote: Remote, mut bytes: Vec<u8>) {
        let now = self.now();
        match &mut self.machines[machine].state {
            State::Off => {}
            State::Joining(joining) => joining.joiner.handle_datagram(&bytes, remote, now),
            State::Up(up) => match fastpath::inbound(&up.tables, &mut bytes, remote) {
                Inbound::Packet(opened, news) => {
                    if let Some((news, from)) = news {
                        up.node.handle_slow(news, from, now);
                    }
                    let packet = bytes[opened.range].to_vec();
                    self.deliver(machine, &packet);
                }
                Inbound::Half(packet, news) => {
                    if let Some((news, from)) = news {
                        up.node.handle_slow(news, from, now);
                    }
                    if let Some((opened, bytes)) = packet {
                        self.deliver(machine, &bytes[opened.range]);
                    }
                }
                Inbound::Forward(to, notice) => {
                    if let Some(notice) = notice {
                        up.node.handle_slow(notice, remote, now);
                    }
                    self.transmit(machine, to, None, bytes);
                }
                // Machines here have no guests.
                Inbound::WireGuard => up.drops.count(overlay::DropReason::Guest),
                Inbound::Slow(input, from) => up.node.handle_slow(input, from, now),
                Inbound::Drop(reason) => {
                    up.drops.count(reason);
                    self.trace.note(self.at, machine, reason.as_str(), &[]);
                }
            },
        }
    }

    /// A packet from the TUN, or again after the Node has let it go.
    pub(super) fn outbound(&mut self, machine: usize, packet: Vec<u8>) {
        let now = self.now();
        let Some(up) = self.machines[machine].up() else { return };
        let (mut bytes, tables) = (packet.clone(), up.tables.clone());
        let outcome = fastpath::outbound(&tables, Offload::NONE, &mut bytes, &mut self.trains, &mut |_| {});
        let Some(up) = self.machines[machine].up() else { return };
        match outcome {
            Outbound::Sealed => {
                for (remote, bytes) in self.trains.take() {
                    self.transmit(machine, remote, None, bytes);
                }
            }
            Outbound::Stage(position) => {
                up.staged += 1;
                up.node.handle_packet(position, packet, now);
            }
            Outbound::Guest(_) => self.refuse(machine, &packet, "for a guest"),
            Outbound::TooBig(mtu) => self.refuse(machine, &packet, &format!("longer than {mtu}")),
            Outbound::Unreachable(_, reason) | Outbound::Drop(reason) => {
                up.drops.count(reason);
                self.refuse(machine, &packet, reason.as_str());
            }
        }
    }

    pub(super) fn refuse(&mut self, machine: usize, packet: &[u8], why: &str) {
        let number = self.ledger.number(packet);
        self.trace.note(self.at, machine, why, &number.unwrap_or(usize::MAX).to_be_bytes());
        if let Some(number) = number {
            self.ledger.packet_mut(number).refused = true;
        }
    }

    /// Does what a machine asks for until it waits.
    pub(super) fn drive(&mut self, machine: usize) {
        for _ in 0..POLLS_MAX {
            let goes_on = match self.machines[machine].state {
                State::Off => false,
                State::Joining(_) => self.drive_joiner(machine),
                State::Up(_) => self.drive_node(machine),
            };
            if !goes_on || self.violation.is_some() {
                return;
            }
        }
        self.violate(format!("machine {machine} is busy: {POLLS_MAX} outputs and no Wait"));
    }

    fn drive_node(&mut self, machine: usize) -> bool {
        let now = self.now();
        let Some(up) = self.machines[machine].up() else { return false };
        match up.node.poll_output(now) {
            Output::Transmit { remote, bytes, ttl } => self.transmit(machine, remote, ttl, bytes),
            Output::TransmitWhole { bytes, probe, .. } if bytes.len() > DATAGRAM_MAX => {
                up.node.handle_refused(probe, now);
            }
            Output::TransmitWhole { remote, bytes, .. } => self.transmit(machine, remote, None, bytes),
            Output::InterfaceMtu(_) | Output::Guests(_) => {}
            Output::OpenSockets { first, count } => self.open_sockets(machine, first, count),
            Output::CloseSockets { first, count } => self.close_sockets(machine, first, count),
            // Machines here say that they have no streams.
            Output::Dial(address) => self.violate(format!("machine {machine} dials {address}")),
            Output::CloseStream(number) => self.violate(format!("machine {machine} has a stream {number}")),
            // No machine of this world has carriers of hints.
            Output::Beacon(_) | Output::Dht(_) => {}
            Output::Publish(tables) => up.tables = tables,
            Output::Release(packets) => {
                up.staged = up.staged.saturating_sub(packets.len());
                packets.into_iter().for_each(|packet| self.outbound(machine, packet));
            }
            Output::Unreachable { packet, reason } => {
                up.staged = up.staged.saturating_sub(1);
                self.refuse(machine, &packet, &format!("{reason:?}"));
            }
            Output::Persist { file, bytes, ticket } => {
                if file == StateFile::Network {
                    self.keep_secret(machine, &bytes);
                }
                self.write(machine, Write { file, bytes: bytes.to_vec(), ticket });
            }
            Output::PingDone { outcome, .. } => {
                let (answered, not) = &mut self.machines[machine].pings;
                *if outcome.is_some() { answered } else { not } += 1;
            }
            Output::Routes(routes) => {
                let text = format!("takes {} routes, serves {}", routes.taken.len(), routes.served.len());
                self.trace.note(self.at, machine, &text, &[]);
            }
            Output::Addresses(_) => self.trace.note(self.at, machine, "has new addresses", &[]),
            Output::Zone(zone) => {
                let text = format!("sees {} services", zone.services.len());
                self.trace.note(self.at, machine, &text, &zone.serial.to_be_bytes());
            }
            Output::Found { name, zone } => {
                self.trace.note(self.at, machine, &format!("is told of {name}"), &[u8::from(zone.is_some())]);
                self.machines[machine].found.insert(name, zone);
            }
            Output::Event(event) => self.trace.note(self.at, machine, &format!("{event:?}"), &[]),
            Output::Wait(deadline, reason) => {
                self.trace.note(self.at, machine, &format!("waits for {reason:?}"), &[]);
                self.deadline(machine, deadline);
                self.check_machine(machine);
                return false;
            }
        }
        true
    }

    /// Network secrets that are made on the way are not to be read on the wire either.
    fn keep_secret(&mut self, machine: usize, bytes: &[u8]) {
        if let Ok(network) = Network::decode(bytes, &self.machines[machine].identity) {
            network.secrets.all().for_each(|secret| self.secrets.add("a network secret", secret.bytes()));
        }
    }

    fn drive_joiner(&mut self, machine: usize) -> bool {
        let now = self.now();
        let State::Joining(joining) = &mut self.machines[machine].state else { return false };
        let invite = joining.invite.id;
        match joining.joiner.poll_output(now) {
            JoinOutput::Transmit { remote, bytes, .. } => self.transmit(machine, remote, None, bytes),
            JoinOutput::Group(_) | JoinOutput::Dht(_) | JoinOutput::Ping { .. } => {}
            JoinOutput::Wait(deadline) => {
                self.deadline(machine, deadline);
                return false;
            }
            JoinOutput::Failed(error) => {
                self.trace.note(self.at, machine, &format!("cannot join: {error:?}"), &[]);
                let failed = &mut self.machines[machine];
                failed.joined = Some(Err(error));
                failed.state = State::Off;
            }
            JoinOutput::Done(network, contacts) => {
                self.trace.note(self.at, machine, "has joined", &[]);
                let id = self.machines[machine].id();
                if *self.enrolled.entry(invite).or_insert(id) != id {
                    self.violate(format!("machine {machine} was enrolled by an invite that was used"));
                }
                let member = &mut self.machines[machine];
                member.write_membership(&network, &contacts);
                member.joined = Some(Ok(id));
                member.state = State::Off;
                self.start(machine);
                return false;
            }
        }
        true
    }

    fn write(&mut self, machine: usize, write: Write) {
        let writer = &mut self.machines[machine];
        let incarnation = writer.incarnation;
        writer.disk.pending.push_back(write);
        // Writes end in the order in which they began, whatever the slowness is by then.
        let others_wait = writer.disk.pending.len() > 1;
        match writer.disk.slowness {
            None if !others_wait => self.finish_write(machine),
            slowness => {
                let after = slowness.unwrap_or(Duration::from_millis(1));
                self.plan(after, Happening::Written { machine, incarnation });
            }
        }
    }

    /// The oldest write ends, well or not.
    pub(super) fn finish_write(&mut self, machine: usize) {
        let now = self.now();
        let writer = &mut self.machines[machine];
        let Some(write) = writer.disk.pending.pop_front() else { return };
        let went_well = !self.random.per_mille(writer.disk.failure);
        let what = if went_well { "writes " } else { "cannot write " };
        self.trace.note(self.at, machine, &format!("{what}{}", write.file.name()), &write.bytes);
        writer.disk.went_well.insert(write.file, went_well);
        if went_well {
            writer.disk.files.insert(write.file, write.bytes);
        }
        if let Some(up) = writer.up() {
            up.node.handle_persisted(write.ticket, went_well, now);
        }
    }

    /// Finishes all writes now, as a daemon does before it answers a person; whether a file's last one went well.
    pub(super) fn flush(&mut self, machine: usize, file: StateFile) -> bool {
        self.machines[machine].disk.went_well.remove(&file);
        self.drive(machine);
        while !self.machines[machine].disk.pending.is_empty() {
            self.finish_write(machine);
            self.drive(machine);
        }
        self.machines[machine].disk.went_well.get(&file).copied().unwrap_or(true)
    }
}
