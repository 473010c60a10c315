use super::*;
use std::time::Duration;

struct Fixture {
    seen: Observations,
    now: Instant,
}

const OURS: &str = "203.0.113.1:4000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A member and its address, each in a network of its own.
fn member(number: u8) -> (Witness, SocketAddr) {
    (Witness::Member(NodeId([number; 32])), address(&format!("198.{number}.0.1:7")))
}

impl Fixture {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
        let now = Instant::now();
        Self { seen: Observations::new(), now }
    }

    fn says(&mut self, (witness, asked): (Witness, SocketAddr), observed: &str) {
        self.seen.insert(witness, asked, SocketId::MAIN, address(observed), self.now);
        self.now += Duration::from_millis(1);
    }

    fn reflexive(&self) -> Vec<String> {
        self.seen.reflexive(self.now).iter().map(ToString::to_string).collect()
    }

    fn profile(&self) -> NatProfile {
        self.seen.profile(&[address("192.168.1.2:4000")], self.now)
    }

    /// Asks so many fresh sockets, whose mappings get these ports.
    fn samples(&mut self, count: u16, mut port: impl FnMut() -> u16) {
        for socket in 1..=count {
            for witness in [1, 2] {
                let (witness, asked) = member(witness);
                let observed = SocketAddr::new(address(OURS).ip(), port());
                self.seen.insert(witness, asked, SocketId(socket), observed, self.now);
                self.now += Duration::from_millis(1);
            }
        }
    }
}

#[test]
fn an_address_is_ours_when_witnesses_in_two_networks_agree() {
    let mut f = Fixture::new();
    f.says(member(1), OURS);
    assert_eq!(f.reflexive(), [""; 0]);
    assert_eq!(f.seen.tentative(f.now).len(), 1);
    f.says((Witness::Member(NodeId([2; 32])), address("198.1.9.9:7")), OURS);
    assert_eq!(f.reflexive(), [""; 0], "the same network");
    f.says((member(1).0, address("198.77.0.1:7")), OURS);
    f.says((member(1).0, address("198.78.0.1:7")), OURS);
    assert_eq!(votes(&f.seen.v4, f.now).count(), 2, "one for each witness and network");
    assert_eq!(f.reflexive(), [OURS]);
    let mut f = Fixture::new();
    f.says(member(3), "192.0.2.3:3");
    f.says(member(4), "192.0.2.4:4");
    f.says(member(1), OURS);
    f.says(member(2), OURS);
    assert_eq!(f.reflexive(), [""; 0], "two of four are no majority");
}

#[test]
fn an_address_stays_while_witnesses_are_divided_and_enough_still_say_it() {
    let mut f = Fixture::new();
    f.says(member(1), OURS);
    f.says(member(2), OURS);
    // One in the same network sees another mapping, and both go on saying so.
    let neighbour = (Witness::Member(NodeId([3; 32])), address("198.1.9.9:7"));
    for _ in 0..3 {
        f.says(neighbour, "203.0.113.1:5000");
        assert_eq!(f.reflexive(), [OURS]);
        f.says(member(1), OURS);
        assert_eq!(f.reflexive(), [OURS]);
    }
    f.says(neighbour, "203.0.113.1:5000");
    f.says(member(1), "203.0.113.1:6000");
    assert_eq!(f.reflexive(), [""; 0], "one alone says it");
}

#[test]
fn an_address_stays_while_enough_go_on_saying_it_whatever_is_said_last() {
    let mut f = Fixture::new();
    let other = "203.0.113.1:5000";
    let neighbour =
        |number: u8| (Witness::Member(NodeId([10 + number; 32])), address(&format!("198.{number}.9.9:7")));
    // Two in each of two networks: of each network the latest word counts.
    for round in 0..3 {
        [1, 2].map(member).into_iter().for_each(|witness| f.says(witness, OURS));
        assert_eq!(f.reflexive(), [if round == 0 { OURS } else { other }]);
        [1, 2].map(neighbour).into_iter().for_each(|witness| f.says(witness, other));
        assert_eq!(f.reflexive(), [other], "it may have been a change; it is none back");
    }
    [1, 2].map(neighbour).into_iter().for_each(|witness| f.says(witness, OURS));
    assert_eq!(f.reflexive(), [OURS], "nobody says the other any more");
}

