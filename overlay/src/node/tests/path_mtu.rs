//! How long packets may be on the way to a peer, and on the interface.

use super::lab::{Lab, packet};
use crate::fastpath::Outbound;
use crate::limits::INTERFACE_MTU_KEPT;
use nat::{MTU_ASSUMED, Mtu};
use std::time::Duration;
use wire::datagram::Datagram;

const SECOND: Duration = Duration::from_secs(1);

fn measured(length: u16) -> Mtu {
    Mtu { length, is_measured: true, is_narrow: false }
}

impl Lab {
    /// What the workers of machine `at` know of the path to `other`.
    fn mtu(&self, at: usize, other: usize) -> Mtu {
        let tables = &self.machines[at].tables;
        let position = tables.routes.table.lookup(self.mesh(other)[1]).unwrap();
        tables.peer(position).unwrap().mtu
    }

    /// A network whose machines have interfaces and wires for datagrams of these lengths.
    fn with_wires(names: &[&str], interface: usize, wire: usize) -> Self {
        let mut lab = Self::with(names);
        lab.datagram_max = interface;
        lab.lose = Box::new(move |flight| flight.bytes.len() > wire);
        lab
    }

    /// Packets go to and fro for a while.
    fn chat(&mut self, duration: Duration) {
        for _ in 0..duration.as_millis() / 100 {
            self.send(0, 1, b"x");
            self.send(1, 0, b"x");
            self.run(SECOND / 10);
        }
    }
}

#[test]
fn a_path_is_measured_when_packets_go_by_it_and_not_before() {
    let mut lab = Lab::with(&["b"]);
    lab.sent.clear();
    lab.run(60 * SECOND);
    assert_eq!((lab.mtu(0, 1).length, lab.mtu(0, 1).is_measured), (MTU_ASSUMED, false));
    assert!(lab.sent.iter().all(|flight| flight.bytes.len() < 1300));
    lab.chat(2 * SECOND);
    assert_eq!(lab.mtu(0, 1), measured(1440));
    assert_eq!(lab.peer(0, 1).unwrap().mtu, Some(1440));
    assert_eq!(lab.peer(1, 0).unwrap().mtu, Some(1440));
}

#[test]
fn the_interface_grows_with_the_widest_path_and_shrinks_late() {
    let mut lab = Lab::with_wires(&["b", "c"], 8972, 8972);
    lab.chat(3 * SECOND);
    assert_eq!(lab.mtu(0, 1), measured(8940));
    assert_eq!(lab.mtu(0, 2).length, MTU_ASSUMED, "nothing went there");
    assert_eq!((&lab.machines[0].mtus[..], &lab.machines[2].mtus[..]), (&[8940][..], &[][..]));
    lab.machines[1].is_up = false;
    lab.run(INTERFACE_MTU_KEPT);
    assert_eq!(lab.machines[0].mtus, [8940]);
    lab.run(200 * SECOND);
    assert_eq!(lab.machines[0].mtus, [8940, MTU_ASSUMED]);
}

#[test]
fn a_path_that_swallows_what_is_long_is_found_out() {
    let mut lab = Lab::with_wires(&["b"], 8972, 1372);
    lab.chat(20 * SECOND);
    let found = lab.mtu(0, 1);
    assert!(found.is_measured && (1333..=1340).contains(&found.length), "{found:?}");
    let [a, b] = [lab.mesh(0)[1], lab.mesh(1)[1]];
    assert_eq!(lab.outbound(0, &packet(a, b, &[0; 1400])), Outbound::TooBig(found.length));
    // And narrower still.
    lab.lose = Box::new(|flight| flight.bytes.len() > 1272);
    lab.chat(20 * SECOND);
    assert_eq!(lab.mtu(0, 1), Mtu { length: 1280, is_measured: true, is_narrow: true });
}

#[test]
fn a_new_address_is_another_path() {
    let mut lab = Lab::with_wires(&["b"], 8972, 8972);
    lab.chat(3 * SECOND);
    assert_eq!(lab.mtu(0, 1), measured(8940));
    lab.lose = Box::new(|flight| flight.bytes.len() > 1472);
    lab.carry(1, 77);
    lab.chat(2 * SECOND);
    assert!(lab.mtu(0, 1).length <= 1440, "{:?}", lab.mtu(0, 1));
    lab.chat(20 * SECOND);
    assert_eq!(lab.mtu(0, 1), measured(1440));
}

#[test]
fn what_the_machine_had_to_fragment_is_looked_into() {
    let mut lab = Lab::with_wires(&["b"], 8972, 8972);
    lab.chat(5 * SECOND);
    assert_eq!(lab.mtu(0, 1), measured(8940));
    lab.datagram_max = 1472;
    let to = lab.machines[1].remote;
    lab.command(0, |node, now| node.handle_too_long(to, now));
    lab.chat(SECOND / 2);
    assert_eq!(lab.mtu(0, 1), measured(1440));
}

#[test]
fn a_measure_is_answered_with_less() {
    let mut lab = Lab::with(&["b"]);
    lab.sent.clear();
    lab.chat(2 * SECOND);
    let control =
        |flight: &&super::lab::Flight| matches!(Datagram::parse(&flight.bytes), Some(Datagram::Control(_)));
    let long = lab.sent.iter().filter(control).filter(|flight| flight.bytes.len() > 1232).count();
    // Each of the two asks for 1440 and is told by its machine of the rest.
    assert_eq!(long, 2);
    assert!(lab.sent.iter().all(|flight| flight.bytes.len() <= 1472));
}
