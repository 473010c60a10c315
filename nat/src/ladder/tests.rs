use super::*;
use crate::punch::Role;
use wire::{Candidate, Ports};

struct Fixture {
    ladder: Ladder,
    ours: Side,
    theirs: Side,
    now: Instant,
}

fn profile(mapping: Dependence, filtering: Dependence, ports: Ports) -> NatProfile {
    NatProfile { translates: true, mapping, filtering, ports }
}

fn port_restricted() -> NatProfile {
    profile(Dependence::EndpointIndependent, Dependence::AddressAndPortDependent, Ports::Preserved)
}

fn random() -> NatProfile {
    profile(Dependence::AddressAndPortDependent, Dependence::AddressAndPortDependent, Ports::Random)
}

fn side(profile: NatProfile, address: &str) -> Side {
    let candidate = Candidate::new(address.parse().unwrap());
    Side { profile, candidates: candidate.into_iter().collect(), public: candidate, predicted: None }
}

impl Fixture {
    fn new(ours: NatProfile, theirs: NatProfile) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
        let now = Instant::now();
        let mut fixture = Self {
            ladder: Ladder::new(),
            ours: side(ours, "198.51.100.1:1"),
            theirs: side(theirs, "203.0.113.2:2"),
            now,
        };
        fixture.learn();
        fixture
    }

    fn learn(&mut self) {
        self.ladder.handle_sides(&self.ours, &self.theirs, self.now);
    }

    /// Waits for the next try and makes it; how long that was, and what it was.
    fn attempt(&mut self, result: PunchResult) -> (u64, Strategy) {
        let next = self.ladder.next_try().unwrap();
        let waited = next.saturating_duration_since(self.now).as_secs();
        self.now = self.now.max(next);
        let step = self.ladder.step().unwrap();
        self.over(step, result);
        (waited, step.strategy)
    }

    fn over(&mut self, step: Step, result: PunchResult) {
        let Step { rung, strategy } = step;
        let begun = self.now;
        let attempt = Attempt { rung, strategy, begun, lasted: Duration::ZERO, probes: 1, result };
        self.ladder.handle_over(attempt, self.now);
    }
}

const WON: PunchResult = PunchResult::Won {
    socket: crate::SocketId::MAIN,
    address: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7),
};

#[test]
fn easy_attempts_climb_and_then_are_ever_rarer() {
    let mut f = Fixture::new(NatProfile::default(), port_restricted());
    assert_eq!(f.attempt(PunchResult::Failed), (0, Strategy::Plain));
    assert_eq!(f.attempt(PunchResult::Failed), (5, Strategy::LowTtl));
    assert!(f.ladder.is_hard(), "what is unknown may be the hardest");
    let birthday = |ports| Strategy::Birthday { role: Role::Opens, ports };
    assert_eq!(f.attempt(PunchResult::Failed), (5, birthday(1024)));

    let mut f = Fixture::new(port_restricted(), port_restricted());
    for seconds in [0, 5, 15, 60, 300, 900, 3600, 3600] {
        assert_eq!(f.attempt(PunchResult::Failed), (seconds, Strategy::LowTtl));
        assert!(!f.ladder.is_hard());
    }
}

#[test]
fn hard_attempts_are_ever_rarer() {
    let mut f = Fixture::new(port_restricted(), random());
    let birthday = |ports| Strategy::Birthday { role: Role::Sprays, ports };
    assert_eq!(f.attempt(PunchResult::Failed), (0, birthday(1024)));
    for seconds in [60, 300, 900, 3600, 3600] {
        assert_eq!(f.attempt(PunchResult::Failed), (seconds, birthday(2048)));
    }
    assert_eq!(f.ladder.history().count(), 6);
}

#[test]
fn a_change_of_either_side_begins_anew_but_not_at_any_pace() {
    let mut f = Fixture::new(port_restricted(), random());
    f.attempt(PunchResult::Failed);
    f.attempt(PunchResult::Failed);
    f.theirs.public = Candidate::new("203.0.113.2:99".parse().unwrap());
    f.theirs.predicted = Some(5);
    f.learn();
    assert_eq!(f.ladder.next_try(), Some(f.now + HARD_PAUSES[1]), "the port of a random NAT means nothing");
    f.ours.public = Candidate::new("198.51.100.1:2".parse().unwrap());
    f.learn();
    assert_eq!(f.ladder.step().map(|step| step.rung), Some(Rung::Likely));
    assert_eq!(f.ladder.next_try(), Some(f.now + HARD_PAUSES[0]));
    f.theirs.profile = port_restricted();
    f.learn();
    assert_eq!(f.attempt(PunchResult::Failed), (0, Strategy::LowTtl));
    f.ladder.handle_local_change(f.now);
    assert_eq!(f.ladder.next_try(), Some(f.now + EASY_PAUSE));
}

