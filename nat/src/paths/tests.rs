use super::*;
use crate::limits::*;

struct Fixture {
    paths: Paths,
    now: Instant,
    traffic: Traffic,
}

fn candidate(host: u8) -> Candidate {
    Candidate::new(format!("192.0.2.{host}:7").parse().unwrap()).unwrap()
}

fn address(host: u8) -> Remote {
    Remote::udp(candidate(host).socket_address())
}

impl Fixture {
    fn new() -> Self {
        // The base of virtual time: its value does not matter.
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin with")]
        let now = Instant::now();
        Self { paths: Paths::new(0), now, traffic: Traffic::default() }
    }

    fn connected() -> Self {
        let mut fixture = Self::new();
        let now = fixture.now;
        fixture.paths.handle_handshake(address(1), now);
        let (token, remote) = fixture.probe();
        fixture.paths.handle_pong(token, remote, now);
        fixture
    }

    fn poll(&mut self) -> Output {
        self.paths.poll_output(self.traffic, self.now)
    }

    /// One goes each way.
    fn packets(&mut self) {
        self.traffic.received += 1;
        self.traffic.sent += 1;
    }

    /// For this long a packet goes to the peer every 10 ms. While `hears`, one comes back, and an answer to each probe.
    /// When something else than a wait or a regular probe came of it, after how long.
    fn talk(&mut self, duration: Duration, hears: bool) -> Option<(Duration, Output)> {
        let start = self.now;
        while self.now < start + duration {
            self.now += Duration::from_millis(10);
            self.traffic.sent += 1;
            self.traffic.received += u64::from(hears);
            loop {
                match self.poll() {
                    Output::Wait(..) => break,
                    Output::Probe(token, remote) if hears => {
                        self.paths.handle_pong(token, remote, self.now);
                    }
                    Output::Probe(..) => {}
                    output @ (Output::Promoted(_) | Output::Suspect | Output::Lost) => {
                        return Some((self.now - start, output));
                    }
                }
            }
        }
        None
    }

    fn probe(&mut self) -> (u64, Remote) {
        let output = self.poll();
        let Output::Probe(token, remote) = output else { panic!("{output:?}") };
        (token, remote)
    }

    /// Advances time until something is to be done; how long that took.
    fn advance(&mut self) -> (Duration, Output) {
        let start = self.now;
        loop {
            let output = self.poll();
            let Output::Wait(Some(next), _) = output else { return (self.now - start, output) };
            self.now = next;
        }
    }
}

#[test]
fn a_handshake_makes_the_path_and_probes_it() {
    let mut f = Fixture::new();
    assert_eq!(f.poll(), Output::Wait(None, WaitReason::NextProbe));
    f.paths.handle_handshake(address(1), f.now);
    assert_eq!(f.paths.primary(), Some(address(1)));
    let (token, remote) = f.probe();
    f.now += Duration::from_millis(30);
    let pong = f.paths.handle_pong(token, remote, f.now).unwrap();
    assert_eq!(pong, Pong { round_trip: Duration::from_millis(30), promoted: false });
    assert_eq!(f.paths.round_trip(), Some(Duration::from_millis(30)));
    assert_eq!(f.paths.handle_pong(token, remote, f.now), None, "an answer counts once");
}

#[test]
fn an_idle_path_is_probed_every_25_seconds_an_active_one_more_often() {
    let mut f = Fixture::connected();
    assert_eq!(f.advance().0, PROBE_IDLE_INTERVAL);
    let mut f = Fixture::connected();
    f.packets();
    assert_eq!(f.advance().0, PROBE_ACTIVE_INTERVAL);
}

#[test]
fn a_silent_path_is_lost_after_twelve_more_probes() {
    let mut f = Fixture::connected();
    f.packets();
    let mut probes = 0;
    let start = f.now;
    loop {
        match f.advance().1 {
            Output::Probe(_, remote) => {
                assert_eq!(remote, address(1));
                probes += 1;
            }
            Output::Suspect => assert_eq!(probes, 1, "told once, at the first probe without an answer"),
            Output::Lost => break,
            output @ (Output::Wait(..) | Output::Promoted(_)) => panic!("{output:?}"),
        }
    }
    assert_eq!(probes, 1 + PROBE_TRIES);
    assert_eq!(
        f.now - start,
        PROBE_ACTIVE_INTERVAL + PROBE_TIMEOUT_MIN + SILENCE_TIMEOUT_MIN / 2 * PROBE_TRIES
    );
    assert_eq!(f.paths.primary(), None);
    assert_eq!(f.poll(), Output::Wait(None, WaitReason::NextProbe));
}

