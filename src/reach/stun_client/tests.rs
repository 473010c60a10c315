use std::time::Duration;

use super::*;
use crate::reach::stun::{Budget, answer};

const SERVER: &str = "stun.example.org:3478";

fn client(now: Instant) -> StunClient {
    StunClient::new(&[SERVER.to_owned()], now)
}

fn addresses<const N: usize>(texts: [&str; N]) -> [SocketAddr; N] {
    texts.map(|text| text.parse().unwrap())
}

/// Everything until the next wait, and that.
fn outputs(client: &mut StunClient, now: Instant) -> (Vec<Output>, Option<Instant>) {
    let mut outputs = Vec::new();
    loop {
        let output = client.poll_output(now);
        if let Output::Wait(until) = output {
            return (outputs, until);
        }
        outputs.push(output);
    }
}

/// A client whose server is known, with the questions that it sent.
fn asked(now: Instant, known: &[SocketAddr]) -> (StunClient, Vec<(SocketAddr, Vec<u8>)>) {
    let mut client = client(now);
    assert_eq!(outputs(&mut client, now), (vec![Output::Resolve(SERVER.to_owned())], None));
    client.handle_resolved(SERVER, known, now);
    let (sent, until) = outputs(&mut client, now);
    assert_eq!(until, Some(now + STUN_RETRANSMIT));
    (client, sent.into_iter().map(question).collect())
}

fn question(output: Output) -> (SocketAddr, Vec<u8>) {
    let Output::Send { to, bytes } = output else { panic!("{output:?} is no question") };
    (to, bytes)
}

fn answered(question: &[u8], seen: SocketAddr, now: Instant) -> Vec<u8> {
    answer(question, seen, &mut Budget::new(now), now).unwrap()
}

#[test]
fn without_servers_nothing_is_ever_asked() {
    let now = Instant::now();
    let mut client = StunClient::new(&[], now);
    client.handle_network_change(now);
    assert_eq!(outputs(&mut client, now), (vec![], None));
}

#[test]
fn a_server_is_asked_in_both_families_and_again_after_the_interval() {
    let start = Instant::now();
    let known = addresses(["192.0.2.1:3478", "192.0.2.2:3478", "[2001:db8::1]:3478"]);
    let (mut client, questions) = asked(start, &known);
    assert_eq!(questions.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [known[0], known[2]]);
    let seen = addresses(["203.0.113.9:41", "[2001:db8::9]:42"]);
    for ((to, bytes), seen) in questions.iter().zip(seen) {
        assert!(client.handle_datagram(*to, &answered(bytes, seen, start)));
        let (outputs, _) = outputs(&mut client, start);
        assert_eq!(outputs, [Output::Observed { server: *to, observed: seen }]);
    }
    let (nothing, until) = outputs(&mut client, start + STUN_RETRANSMIT);
    assert_eq!((nothing, until), (vec![], Some(start + STUN_INTERVAL)));
    let (again, _) = outputs(&mut client, start + STUN_INTERVAL);
    let again: Vec<_> = again.into_iter().map(question).collect();
    assert_eq!(again.len(), 2);
    assert_ne!(again[0].1, questions[0].1, "an old answer must not count for a new question");
}

#[test]
fn silence_is_asked_twice_more_and_then_told() {
    let start = Instant::now();
    let (mut client, questions) = asked(start, &addresses(["192.0.2.1:3478"]));
    for n in 1..=2 {
        let (again, _) = outputs(&mut client, start + STUN_RETRANSMIT * n);
        assert_eq!(again, [Output::Send { to: questions[0].0, bytes: questions[0].1.clone() }]);
    }
    let (told, until) = outputs(&mut client, start + STUN_RETRANSMIT * 3);
    assert_eq!(told, [Output::Silent { server: SERVER.to_owned(), unresolved: false }]);
    assert_eq!(until, Some(start + STUN_INTERVAL));
    // It may have moved.
    let (told, _) = outputs(&mut client, start + STUN_INTERVAL);
    assert_eq!(told, [Output::Resolve(SERVER.to_owned())]);
    // And if nobody can say where to, it is asked where it was.
    client.handle_resolved(SERVER, &[], start + STUN_INTERVAL);
    assert_eq!(outputs(&mut client, start + STUN_INTERVAL).0.len(), 1);
}

#[test]
fn one_family_is_enough() {
    let start = Instant::now();
    let known = addresses(["192.0.2.1:3478", "[2001:db8::1]:3478"]);
    let (mut client, questions) = asked(start, &known);
    let seen = "203.0.113.9:41".parse().unwrap();
    assert!(client.handle_datagram(known[0], &answered(&questions[0].1, seen, start)));
    let later = (1..=3).flat_map(|n| outputs(&mut client, start + STUN_RETRANSMIT * n).0);
    assert!(later.into_iter().all(|output| !matches!(output, Output::Silent { .. })));
}

#[test]
fn only_the_answer_to_the_question_counts() {
    let start = Instant::now();
    let (mut client, questions) = asked(start, &addresses(["192.0.2.1:3478"]));
    let (to, bytes) = &questions[0];
    let seen = "203.0.113.9:41".parse().unwrap();
    let good = answered(bytes, seen, start);
    assert!(!client.handle_datagram("192.0.2.2:3478".parse().unwrap(), &good), "from elsewhere");
    assert!(!client.handle_datagram(*to, &answered(&stun::request([0; 12]), seen, start)), "a guess");
    assert!(!client.handle_datagram(*to, bytes), "the question itself");
    assert_eq!(outputs(&mut client, start).0, []);
    let mut error = good.clone();
    error[1] = 0x11;
    assert!(client.handle_datagram(*to, &error), "an error is for us, but no address");
    assert_eq!(outputs(&mut client, start).0, []);
    // As a socket of both families tells it.
    assert!(client.handle_datagram("[::ffff:192.0.2.1]:3478".parse().unwrap(), &good));
    assert_eq!(outputs(&mut client, start).0, [Output::Observed { server: *to, observed: seen }]);
    assert!(!client.handle_datagram(*to, &good), "twice");
}

#[test]
fn a_name_without_address_is_told_and_tried_again() {
    let start = Instant::now();
    let mut client = client(start);
    let _ = outputs(&mut client, start);
    client.handle_resolved(SERVER, &[], start);
    let told = outputs(&mut client, start);
    let silent = Output::Silent { server: SERVER.to_owned(), unresolved: true };
    assert_eq!(told, (vec![silent], Some(start + STUN_INTERVAL)));
    assert_eq!(outputs(&mut client, start + STUN_INTERVAL).0, [Output::Resolve(SERVER.to_owned())]);
}

#[test]
fn a_change_of_the_network_asks_at_once() {
    let start = Instant::now();
    let (mut client, questions) = asked(start, &addresses(["192.0.2.1:3478"]));
    let seen = "203.0.113.9:41".parse().unwrap();
    assert!(client.handle_datagram(questions[0].0, &answered(&questions[0].1, seen, start)));
    let _ = outputs(&mut client, start);
    let soon = start + Duration::from_secs(3);
    client.handle_network_change(soon);
    assert_eq!(outputs(&mut client, soon).0.len(), 1);
}
