//! One TCP stream straight, over one hop and over two, in turn.

use netns_tests::{Internet, Machine, PathKind, await_path, cpu_seconds, iperf_tcp, median};

use super::{PATIENCE, address};

const SECONDS: &str = "5";
const NAMES: [&str; 3] = ["direct", "one hop", "two hops"];

/// One stream.
struct Sample {
    mbit_s: f64,
    /// All daemons together.
    cpu_s_gb: f64,
}

/// Prints the table. There is a lab for each, and all but one of them are idle at a time.
pub(crate) fn measure(runs: usize) {
    let labs = [0, 1, 2].map(line);
    let mut samples: [Vec<Sample>; 3] = Default::default();
    for _ in 0..runs {
        for (hops, ((_, line), samples)) in labs.iter().zip(&mut samples).enumerate() {
            samples.push(stream(line, hops));
        }
    }
    println!(
        "\n| one TCP stream of {SECONDS} s, cubic, {runs} runs in turn | Mbit/s, median | of direct | CPU s/GB, all daemons |"
    );
    println!("|---|---|---|---|");
    let middle = |samples: &[Sample], value: fn(&Sample) -> f64| {
        median(&samples.iter().map(value).collect::<Vec<_>>())
    };
    let direct = middle(&samples[0], |sample| sample.mbit_s);
    for (name, samples) in NAMES.iter().zip(&samples) {
        let (mbit_s, cpu_s_gb) =
            (middle(samples, |sample| sample.mbit_s), middle(samples, |sample| sample.cpu_s_gb));
        println!("| {name} | {mbit_s:.0} | {:.2} | {cpu_s_gb:.1} |", mbit_s / direct);
    }
}

/// Four public machines, of which the first and the last have so many others between them.
fn line(hops: usize) -> (Internet, [Machine; 4]) {
    let internet = Internet::new();
    let line = internet.anchors(["a", "b", "c", "d"]);
    let [a, b, c, d] = &line;
    if hops > 0 {
        internet.cut(a, d);
    }
    if hops > 1 {
        [(a, c), (b, d)].into_iter().for_each(|(one, other)| internet.cut(one, other));
    }
    (internet, line)
}

fn stream(line: &[Machine; 4], hops: usize) -> Sample {
    let [a, .., d] = line;
    for (from, to) in [(a, "d"), (d, "a")] {
        await_path(from, to, PATIENCE, |path| match path {
            PathKind::Direct(_) => hops == 0,
            PathKind::Via(names) => names.len() == hops,
            PathKind::None => false,
        });
    }
    a.must_ping(address(d));
    let used = || line.iter().map(|machine| cpu_seconds(machine.pid())).sum::<f64>();
    let before = used();
    let told = iperf_tcp(a, d, address(d), &["-C", "cubic", "-t", SECONDS]);
    let cpu_s = used() - before;
    let received = &told["end"]["sum_received"];
    let bytes = received["bytes"].as_f64().expect("iperf3 counts bytes");
    Sample {
        mbit_s: received["bits_per_second"].as_f64().expect("iperf3 computes a rate") / 1e6,
        cpu_s_gb: cpu_s / (bytes / 1e9),
    }
}