#[test]
fn no_single_member_sets_our_address_or_class() {
    let mut f = Fixture::new();
    for port in 1..=60 {
        f.says((member(9).0, address(&format!("198.{port}.0.1:7"))), "192.0.2.66:6666");
    }
    assert_eq!(f.reflexive(), [""; 0]);
    assert_eq!(f.profile().mapping, Dependence::Unknown);
    f.says(member(101), OURS);
    f.says(member(102), OURS);
    f.says(member(103), OURS);
    f.says(member(9), "192.0.2.66:6666");
    assert_eq!(f.reflexive(), [OURS]);

    let mut f = Fixture::new();
    (1..=3).for_each(|number| f.says(member(number), OURS));
    f.says(member(4), "192.0.2.66:6666");
    assert_eq!(f.profile().mapping, Dependence::EndpointIndependent);
    assert!(f.profile().translates);
}

#[test]
fn a_new_address_wins_as_soon_as_the_anchors_see_it() {
    let mut f = Fixture::new();
    (1..=20).for_each(|number| f.says(member(number), OURS));
    let new = "203.0.113.99:4000";
    (1..=3).for_each(|number| f.says(member(number), new));
    assert_eq!(f.reflexive(), [new]);
}

#[test]
fn observations_are_bounded_and_do_not_live_long() {
    let mut f = Fixture::new();
    for number in 0..200 {
        f.says(member(number), OURS);
    }
    assert_eq!(f.seen.v4.main.len(), OBSERVATIONS_MAX);
    assert_eq!(f.reflexive(), [OURS]);
    f.now += OBSERVATION_LIFE;
    assert_eq!(f.reflexive(), [""; 0]);
    assert_eq!(f.profile(), NatProfile::default());
    f.says(member(1), OURS);
    assert_eq!(f.seen.v4.main.len(), 1);
    f.seen.handle_local_change();
    assert!(f.seen.tentative(f.now).is_empty());
}

#[test]
fn nonsense_is_not_taken() {
    let mut f = Fixture::new();
    for nonsense in ["0.0.0.0:5", "203.0.113.1:0", "224.0.0.1:5", "[2001:db8::1]:5"] {
        f.says(member(1), nonsense);
    }
    assert!(f.seen.tentative(f.now).is_empty());
}

#[test]
fn both_families_are_told() {
    let mut f = Fixture::new();
    for network in ["2001:db8", "2001:db9"] {
        let asked = address(&format!("[{network}::1]:7"));
        f.says((Witness::Server(asked), asked), "[2001:db8:5::1]:7");
    }
    f.says(member(1), OURS);
    f.says(member(2), OURS);
    assert_eq!(f.reflexive(), ["[2001:db8:5::1]:7", OURS]);
}

#[test]
fn mapping_classes() {
    let mut f = Fixture::new();
    f.says(member(1), OURS);
    f.says(member(2), OURS);
    assert_eq!(f.profile().mapping, Dependence::Unknown, "two may agree by chance");
    f.says(member(3), OURS);
    let profile = f.profile();
    assert_eq!((profile.mapping, profile.ports), (Dependence::EndpointIndependent, Ports::Preserved));
    assert!(profile.translates);
    let local = f.seen.profile(&[address(OURS)], f.now);
    assert!(!local.translates, "seen as we are");

    let mut f = Fixture::new();
    (1..=3).for_each(|number| f.says(member(number), "203.0.113.1:777"));
    assert_eq!(f.profile().ports, Ports::Fixed);

    let mut f = Fixture::new();
    for number in 1..=3 {
        for port in [7, 8] {
            let (witness, mut asked) = member(number);
            asked.set_port(port);
            f.says((witness, asked), &format!("203.0.113.1:{}", 5000 + 77 * u16::from(number)));
        }
    }
    assert_eq!(f.profile().mapping, Dependence::AddressDependent);

    let mut f = Fixture::new();
    for port in 7..10 {
        f.says((member(1).0, address(&format!("198.1.0.1:{port}"))), "203.0.113.1:5000");
    }
    f.says(member(2), "203.0.113.1:6000");
    assert_eq!(f.profile().mapping, Dependence::AddressDependent, "one witness on many ports is one");

    let mut f = Fixture::new();
    (1..=4).for_each(|number| {
        f.says(member(number), &format!("203.0.113.1:{}", 9000 + 500 * u16::from(number)))
    });
    assert_eq!(f.profile().mapping, Dependence::AddressAndPortDependent);
    assert_eq!(f.reflexive(), [""; 0]);
    assert_eq!(f.seen.public(f.now).unwrap().to_string(), "203.0.113.1:11000", "the port seen last");
}

