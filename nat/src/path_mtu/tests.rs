use super::*;
use crate::limits::MTU_STEP;
use std::net::SocketAddr;

const LOOK: Duration = Duration::from_millis(150);
const SECOND: Duration = Duration::from_secs(1);
const OVERHEAD: u16 = 60;

/// A path in virtual time that carries packets up to a length, and loses what it likes.
struct Lab {
    mtu: PathMtu,
    path: Option<Measured>,
    now: Instant,
    traffic: Traffic,
    /// What the path carries, in inner bytes; what the machine's own interface does.
    carries: u16,
    interface: u16,
    sends: bool,
    hears: bool,
    is_suspect: bool,
    lose: Box<dyn FnMut() -> bool>,
    probes: Vec<u16>,
}

fn path(port: u16) -> Option<Measured> {
    let address = SocketAddr::from(([192, 0, 2, 1], port));
    Some(Measured { remote: Remote::udp(address), overhead: OVERHEAD })
}

impl Lab {
    fn new(carries: u16) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
        let now = Instant::now();
        Self {
            mtu: PathMtu::new(MTU_MAX, 7),
            path: path(1),
            now,
            traffic: Traffic::default(),
            carries,
            interface: MTU_MAX,
            sends: true,
            hears: true,
            is_suspect: false,
            lose: Box::new(|| false),
            probes: vec![],
        }
    }

    fn look(&mut self) {
        self.traffic.sent += u64::from(self.sends);
        self.traffic.received += u64::from(self.hears);
        let round_trip = Some(Duration::from_millis(20));
        let look = Look { path: self.path, traffic: self.traffic, round_trip, is_suspect: self.is_suspect };
        while let Some(probe) = self.mtu.poll(&look, self.now) {
            self.probes.push(probe.length);
            if probe.length > self.interface {
                self.mtu.handle_refused(probe.token, self.now);
            } else if probe.length <= self.carries && !self.is_suspect && !(self.lose)() {
                self.mtu.handle_answer(probe.token, self.now);
            }
        }
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.look();
            let next = self.mtu.deadline().filter(|at| *at > self.now);
            self.now = next.map_or(self.now + LOOK, |at| at.min(self.now + LOOK));
        }
    }

    /// What it comes to.
    fn found(&mut self) -> Mtu {
        self.run(60 * SECOND);
        self.mtu.mtu()
    }
}

fn measured(length: u16) -> Mtu {
    Mtu { length, is_measured: true, is_narrow: false }
}

const NARROW: Mtu = Mtu { length: MTU_MIN, is_measured: true, is_narrow: true };
const SHORTEST: Mtu = Mtu { length: MTU_MIN, is_measured: false, is_narrow: true };
const ASSUMED: Mtu = Mtu { length: MTU_ASSUMED, is_measured: false, is_narrow: false };

#[test]
fn every_length_is_found_in_few_probes() {
    for carries in (MTU_MIN..9000).step_by(13).chain([MTU_MIN, 8940, 16_000, MTU_MAX]) {
        let mut lab = Lab::new(carries);
        let Mtu { length, is_measured, is_narrow } = lab.found();
        assert!(is_measured && !is_narrow, "{carries}");
        assert!(length <= carries && carries - length < MTU_STEP, "{carries} {length}");
        assert!(lab.probes.len() < 50, "{carries}: {} probes", lab.probes.len());
    }
}

#[test]
fn usual_networks_are_found_exactly() {
    for (mtu, probes) in [(1500, 5), (1492, 7), (9000, 5)] {
        let mut lab = Lab::new(mtu - OVERHEAD);
        // The interface is no wider: it says so at once.
        lab.interface = lab.carries;
        lab.run(LOOK / 2);
        assert_eq!(lab.mtu.mtu(), measured(mtu - OVERHEAD));
        assert!(lab.probes.len() <= 20, "{:?}", lab.probes);
        // The router after the next is narrower, and says nothing.
        let mut lab = Lab::new(mtu - OVERHEAD);
        assert_eq!(lab.found(), measured(mtu - OVERHEAD));
        let carried = lab.probes.iter().filter(|length| **length <= lab.carries).count();
        assert!(carried <= probes + 10, "{:?}", lab.probes);
    }
}

#[test]
fn loss_makes_no_length_longer_and_seldom_shorter() {
    let mut right = 0;
    for seed in 0..200u64 {
        let mut random = wire::SplitMix64::new(seed);
        let carries = MTU_MIN + (random.draw() % 7700) as u16;
        let mut lab = Lab::new(carries);
        lab.lose = Box::new(move || random.draw() % 100 < 15);
        let length = lab.found().length;
        assert!(length <= carries, "seed {seed}");
        right += u32::from(carries - length < MTU_STEP);
    }
    assert!(right >= 180, "{right} of 200");
}