#[test]
fn what_has_won_comes_first_the_next_time() {
    let mut f = Fixture::new(NatProfile::default(), port_restricted());
    f.attempt(PunchResult::Failed);
    assert_eq!(f.attempt(WON), (5, Strategy::LowTtl));
    assert_eq!(f.attempt(PunchResult::Failed), (5, Strategy::LowTtl));
    assert!(f.ladder.is_hard());
    f.over(Step { rung: Rung::Likely, strategy: Strategy::Plain }, WON);
    assert_eq!(f.attempt(WON), (5, Strategy::Plain));
}

#[test]
fn without_hope_there_is_no_attempt_and_a_reason() {
    let f = Fixture::new(random(), random());
    assert_eq!((f.ladder.step(), f.ladder.next_try(), f.ladder.is_hard()), (None, None, false));
    let reason = f.ladder.hopeless().unwrap().to_string();
    assert_eq!(reason, "both NATs give ports at random");
    assert_eq!(f.ladder.answer(Rung::Wide, f.now), None);
}

#[test]
fn ipv6_goes_before_what_is_hard_or_hopeless() {
    let mut f = Fixture::new(random(), random());
    for (side, address) in [(&mut f.ours, "[2001:db8::1]:7"), (&mut f.theirs, "[2001:db8::2]:7")] {
        side.candidates.push(Candidate::new(address.parse().unwrap()).unwrap());
    }
    f.learn();
    assert_eq!(f.attempt(PunchResult::Failed), (0, Strategy::Plain));
    assert_eq!(f.attempt(PunchResult::Failed), (5, Strategy::LowTtl));
    assert_eq!(f.attempt(PunchResult::Failed), (5, Strategy::LowTtl));
    assert_eq!(f.attempt(PunchResult::Failed), (15, Strategy::LowTtl));
}

#[test]
fn calls_are_answered_within_bounds() {
    let mut f = Fixture::new(port_restricted(), random());
    let hard = f.ladder.answer(Rung::Likely, f.now).unwrap();
    assert_eq!(hard, Strategy::Birthday { role: Role::Sprays, ports: 1024 });
    f.over(Step { rung: Rung::Likely, strategy: hard }, PunchResult::Failed);
    assert_eq!(f.ladder.answer(Rung::Wide, f.now + Duration::from_secs(49)), None);
    assert!(f.ladder.answer(Rung::Wide, f.now + Duration::from_secs(50)).is_some());

    let mut f = Fixture::new(NatProfile::default(), port_restricted());
    f.attempt(PunchResult::Failed);
    assert_eq!(f.ladder.answer(Rung::Opened, f.now), None);
    f.now += ANSWER_PAUSE;
    assert_eq!(f.ladder.answer(Rung::Opened, f.now), Some(Strategy::LowTtl));
    f.over(Step { rung: Rung::Opened, strategy: Strategy::LowTtl }, PunchResult::Failed);
    assert_eq!(f.ladder.step().unwrap().rung, Rung::Guarded, "what has failed is not tried again");
    f.over(Step { rung: Rung::Likely, strategy: Strategy::Plain }, PunchResult::Failed);
    assert_eq!(f.ladder.step().unwrap().rung, Rung::Guarded, "the peer's attempts do not move us back");
}

#[test]
fn history_is_bounded() {
    let mut f = Fixture::new(port_restricted(), port_restricted());
    for _ in 0..3 * HISTORY_MAX {
        f.attempt(PunchResult::Failed);
    }
    assert_eq!(f.ladder.history().count(), HISTORY_MAX);
}

#[test]
fn easy_attempts_in_vain_are_ever_rarer_until_one_succeeds() {
    let mut f = Fixture::new(port_restricted(), port_restricted());
    let pauses =
        |f: &mut Fixture, result, count| -> Vec<u64> { (0..count).map(|_| f.attempt(result).0).collect() };
    assert_eq!(pauses(&mut f, PunchResult::Failed, 5), [0, 5, 15, 60, 300]);
    f.attempt(WON);
    assert_eq!(pauses(&mut f, PunchResult::Failed, 4), [5, 5, 15, 60]);
}

#[test]
fn while_packets_go_over_hops_a_minute_is_the_longest_pause() {
    let mut f = Fixture::new(port_restricted(), port_restricted());
    (0..7).for_each(|_| _ = f.attempt(PunchResult::Failed));
    f.ladder.handle_use();
    assert_eq!(f.attempt(PunchResult::Failed).0, 60);
    assert_eq!(f.attempt(PunchResult::Failed).0, 3600, "nothing flows any more");
    let mut f = Fixture::new(port_restricted(), port_restricted());
    f.attempt(PunchResult::Failed);
    f.ladder.handle_use();
    assert_eq!(f.attempt(PunchResult::Failed).0, 5, "what is due before stays so");
}
