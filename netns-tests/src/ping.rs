//! The kernel's own `ping`, and what it says.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rustix::process::Signal;

use crate::{Machine, Process, wait_until};

/// How long a path that was just made, or made anew, may take to carry its first ping.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// How long a path that was interrupted may stand still before that is a failure instead of a figure.
const RESUMES: Duration = Duration::from_secs(60);

/// The result of one run of `ping`.
#[derive(Debug, Clone)]
pub struct Ping {
    /// Echo requests sent.
    pub sent: u32,
    /// Replies received.
    pub received: u32,
    /// Round trip times, ms.
    pub rtt_ms: Vec<f64>,
    /// When the replies came, in seconds since 1970; only of [`Machine::ping_on`].
    pub at_s: Vec<f64>,
    /// Everything that `ping` printed.
    pub text: String,
}

impl Ping {
    /// Reads the output of iputils' `ping`.
    ///
    /// # Panics
    /// When it has no summary.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let summary = text.lines().find(|line| line.contains("packets transmitted"));
        let summary = summary.unwrap_or_else(|| panic!("ping printed no summary:\n{text}"));
        let number = |part: &str| part.split_whitespace().next().and_then(|word| word.parse().ok());
        let mut numbers = summary.split(',').filter_map(number);
        let rtt = |line: &str| line.split("time=").nth(1)?.split_whitespace().next()?.parse().ok();
        Self {
            sent: numbers.next().unwrap_or(0),
            received: numbers.next().unwrap_or(0),
            rtt_ms: text.lines().filter_map(rtt).collect(),
            at_s: text.lines().filter_map(replied_at).collect(),
            text: text.to_owned(),
        }
    }

    /// Requests that were never answered although a later one was; at most 65,536 were sent.
    #[must_use]
    pub fn lost(&self) -> Vec<u32> {
        let number = |line: &str| line.split("icmp_seq=").nth(1)?.split_whitespace().next()?.parse().ok();
        let replies = self.text.lines().filter(|line| line.contains("bytes from"));
        let answered: BTreeSet<u32> = replies.filter_map(number).collect();
        let last = answered.last().copied().unwrap_or(0);
        (1..=last).filter(|number| !answered.contains(number)).collect()
    }

    /// How long after a moment, in seconds since 1970, the first request that was sent after it was answered.
    #[must_use]
    pub fn answered_after_s(&self, moment_s: f64) -> Option<f64> {
        let replies = self.at_s.iter().zip(&self.rtt_ms);
        replies.filter(|(at, rtt)| *at - *rtt / 1000.0 >= moment_s).map(|(at, _)| at - moment_s).next()
    }

    /// The longest time without a reply between two replies, in seconds.
    #[must_use]
    pub fn longest_gap_s(&self) -> f64 {
        self.at_s.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
    }
}

/// The time that `ping -D` puts before a line about a reply.
fn replied_at(line: &str) -> Option<f64> {
    let (time, rest) = line.strip_prefix('[')?.split_once(']')?;
    rest.contains("bytes from").then(|| time.parse().ok())?
}

/// Runs `ping` with `count` requests, a tenth of a second apart, waiting at most 2 s for the last.
#[must_use]
pub fn ping(from: &Machine, to: IpAddr, count: u32) -> Ping {
    let to = to.to_string();
    let count = count.to_string();
    let done = from.run(&["ping", "-n", "-i", "0.1", "-W", "2", "-c", &count, &to]);
    Ping::parse(&done.stdout)
}

impl Machine {
    /// Waits until a single ping to `to` is answered, then asserts that a few more all are.
    ///
    /// # Panics
    /// When none is answered in time, or one of those that follow is lost.
    pub fn must_ping(&self, to: IpAddr) {
        self.await_ping(to, FIRST_ANSWER);
        let result = ping(self, to, 2);
        assert_eq!(result.sent, result.received, "{} to {to} loses pings:\n{}", self.name(), result.text);
    }

