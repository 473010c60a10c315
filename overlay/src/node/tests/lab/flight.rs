//! Flights: what leaves, what arrives, and the passing of time.

use super::{Flight, Lab};
use crate::fastpath::{self, Inbound, Outbound, SlowInput};
use crate::joiner::JoinOutput;
use crate::node::Output;
use nat::Remote;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use wire::offload::Offload;

/// The group of the LAN that all machines are on.
pub(crate) const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 104, 109)), 41_819);

impl Lab {
    /// What a worker does with a packet from the TUN.
    pub(crate) fn outbound(&mut self, at: usize, packet: &[u8]) -> Outbound {
        let now = self.now;
        let machine = &mut self.machines[at];
        let mut bytes = packet.to_vec();
        let outcome =
            fastpath::outbound(&machine.tables, Offload::NONE, &mut bytes, &mut self.trains, &mut |_| {});
        match &outcome {
            Outbound::Sealed => {
                let from = machine.remote;
                for (to, bytes) in self.trains.take() {
                    self.fly(Flight { from, to, bytes });
                }
            }
            Outbound::Stage(position) => machine.node.handle_packet(*position, packet.to_vec(), now),
            Outbound::Guest(guest) => machine.for_guests.push((*guest, packet.to_vec())),
            Outbound::Unreachable(reason, drop) => {
                machine.node.drops().count(*drop);
                machine.unreachable.push((packet.to_vec(), *reason));
            }
            Outbound::TooBig(mtu) => machine.too_big.push((packet.to_vec(), *mtu)),
            Outbound::Drop(reason) => machine.node.drops().count(*reason),
        }
        outcome
    }

    /// Puts a datagram on the wire.
    pub(crate) fn fly(&mut self, flight: Flight) {
        if !(self.lose)(&flight) {
            self.flights.insert((self.now + self.latency, self.sent.len()), flight.clone());
        }
        self.sent.push(flight);
    }

    /// Sends a datagram to the group of the machine's LAN, where all hear it.
    fn beacon(&mut self, at: usize, bytes: &[u8]) {
        let from = self.machines[at].remote;
        self.fly(Flight { from, to: Remote::udp(GROUP), bytes: bytes.to_vec() });
    }

    /// What the others' programs do with a datagram to the group.
    fn arrive_at_all(&mut self, flight: &Flight) {
        let from = flight.from.address().expect("machines have addresses");
        for at in 0..self.machines.len() {
            if self.machines[at].is_up && self.machines[at].remote != flight.from {
                self.machines[at].node.handle_group(&flight.bytes, from, self.now);
                self.poll(at);
            }
        }
    }

    /// What a worker does with a datagram; it arrives at once, whatever the wire loses.
    pub(crate) fn arrive(&mut self, flight: &Flight) {
        if flight.to == Remote::udp(GROUP) {
            self.arrive_at_all(flight);
        } else if let Some(at) = self.machines.iter().position(|m| m.remote == flight.to && m.is_up) {
            let machine = &mut self.machines[at];
            let mut bytes = flight.bytes.clone();
            match fastpath::inbound(&machine.tables, &mut bytes, flight.from) {
                Inbound::Packet(opened, news) => {
                    let packet = bytes[opened.range].to_vec();
                    match opened.guest {
                        Some(guest) => machine.for_guests.push((guest, packet)),
                        None => machine.tun.push(packet),
                    }
                    news.into_iter().for_each(|(news, from)| machine.node.handle_slow(news, from, self.now));
                }
                Inbound::Half(packet, news) => {
                    machine.tun.extend(packet.map(|(opened, bytes)| bytes[opened.range].to_vec()));
                    news.into_iter().for_each(|(news, from)| machine.node.handle_slow(news, from, self.now));
                }
                Inbound::Slow(input, from) => machine.node.handle_slow(input, from, self.now),
                Inbound::Forward(to, notice) => {
                    let from = machine.remote;
                    notice.into_iter().for_each(|input| machine.node.handle_slow(input, from, self.now));
                    self.fly(Flight { from, to, bytes });
                }
                Inbound::WireGuard => panic!("nobody in this lab speaks it"),
                Inbound::Drop(reason) => machine.node.drops().count(reason),
            }
            self.poll(at);
        } else if let Some(at) = self.applicants.iter().position(|a| a.remote == flight.to) {
            self.applicants[at].joiner.handle_datagram(&flight.bytes, flight.from, self.now);
            self.poll_applicant(at);
        }
    }

    /// Gives a node a datagram past the gate, as a member that knows its keys could.
    pub(crate) fn arrive_past_the_gate(&mut self, flight: &Flight) {
        let at = self.machines.iter().position(|m| m.remote == flight.to).expect("a machine's address");
        let input = SlowInput::Datagram(flight.bytes.clone());
        self.command(at, |node, now| node.handle_slow(input, flight.from, now));
    }

