//! A DHT in memory: what was put is there for whoever looks, and its nodes say where they see somebody.

use super::{Flight, Lab};
use crate::{Carriers, DhtEvent, DhtRequest, DhtState};
use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;
use wire::Candidate;
use wire::bep5::PingAnswer;

/// A DHT that has been entered.
pub(crate) fn entered() -> DhtState {
    let contacts = ["11.0.0.1:6881", "12.0.0.1:6881", "13.0.0.1:6881", "14.0.0.1:6881"];
    DhtState { is_entered: true, nodes: 4, contacts: contacts.map(|c| c.parse().unwrap()).to_vec() }
}

/// Tells a machine something of the DHT.
pub(crate) fn tell(lab: &mut Lab, at: usize, event: DhtEvent) {
    lab.command(at, |node, now| node.handle_dht(event, now));
}

/// Lets all machines enter it, with no other carrier.
pub(crate) fn enter_dht(lab: &mut Lab) {
    for at in 0..lab.machines.len() {
        let carriers = Carriers { lan: false, dht: true };
        lab.command(at, |node, now| node.handle_carriers(carriers, now));
        tell(lab, at, DhtEvent::State(entered()));
    }
}

/// The answer of a DHT node to a ping, with where it sees who asked.
pub(crate) fn ping_answer(ping: &Flight, seen: SocketAddrV4) -> Flight {
    let at = ping.bytes.windows(4).position(|part| part == b"1:t4").unwrap() + 5;
    let transaction = &ping.bytes[at..at + 4];
    let ip = [b"d2:ip6:".as_slice(), &seen.ip().octets(), &seen.port().to_be_bytes()].concat();
    let rest = [b"1:rd2:id20:abcdefghij0123456789e1:t4:", transaction, b"1:y1:re"].concat();
    let bytes = [ip, rest].concat();
    assert!(PingAnswer::parse(&bytes).is_some());
    Flight { from: ping.to, to: ping.from, bytes }
}

/// What was put, and who has looked.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) values: BTreeMap<[u8; 32], Vec<u8>>,
    pub(crate) gets: Vec<[u8; 32]>,
    announced: Vec<([u8; 20], SocketAddr)>,
}

impl Store {
    /// Carries out what was asked of it.
    fn serve(&mut self, lab: &mut Lab) {
        for at in 0..lab.machines.len() {
            let address = lab.machines[at].remote.address().unwrap();
            for request in std::mem::take(&mut lab.machines[at].dht) {
                self.carry_out(request, address).into_iter().for_each(|event| tell(lab, at, event));
            }
        }
        for at in 0..lab.applicants.len() {
            let address = lab.applicants[at].remote.address().unwrap();
            for request in std::mem::take(&mut lab.applicants[at].dht) {
                for event in self.carry_out(request, address) {
                    lab.ask_applicant(at, |joiner, now| joiner.handle_dht(event, now));
                }
            }
        }
    }

    fn carry_out(&mut self, request: DhtRequest, by: SocketAddr) -> Vec<DhtEvent> {
        match request {
            DhtRequest::Put { seed, value, .. } => {
                self.values.insert(seed, value);
                vec![DhtEvent::Put { seed, nodes: 8 }]
            }
            DhtRequest::Get { seed } => {
                self.gets.push(seed);
                let value =
                    self.values.get(&seed).map(|bytes| DhtEvent::Value { seed, bytes: bytes.clone() });
                value.into_iter().chain([DhtEvent::Got { seed }]).collect()
            }
            DhtRequest::Announce { info_hash, port } => {
                self.announced.push((info_hash, SocketAddr::new(by.ip(), port)));
                vec![]
            }
            DhtRequest::Lookup { info_hash } => {
                let there = self.announced.iter().filter(|(hash, _)| *hash == info_hash);
                vec![DhtEvent::Peers(there.filter_map(|(_, address)| Candidate::new(*address)).collect())]
            }
            DhtRequest::Refresh => vec![],
        }
    }

    /// Lets time pass, a second at a time.
    pub(crate) fn run(&mut self, lab: &mut Lab, seconds: u32) {
        for _ in 0..seconds {
            self.serve(lab);
            lab.run(Duration::from_secs(1));
        }
    }
}