#[test]
fn nothing_is_probed_where_nothing_goes() {
    let mut lab = Lab::new(1440);
    lab.sends = false;
    assert_eq!((lab.found(), lab.probes.len()), (ASSUMED, 0));
    lab.path = None;
    lab.sends = true;
    assert_eq!((lab.found(), lab.probes.len()), (ASSUMED, 0));
    lab.path = path(1);
    assert_eq!(lab.found(), measured(1440));
    lab.sends = false;
    lab.run(LOOK * 20);
    lab.probes.clear();
    lab.run(3600 * SECOND);
    assert_eq!(lab.probes, [0; 0], "nor again, when it was measured");
}

#[test]
fn a_path_too_narrow_for_ipv6_is_given_fragments() {
    let mut lab = Lab::new(MTU_MIN - 1);
    lab.run(SECOND);
    assert_eq!(lab.mtu.mtu(), SHORTEST, "as soon as the first length is lost");
    assert_eq!(lab.found(), NARROW);
    lab.probes.clear();
    lab.run(300 * SECOND);
    assert_eq!(lab.probes, [0; 0]);
    lab.carries = 1440;
    lab.run(700 * SECOND);
    assert_eq!(lab.mtu.mtu(), measured(1440));
}

#[test]
fn a_wider_path_is_noticed_after_a_while_and_costs_little_until_then() {
    let mut lab = Lab::new(1440);
    assert_eq!(lab.found(), measured(1440));
    lab.probes.clear();
    lab.run(3600 * SECOND);
    let raising = lab.probes.iter().filter(|length| **length > 1440).count();
    assert!(raising <= 6 * MTU_PROBES_MAX as usize, "{raising}");
    assert!(lab.probes.len() - raising <= 360, "a confirmation each 10 s");
    lab.carries = 8940;
    lab.run(MTU_RAISE_INTERVAL + 20 * SECOND);
    assert_eq!(lab.mtu.mtu(), measured(8940));
}

#[test]
fn a_black_hole_is_noticed_and_left() {
    for (before, after) in [(8940, 1440), (1440, 1300), (1440, MTU_MIN - 20)] {
        let mut lab = Lab::new(before);
        assert_eq!(lab.found(), measured(before));
        (lab.carries, lab.hears) = (after, false);
        lab.run(4 * SECOND);
        let meanwhile = lab.mtu.mtu();
        assert!(meanwhile == SHORTEST || meanwhile == NARROW, "{after}: {meanwhile:?}");
        lab.run(30 * SECOND);
        let found = lab.mtu.mtu();
        assert!(found.length <= after && after - found.length < MTU_STEP || found == NARROW, "{found:?}");
        assert_eq!(found == NARROW, after < MTU_MIN);
    }
}

#[test]
fn a_path_that_is_lost_altogether_says_nothing_of_lengths() {
    let mut lab = Lab::new(1440);
    assert_eq!(lab.found(), measured(1440));
    (lab.is_suspect, lab.hears) = (true, false);
    lab.run(600 * SECOND);
    assert_eq!(lab.mtu.mtu(), measured(1440));
}

#[test]
fn another_path_is_another_search() {
    let mut lab = Lab::new(8940);
    assert_eq!(lab.found(), measured(8940));
    (lab.path, lab.sends, lab.carries) = (path(2), false, 1440);
    lab.run(LOOK);
    assert_eq!(lab.mtu.mtu(), ASSUMED);
    let stale = lab.probes.len() as u64 + 7;
    lab.mtu.handle_answer(stale, lab.now);
    assert_eq!(lab.mtu.mtu(), ASSUMED);
    lab.sends = true;
    assert_eq!(lab.found(), measured(1440));
}

#[test]
fn what_the_machine_cannot_send_whole_is_looked_into_at_once() {
    let mut lab = Lab::new(8940);
    assert_eq!(lab.found(), measured(8940));
    lab.run(MTU_CONFIRM_SILENT);
    (lab.interface, lab.carries) = (1440, 1440);
    lab.run(MTU_CONFIRM_INTERVAL - 2 * SECOND);
    let before = lab.mtu.mtu();
    lab.mtu.handle_too_long(lab.now);
    lab.look();
    assert_eq!((before, lab.mtu.mtu()), (measured(8940), measured(1440)));
}

#[test]
fn no_length_is_beyond_the_ceiling() {
    for ceiling in [MTU_MIN, 1300, MTU_ASSUMED, 1500, 9000] {
        let mut lab = Lab::new(MTU_MAX);
        lab.mtu = PathMtu::new(ceiling, 1);
        assert_eq!(lab.mtu.mtu().length, ceiling.min(MTU_ASSUMED));
        assert_eq!(lab.found(), measured(ceiling));
        assert!(lab.probes.iter().all(|length| *length <= ceiling), "{:?}", lab.probes);
    }
}