    pub(super) fn poll(&mut self, at: usize) {
        if !self.machines[at].is_up {
            return;
        }
        for _ in 0..10_000 {
            let now = self.now;
            let machine = &mut self.machines[at];
            let (from, written) = (machine.remote, machine.disk);
            match machine.node.poll_output(now) {
                Output::OpenSockets { .. } | Output::CloseSockets { .. } | Output::Dial(_) => {}
                Output::CloseStream(number) => machine.closed_streams.push(number),
                Output::Beacon(bytes) => self.beacon(at, &bytes),
                Output::Dht(request) => machine.dht.push(request),
                Output::Transmit { remote, bytes, .. } => self.fly(Flight { from, to: remote, bytes }),
                Output::TransmitWhole { remote, bytes, probe } => {
                    if bytes.len() > self.datagram_max {
                        machine.node.handle_refused(probe, now);
                    } else {
                        self.fly(Flight { from, to: remote, bytes });
                    }
                }
                Output::Guests(hosted) => machine.hosted = hosted,
                Output::InterfaceMtu(mtu) => machine.mtus.push(mtu),
                Output::Publish(tables) => machine.tables = tables,
                Output::Release(packets) => packets.iter().for_each(|packet| {
                    self.outbound(at, packet);
                }),
                Output::Unreachable { packet, reason } => machine.unreachable.push((packet, reason)),
                Output::Persist { file, bytes, ticket } => match written {
                    None => machine.held_writes.push(ticket),
                    Some(written) => {
                        if written {
                            machine.files.insert(file, bytes.to_vec());
                        }
                        machine.node.handle_persisted(ticket, written, now);
                    }
                },
                Output::PingDone { ticket, outcome } => machine.pings.push((ticket, outcome)),
                Output::Addresses(list) => machine.addresses.push(list),
                Output::Routes(routes) => machine.host_routes = routes,
                // The Node gives it to whoever asks.
                Output::Zone(zone) => assert!(zone.serial == machine.node.zone().serial),
                Output::Found { name, zone } => machine.found.push((name, zone)),
                Output::Event(event) => machine.events.push(event),
                Output::Wait(deadline, reason) => {
                    assert!(deadline > now, "{reason:?} is due and not done: machine {at} would spin");
                    machine.deadline = deadline;
                    return;
                }
            }
        }
        panic!("machine {at} never waits");
    }

    pub(super) fn poll_applicant(&mut self, at: usize) {
        for _ in 0..1000 {
            let applicant = &mut self.applicants[at];
            let from = applicant.remote;
            match applicant.joiner.poll_output(self.now) {
                JoinOutput::Transmit { remote, bytes } | JoinOutput::Ping { remote, bytes } => {
                    self.fly(Flight { from, to: remote, bytes });
                }
                JoinOutput::Group(bytes) if self.is_lan => {
                    self.fly(Flight { from, to: Remote::udp(GROUP), bytes });
                }
                JoinOutput::Group(_) => {}
                JoinOutput::Dht(request) => applicant.dht.push(request),
                JoinOutput::Done(network, contacts) => applicant.outcome = Some(Ok((*network, contacts))),
                JoinOutput::Failed(error) => applicant.outcome = Some(Err(error)),
                JoinOutput::Wait(deadline) => {
                    assert!(deadline > self.now || applicant.outcome.is_some(), "applicant {at} would spin");
                    applicant.deadline = deadline;
                    return;
                }
            }
        }
        panic!("applicant {at} never waits");
    }

    /// Lets time pass, and everything happen that is due in it.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            if let Some(entry) = self.flights.first_entry().filter(|entry| entry.key().0 <= at) {
                let flight = entry.remove();
                self.arrive(&flight);
                continue;
            }
            for i in 0..self.machines.len() {
                if self.machines[i].is_up && self.machines[i].deadline <= at {
                    self.machines[i].wake_ups += 1;
                    self.poll(i);
                }
            }
            for i in 0..self.applicants.len() {
                if self.applicants[i].is_busy() && self.applicants[i].deadline <= at {
                    self.poll_applicant(i);
                }
            }
        }
        self.now = end;
    }

    fn next_event(&self) -> Option<Instant> {
        let flight = self.flights.keys().next().map(|(at, _)| *at);
        let nodes = self.machines.iter().filter(|m| m.is_up).map(|m| m.deadline);
        let joiners = self.applicants.iter().filter(|a| a.is_busy()).map(|a| a.deadline);
        flight.into_iter().chain(nodes).chain(joiners).min()
    }
}
