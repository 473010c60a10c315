//! Streams of TCP, and what they cost.

use super::Subject;
use crate::figure::{Figure, Figures};
use crate::iperf::{Iperf, Stream};

/// The same congestion control whatever the kernel's default is.
const ALWAYS: [&str; 2] = ["-C", "cubic"];

/// One stream, and the CPU that it takes.
pub(super) fn forward(subject: &Subject<'_>) -> Figures {
    let before = subject.cpu_s();
    let stream = run(subject, &[]);
    let cpu_s = subject.cpu_s() - before;
    let mut figures = vec![(Figure::Tcp, stream.gbit_s)];
    if !subject.tunnel.daemons.is_empty() {
        figures.push((Figure::CpuPerGb, cpu_s / (stream.bytes / 1e9)));
    }
    figures
}

/// One stream the other way.
pub(super) fn reverse(subject: &Subject<'_>) -> Figures {
    vec![(Figure::TcpReverse, run(subject, &["-R"]).gbit_s)]
}

/// Four streams.
pub(super) fn four(subject: &Subject<'_>) -> Figures {
    vec![(Figure::TcpFour, run(subject, &["-P", "4"]).gbit_s)]
}

fn run(subject: &Subject<'_>, args: &[&str]) -> Stream {
    let [a, b] = subject.machines;
    let end = Iperf::start(a, b, subject.tunnel.targets[1], subject.seconds, &[&ALWAYS, args].concat()).end();
    Stream::read(&end).expect("iperf3 tells what arrived")
}