#[test]
fn another_candidate_that_answers_takes_over() {
    let mut f = Fixture::connected();
    f.paths.handle_candidates(Source::Record, &[candidate(2)]);
    f.packets();
    let token = loop {
        match f.advance().1 {
            Output::Probe(token, remote) if remote == address(2) => break token,
            Output::Probe(..) | Output::Suspect => {}
            output @ (Output::Wait(..) | Output::Promoted(_) | Output::Lost) => panic!("{output:?}"),
        }
    };
    assert!(f.paths.handle_pong(token, address(2), f.now).unwrap().promoted);
    assert_eq!(f.paths.primary(), Some(address(2)));
}

#[test]
fn a_peer_that_has_moved_is_followed_when_its_old_address_is_silent() {
    let mut f = Fixture::connected();
    f.paths.handle_datagram(address(9), f.now);
    f.paths.handle_datagram(address(9), f.now);
    assert_eq!(f.paths.primary(), Some(address(1)), "a datagram alone moves nothing");
    assert_eq!(f.probe().1, address(1));
    let (token, remote) = f.probe();
    assert_eq!(remote, address(9));
    assert!(matches!(f.poll(), Output::Wait(..)), "one challenge for many datagrams");
    assert_eq!(f.paths.handle_pong(token, address(8), f.now), None, "the answer of another address");
    assert!(!f.paths.handle_pong(token, address(9), f.now).unwrap().promoted);
    assert_eq!(f.advance(), (CHALLENGE_MARGIN, Output::Promoted(address(9))));
    assert_eq!(f.paths.primary(), Some(address(9)));
}

#[test]
fn of_two_paths_that_work_the_primary_stays() {
    let mut f = Fixture::connected();
    f.paths.handle_datagram(address(9), f.now);
    let (first, second) = (f.probe(), f.probe());
    f.paths.handle_pong(second.0, second.1, f.now).unwrap();
    f.paths.handle_pong(first.0, first.1, f.now).unwrap();
    assert_eq!(f.advance().1, Output::Probe(second.0 + 1, address(1)), "the next regular probe");
    assert_eq!(f.paths.primary(), Some(address(1)));
}

#[test]
fn a_challenger_that_was_withstood_calls_forth_no_more_probes_while_the_path_lives() {
    let mut f = Fixture::connected();
    f.paths.handle_datagram(address(9), f.now);
    let (first, second) = (f.probe(), f.probe());
    f.paths.handle_pong(first.0, first.1, f.now).unwrap();
    f.paths.handle_pong(second.0, second.1, f.now).unwrap();
    f.now += CHALLENGE_INTERVAL * 2;
    f.paths.handle_datagram(address(9), f.now);
    assert!(matches!(f.poll(), Output::Wait(..)), "each side prefers another path, and both work");
    f.packets();
    while f.advance().1 != Output::Suspect {}
    f.paths.handle_datagram(address(9), f.now);
    let probed: Vec<_> = std::iter::from_fn(|| match f.poll() {
        Output::Probe(_, remote) => Some(remote),
        Output::Promoted(_) | Output::Suspect | Output::Lost | Output::Wait(..) => None,
    })
    .collect();
    assert!(probed.contains(&address(9)), "the path owes an answer, and so the other counts again");
}

#[test]
fn who_is_awake_looks_early_and_sleeps_longer() {
    let mut f = Fixture::connected();
    let (start, waits) = (f.now, WaitReason::NextProbe);
    let look = start + PROBE_ACTIVE_INTERVAL;
    assert_eq!(f.poll(), Output::Wait(Some(look), waits));
    f.now = look - LOOK_EARLY - Duration::from_millis(1);
    assert_eq!(f.poll(), Output::Wait(Some(look), waits), "too early");
    f.now = look - LOOK_EARLY;
    assert_eq!(f.poll(), Output::Wait(Some(f.now + LOOK_INTERVAL), waits));
    f.now += LOOK_INTERVAL - LOOK_EARLY;
    f.packets();
    assert_eq!(f.poll(), Output::Wait(Some(f.now + LOOK_EARLY), waits), "packets flow: as was planned");
}

