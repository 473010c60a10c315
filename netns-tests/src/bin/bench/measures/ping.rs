//! Round trips of lone packets.

use netns_tests::{Ping, quantile};

use super::Subject;
use crate::figure::{Figure, Figures};

/// Requests, 5 ms apart: 500 are the fewest with a 99th in a hundred to speak of.
const COUNT: &str = "500";
const COUNT_QUICK: &str = "200";

pub(super) fn measure(subject: &Subject<'_>) -> Figures {
    let [a, _] = subject.machines;
    let target = subject.tunnel.targets[1].to_string();
    let count = if subject.is_quick { COUNT_QUICK } else { COUNT };
    let done = a.run(&["ping", "-n", "-i", "0.005", "-c", count, "-W", "1", &target]);
    let rtt_ms = Ping::parse(&done.stdout).rtt_ms;
    let us = |share| quantile(&rtt_ms, share) * 1000.0;
    vec![(Figure::PingP50, us(0.5)), (Figure::PingP99, us(0.99))]
}
