//! Streams that others began: which stay.

use super::lab::{Flight, Lab, any_member};
use crate::limits::{ENROLMENT_LIFE, STREAM_LOOK_INTERVAL, STREAM_PROOF_TIME};
use nat::Remote;
use std::time::Duration;
use wire::datagram::Datagram;

const SECOND: Duration = Duration::from_secs(1);

fn open(lab: &mut Lab, at: usize, number: u32) {
    let remote = ([198, 51, 100, 7], 40_000).into();
    lab.command(at, |node, now| node.handle_stream_opened(number, remote, false, now));
}

#[test]
fn a_strangers_stream_is_closed_and_a_peers_stays_as_long_as_the_peer() {
    let mut lab = Lab::with(&["b"]);
    let b = lab.id(1);
    open(&mut lab, 0, 1);
    open(&mut lab, 0, 2);
    lab.command(0, |node, _| node.peers.get_mut(&b).unwrap().paths.handle_stream(Remote::Stream(2)));
    lab.run(STREAM_PROOF_TIME - SECOND);
    assert_eq!(lab.machines[0].closed_streams, []);
    lab.run(2 * SECOND);
    assert_eq!(lab.machines[0].closed_streams, [1]);
    lab.run(STREAM_LOOK_INTERVAL * 3);
    assert_eq!(lab.machines[0].closed_streams, [1]);
    lab.command(1, |node, now| node.close(now));
    lab.machines[1].is_up = false;
    lab.run(STREAM_LOOK_INTERVAL * 2);
    assert_eq!(lab.machines[0].closed_streams, [1, 2]);
}

#[test]
fn a_joiners_stream_stays_as_long_as_a_joiner_may_take() {
    let mut lab = Lab::with(&[]);
    let invite = lab.invite(0, &any_member());
    open(&mut lab, 0, 1);
    open(&mut lab, 0, 2);
    lab.apply(&invite, "c");
    let is_first = |flight: &&Flight| matches!(Datagram::parse(&flight.bytes), Some(Datagram::Enrolment(_)));
    let first = lab.sent.iter().find(is_first).expect("it asks at once").clone();
    lab.arrive_past_the_gate(&Flight { from: Remote::Stream(1), ..first.clone() });
    let (from, bytes) = (Remote::Stream(2), first.bytes[..first.bytes.len() - 1].to_vec());
    lab.arrive_past_the_gate(&Flight { from, bytes, ..first });
    lab.run(STREAM_PROOF_TIME + SECOND);
    assert_eq!(lab.machines[0].closed_streams, [2]);
    lab.run(ENROLMENT_LIFE);
    assert_eq!(lab.machines[0].closed_streams, [2, 1]);
}