#[test]
fn an_address_that_does_not_answer_takes_nothing_over() {
    let mut f = Fixture::connected();
    f.paths.handle_datagram(address(9), f.now);
    let (first, _) = (f.probe(), f.probe());
    f.paths.handle_pong(first.0, first.1, f.now).unwrap();
    assert_eq!(f.advance().0, PROBE_IDLE_INTERVAL);
    assert_eq!(f.paths.primary(), Some(address(1)));
}

#[test]
fn a_local_change_probes_at_once() {
    let mut f = Fixture::connected();
    f.paths.handle_local_change(f.now);
    assert_eq!(f.probe().1, address(1));
}

#[test]
fn local_changes_that_follow_each_other_give_the_path_no_more_time() {
    let mut f = Fixture::connected();
    let start = f.now;
    f.paths.handle_local_change(f.now);
    f.probe();
    f.now += SILENCE_TIMEOUT_MIN / 2;
    f.paths.handle_local_change(f.now);
    assert_eq!(f.probe().1, address(1), "the peer is told of this one too");
    while f.advance().1 != Output::Suspect {}
    assert_eq!(f.now - start, SILENCE_TIMEOUT_MIN);
}

#[test]
fn a_peer_that_is_heard_again_after_its_path_was_lost_is_probed() {
    let mut f = Fixture::connected();
    f.packets();
    while f.advance().1 != Output::Lost {}
    f.paths.handle_datagram(address(1), f.now);
    let (token, remote) = f.probe();
    assert!(f.paths.handle_pong(token, remote, f.now).unwrap().promoted);
    assert_eq!(f.paths.primary(), Some(address(1)));
}

#[test]
fn a_straight_path_takes_over_from_a_circuit_and_gives_back_to_it() {
    let circuit = Remote::Circuit(5);
    let mut f = Fixture::new();
    f.paths.handle_circuit(circuit);
    f.paths.handle_handshake(circuit, f.now);
    let answer = |f: &mut Fixture, wanted: Remote| {
        let token = loop {
            match f.advance().1 {
                Output::Probe(token, remote) if remote == wanted => break token,
                Output::Probe(..) | Output::Suspect => {}
                output @ (Output::Wait(..) | Output::Promoted(_) | Output::Lost) => panic!("{output:?}"),
            }
        };
        f.paths.handle_pong(token, wanted, f.now).unwrap()
    };
    answer(&mut f, circuit);
    assert_eq!(f.paths.primary(), Some(circuit));
    f.paths.handle_datagram(address(1), f.now);
    assert!(answer(&mut f, address(1)).promoted, "although the circuit is not silent");
    assert_eq!(f.paths.primary(), Some(address(1)));
    f.paths.handle_handshake(circuit, f.now);
    assert_eq!(f.paths.primary(), Some(address(1)), "a rekey by the slower way changes nothing");
    let token = f.probe().0;
    f.paths.handle_pong(token, circuit, f.now).unwrap();
    assert_eq!(f.paths.primary(), Some(address(1)));
    f.packets();
    let start = f.now;
    assert!(answer(&mut f, circuit).promoted, "the straight path is silent");
    assert!(f.now - start <= Duration::from_secs(2));
    assert!(f.paths.handle_gone(circuit));
    assert_eq!((f.paths.primary(), f.paths.circuit()), (None, None));
}

#[test]
fn a_path_in_use_that_falls_silent_is_suspected_after_half_a_second() {
    let mut f = Fixture::connected();
    for more_ms in 0..15 {
        assert_eq!(f.talk(Duration::from_millis(1500 + more_ms * 10), true), None);
        let (after, output) = f.talk(Duration::from_secs(2), false).unwrap();
        assert_eq!(output, Output::Suspect);
        assert!(after <= LOOK_ACTIVE * 2 + SILENCE_TIMEOUT_MIN, "{after:?}");
        assert!(after > SILENCE_TIMEOUT_MIN);
        f.paths.handle_handshake(address(1), f.now);
    }
}