#[test]
fn those_on_our_lan_say_nothing_of_the_nat() {
    let mut f = Fixture::new();
    for host in 10..20 {
        let asked = address(&format!("192.168.1.{host}:7"));
        f.says((Witness::Member(NodeId([host; 32])), asked), "192.168.1.2:4000");
    }
    for number in 1..=3 {
        f.says(member(number), &format!("203.0.113.1:{}", 9000 + 500 * u16::from(number)));
    }
    let profile = f.profile();
    assert!(profile.translates);
    assert_eq!(profile.mapping, Dependence::AddressAndPortDependent);
}

#[test]
fn filtering_classes_follow_from_dial_backs() {
    let mut f = Fixture::new();
    let filtering = |f: &Fixture| f.profile().filtering;
    assert_eq!(filtering(&f), Dependence::Unknown);
    f.seen.handle_dial_back(DialBack::OtherAddress, false, f.now);
    assert_eq!(filtering(&f), Dependence::Unknown);
    f.seen.handle_dial_back(DialBack::OtherPort, false, f.now);
    assert_eq!(filtering(&f), Dependence::AddressAndPortDependent);
    f.seen.handle_dial_back(DialBack::OtherPort, true, f.now);
    assert_eq!(filtering(&f), Dependence::AddressDependent);
    f.seen.handle_dial_back(DialBack::OtherAddress, true, f.now);
    f.seen.handle_dial_back(DialBack::OtherAddress, false, f.now);
    assert_eq!(filtering(&f), Dependence::EndpointIndependent, "the second may be lost");
    f.now += DIAL_BACK_LIFE;
    f.seen.handle_dial_back(DialBack::OtherPort, false, f.now);
    assert_eq!(filtering(&f), Dependence::AddressAndPortDependent);
}

#[test]
fn samples_are_wanted_of_nats_whose_ports_vary_and_tell_sequence_from_block() {
    let mut f = Fixture::new();
    (1..=3).for_each(|number| f.says(member(number), OURS));
    assert_eq!(f.seen.wants_samples(f.now), None);

    let mut f = Fixture::new();
    let mut port = 20_000;
    let mut sequence = || {
        port += 1;
        port
    };
    (1..=3).for_each(|number| f.says(member(number), &format!("203.0.113.1:{}", sequence())));
    assert_eq!(f.seen.wants_samples(f.now), Some(SAMPLES_FEW));
    assert_eq!(f.seen.wants_samples(f.now), None, "not twice");
    f.samples(SAMPLES_FEW, &mut sequence);
    assert_eq!(f.profile().ports, Ports::Sequential { step: 1 });
    assert_eq!(f.seen.predicted(f.now), Some(port));
    assert_eq!(f.seen.wants_samples(f.now), None);
    f.now += SEQUENCE_FRESH;
    (1..=3).for_each(|number| f.says(member(number), &format!("203.0.113.1:{}", 20_000 + u16::from(number))));
    assert_eq!(f.seen.predicted(f.now), Some(port), "mappings that are used again are not younger");
    assert_eq!(f.seen.wants_samples(f.now), Some(SAMPLES_FEW), "what came last is old");
    let mut answers =
        [port + 30, port + 32, port + 31, port + 33, port + 36, port + 37, port + 35, port + 34].into_iter();
    f.samples(SAMPLES_FEW, || answers.next().unwrap());
    assert_eq!(f.seen.predicted(f.now), Some(port + 37), "answers overtake each other");

    let mut f = Fixture::new();
    let mut shuffle = crate::punch::Shuffle::new(3);
    let mut block = || 10_240 + u16::try_from(shuffle.below(512)).unwrap();
    (1..=3).for_each(|number| f.says(member(number), &format!("203.0.113.1:{}", block())));
    assert_eq!(f.seen.wants_samples(f.now), Some(SAMPLES_FEW));
    f.samples(SAMPLES_FEW, &mut block);
    assert_eq!(f.seen.wants_samples(f.now), Some(SAMPLES_MANY));
    f.samples(SAMPLES_MANY, &mut block);
    assert_eq!(f.profile().ports, Ports::Block { first: 10_240, last: 10_751 });
    assert_eq!((f.seen.wants_samples(f.now), f.seen.predicted(f.now)), (None, None));
}
