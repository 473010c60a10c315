use super::*;

/// A NAT that forgets after a time, behind which the measurement runs.
struct Fixture {
    lifetime: Lifetime,
    now: Instant,
    forgets: Duration,
    last: Option<Instant>,
    is_open: bool,
    asked: u32,
    /// Every so many pings and dial-backs one is lost.
    loses: u32,
    sent: u32,
}

impl Fixture {
    fn new(forgets: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time counts from any instant")]
        let now = Instant::now();
        Self {
            lifetime: Lifetime::new(now),
            now,
            forgets: Duration::from_secs(forgets),
            last: None,
            is_open: false,
            asked: 0,
            loses: u32::MAX,
            sent: 0,
        }
    }

    fn arrives(&mut self) -> bool {
        self.sent += 1;
        !self.sent.is_multiple_of(self.loses)
    }

    /// Runs for so many seconds.
    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            match self.lifetime.poll_output(self.now) {
                LifetimeOutput::OpenSocket => {
                    assert!(!std::mem::replace(&mut self.is_open, true), "two spare sockets");
                    self.last = None;
                }
                LifetimeOutput::CloseSocket => assert!(std::mem::take(&mut self.is_open)),
                LifetimeOutput::Prime => {
                    assert!(self.is_open);
                    self.last = Some(self.now);
                    if self.arrives() {
                        self.lifetime.handle_primed(self.now);
                    }
                }
                LifetimeOutput::AskDialBack => {
                    self.asked += 1;
                    let is_alive = self.last.is_some_and(|last| self.now < last + self.forgets);
                    if is_alive && self.arrives() {
                        self.lifetime.handle_dial_back(true, self.now);
                    }
                }
                LifetimeOutput::Wait(until) => {
                    assert!(until > self.now);
                    self.now = until.min(end);
                }
            }
        }
    }

    fn interval(&self) -> u64 {
        self.lifetime.interval().as_secs()
    }
}

#[test]
fn the_interval_follows_what_the_nat_remembers() {
    for (forgets, interval) in [(5, 4), (11, 8), (20, 15), (30, 25), (60, 55), (120, 110), (1000, 110)] {
        for loses in [u32::MAX, 3, 4] {
            let mut f = Fixture::new(forgets);
            f.loses = loses;
            assert_eq!(f.interval(), 15, "at first");
            f.run(600);
            assert_eq!(f.interval(), interval, "a NAT that forgets after {forgets} s");
            assert!(!f.is_open, "the spare socket is closed between measurements");
        }
    }
}

#[test]
fn what_is_remembered_is_used_at_once_and_verified() {
    let mut f = Fixture::new(30);
    f.lifetime.restore(Duration::from_secs(119));
    assert_eq!(f.interval(), 110);
    f.run(600);
    assert_eq!(f.interval(), 25);
    let mut f = Fixture::new(1000);
    f.lifetime.restore(Duration::from_secs(1));
    assert_eq!(f.interval(), 4);
    f.run(600);
    assert_eq!(f.interval(), 110);
}

#[test]
fn a_nat_that_changed_is_noticed_at_the_next_measurement() {
    let mut f = Fixture::new(1000);
    f.run(600);
    assert_eq!(f.interval(), 110);
    f.forgets = Duration::from_secs(30);
    f.run(3600);
    assert_eq!(f.interval(), 25);
}

#[test]
fn without_an_anchor_nothing_is_concluded() {
    let mut f = Fixture::new(120);
    f.loses = 1;
    f.run(10 * 67 + 20);
    assert_eq!((f.interval(), f.asked, f.is_open), (15, 0, false));
    let mut f = Fixture::new(120);
    f.run(4);
    assert!(f.is_open);
    while f.lifetime.poll_output(f.now) != LifetimeOutput::AskDialBack {
        f.now += Duration::from_secs(1);
    }
    f.lifetime.handle_dial_back(false, f.now);
    f.run(30);
    assert_eq!((f.interval(), f.is_open), (15, false));
}

#[test]
fn another_network_is_measured_anew() {
    let mut f = Fixture::new(1000);
    f.run(600);
    while !f.is_open {
        f.run(10);
    }
    f.forgets = Duration::from_secs(20);
    f.lifetime.handle_local_change(f.now);
    assert_eq!(f.interval(), 15);
    f.run(600);
    assert_eq!((f.interval(), f.is_open), (15, false));
}