#[test]
fn a_peer_that_only_listens_is_asked_often_and_never_suspected() {
    let mut f = Fixture::connected();
    let mut probes = 0;
    for _ in 0..500 {
        f.now += Duration::from_millis(10);
        f.traffic.sent += 1;
        while let Output::Probe(token, remote) = f.poll() {
            probes += 1;
            f.paths.handle_pong(token, remote, f.now);
        }
        assert!(!f.paths.is_suspect());
    }
    assert!((20..=5000 / 150).contains(&probes), "{probes} in 5 s");
}

#[test]
fn who_only_answers_follows_the_peer_to_a_worse_path_when_the_better_one_is_silent() {
    let circuit = Remote::Circuit(5);
    let mut f = Fixture::connected();
    assert_eq!(f.talk(Duration::from_secs(2), true), None);
    f.now += Duration::from_millis(500);
    let hears = |f: &mut Fixture, of: &[Remote]| {
        f.paths.handle_datagram(circuit, f.now);
        while let Output::Probe(token, remote) = f.poll() {
            if of.contains(&remote) {
                f.paths.handle_pong(token, remote, f.now);
            }
        }
    };
    hears(&mut f, &[circuit, address(1)]);
    assert_eq!(f.paths.primary(), Some(address(1)), "the peer has only not found it yet");
    f.now += CHALLENGE_INTERVAL;
    let start = f.now;
    hears(&mut f, &[circuit]);
    assert_eq!(f.advance().1, Output::Promoted(circuit));
    assert_eq!(f.now - start, CHALLENGE_MARGIN);
}

#[test]
fn what_has_stopped_to_flow_is_probed_once_more() {
    let mut f = Fixture::connected();
    assert_eq!(f.talk(Duration::from_secs(2), true), None);
    let (after, output) = f.advance();
    assert!(matches!(output, Output::Probe(_, remote) if remote == address(1)));
    assert!(after <= PROBE_ACTIVE_INTERVAL, "{after:?}");
    let Output::Probe(token, remote) = output else { unreachable!() };
    f.paths.handle_pong(token, remote, f.now);
    assert_eq!(f.advance().0, PROBE_IDLE_INTERVAL, "and then no more");
}

#[test]
fn what_was_only_slow_has_the_usual_time() {
    let mut f = Fixture::connected();
    assert_eq!(f.talk(Duration::from_secs(2), true), None);
    let asked = loop {
        f.now += Duration::from_millis(10);
        f.traffic.sent += 1;
        if let Output::Probe(..) = f.poll() {
            break f.now;
        }
    };
    f.traffic.received += 1;
    let (_, output) = f.advance();
    assert_eq!((output, f.now - asked), (Output::Suspect, PROBE_TIMEOUT_MIN));
}

#[test]
fn lost_probes_are_counted() {
    let mut f = Fixture::connected();
    assert_eq!(f.paths.loss_per_mille(), Some(0));
    f.packets();
    let mut seen = 0;
    while f.paths.loss_per_mille() == Some(0) {
        match f.advance().1 {
            Output::Probe(token, remote) if seen == 1 => {
                f.paths.handle_pong(token, remote, f.now);
            }
            Output::Probe(..) => seen += 1,
            Output::Suspect | Output::Wait(..) | Output::Promoted(_) | Output::Lost => {}
        }
    }
    assert_eq!(f.paths.loss_per_mille(), Some(500));
}

#[test]
fn a_way_that_is_gone_wins_no_challenge() {
    let mut f = Fixture::connected();
    let circuit = Remote::Circuit(7);
    f.paths.handle_local_change(f.now);
    f.probe();
    f.paths.handle_datagram(circuit, f.now);
    // Both are asked; the challenger alone answers, and is closed before the time of the other is over.
    for _ in 0..2 {
        let (token, remote) = f.probe();
        if remote == circuit {
            f.paths.handle_pong(token, remote, f.now);
        }
    }
    assert!(!f.paths.handle_gone(circuit));
    f.now += CHALLENGE_TIME;
    let (_, output) = f.advance();
    assert_ne!(output, Output::Promoted(circuit));
    assert_eq!(f.paths.primary(), Some(address(1)));
}
