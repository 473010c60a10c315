//! How long a packet stays in the tunnel while somebody sends all he can into it.

use netns_tests::{Ping, quantile};

use super::Subject;
use crate::figure::{Figure, Figures};
use crate::iperf::Iperf;

/// Bytes of payload in each datagram of the flood.
const SIZE: &str = "1200";
/// Seconds of the flood, and requests during its middle, 10 ms apart.
const SECONDS: u32 = 6;
const COUNT: &str = "400";
const SECONDS_QUICK: u32 = 3;
const COUNT_QUICK: &str = "100";
/// The flood's begin is not measured.
const BEGINS: std::time::Duration = std::time::Duration::from_secs(1);

pub(super) fn measure(subject: &Subject<'_>) -> Figures {
    let [a, b] = subject.machines;
    let target = subject.tunnel.targets[1];
    let (seconds, count) = if subject.is_quick { (SECONDS_QUICK, COUNT_QUICK) } else { (SECONDS, COUNT) };
    let flood = Iperf::start(a, b, target, seconds, &["-u", "-b", "0", "-l", SIZE]);
    std::thread::sleep(BEGINS);
    let text = a.run(&["ping", "-n", "-i", "0.01", "-c", count, "-W", "1", &target.to_string()]).stdout;
    let _sent = flood.end();
    let rtt_ms = Ping::parse(&text).rtt_ms;
    assert!(!rtt_ms.is_empty(), "no ping is answered under a flood");
    vec![(Figure::SojournP50, quantile(&rtt_ms, 0.5)), (Figure::SojournP99, quantile(&rtt_ms, 0.99))]
}