    /// Waits until a ping to `to` is answered.
    ///
    /// # Panics
    /// When none is in time.
    pub fn await_ping(&self, to: IpAddr, patience: Duration) {
        let text = to.to_string();
        let what = format!("{} can ping {to}", self.name());
        wait_until(&what, patience, || {
            (self.run(&["ping", "-n", "-c", "1", "-W", "0.3", &text]).code == Some(0)).then_some(())
        });
    }

    /// Starts a `ping` that sends every `interval_ms` until [`stop_ping`].
    #[must_use]
    pub fn ping_on(&self, to: IpAddr, interval_ms: u32) -> Process {
        let interval = format!("{:.3}", f64::from(interval_ms) / 1000.0);
        self.start(&["ping", "-n", "-D", "-i", &interval, "-W", "2", &to.to_string()])
    }
}

/// Ends what [`Machine::ping_on`] started, and tells how it went.
#[must_use]
pub fn stop_ping(mut running: Process) -> Ping {
    running.signal(Signal::INT);
    Ping::parse(&running.done(Duration::from_secs(10)).stdout)
}

/// Pings every 20 ms while something happens, and tells how long after its end a ping was sent and answered, in seconds.
///
/// # Panics
/// When there are no answers before it, or none after it for a minute.
#[must_use]
pub fn resumed_after_s(from: &Machine, to: IpAddr, happens: impl FnOnce()) -> f64 {
    let running = from.ping_on(to, 20);
    let answered = |enough: &dyn Fn(&str) -> bool| {
        let found = running.wait_stdout(RESUMES, |text| enough(text).then_some(()));
        assert!(found.is_some(), "{} gets no answer from {to}: {}", from.name(), running.stdout());
    };
    answered(&|text| text.matches("bytes from").count() >= 50);
    happens();
    let back_s = now_s();
    answered(&|text| replies(text).answered_after_s(back_s).is_some());
    let ping = stop_ping(running);
    ping.answered_after_s(back_s).expect("there was one")
}

/// What is known of a ping that still runs.
fn replies(text: &str) -> Ping {
    // The last line may not be whole yet.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    Ping::parse(&format!("{whole}\n0 packets transmitted, 0 received"))
}

fn now_s() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("the clock is set").as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::Ping;

    #[test]
    fn reads_what_ping_prints() {
        let text = "PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n\
                    64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.042 ms\n\
                    From 10.0.0.2 icmp_seq=2 Destination Host Unreachable\n\n\
                    --- 10.0.0.1 ping statistics ---\n\
                    2 packets transmitted, 1 received, +1 errors, 50% packet loss, time 1001ms\n";
        let ping = Ping::parse(text);
        assert_eq!((ping.sent, ping.received), (2, 1));
        assert_eq!(ping.rtt_ms, [0.042]);
    }

    #[test]
    fn finds_what_was_lost_and_for_how_long() {
        let text = "[10.5] 64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.042 ms\n\
                    [10.75] 64 bytes from 10.0.0.1: icmp_seq=2 ttl=64 time=0.042 ms\n\
                    [12.75] 64 bytes from 10.0.0.1: icmp_seq=4 ttl=64 time=0.042 ms\n\
                    4 packets transmitted, 3 received, 25% packet loss, time 1001ms\n";
        let ping = Ping::parse(text);
        assert_eq!(ping.lost(), [3]);
        let gap = ping.longest_gap_s();
        assert!((gap - 2.0).abs() < 1e-9, "{gap}");
        let late = "[10.5] 64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=400 ms\n\
                    [10.75] 64 bytes from 10.0.0.1: icmp_seq=2 ttl=64 time=250 ms\n\
                    2 packets transmitted, 2 received, 0% packet loss, time 1001ms\n";
        let late = Ping::parse(late);
        assert_eq!((late.answered_after_s(10.25), late.answered_after_s(10.6)), (Some(0.5), None));
    }
}
