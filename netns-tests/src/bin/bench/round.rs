//! One peer's turn: a lab of its own, the tunnel, and one measurement after the other.

use std::time::Duration;

use netns_tests::{Lab, Machine};

use crate::arguments::Arguments;
use crate::attempt;
use crate::figure::{Figure, Figures};
use crate::measures::{self, Measure, Subject};
use crate::meter::Meter;
use crate::peers::Peer;

/// How long a tunnel may take until the first packet comes through.
const PATIENCE: Duration = Duration::from_secs(40);
/// Above this share of the machine that others use a measurement is made again, once.
const NOISY: f64 = 0.04;
/// How often at most.
const TRIES: usize = 2;

/// What was measured, by measurement. What fails is told on standard error and left out; the rest goes on.
pub(crate) fn run(peer: &Peer, arguments: &Arguments) -> Vec<(&'static str, Figures)> {
    let lab = Lab::new();
    let machines = lab.crossover(["a", "b"]);
    let up = || {
        prepare(&machines, arguments);
        let tunnel = (peer.up)(&machines, arguments.mtu);
        machines[0].await_ping(tunnel.targets[1], PATIENCE);
        tunnel
    };
    let Some(tunnel) = attempt(up) else {
        eprintln!("{} does not come up", peer.name);
        return Vec::new();
    };
    let Arguments { seconds, is_quick, .. } = *arguments;
    let subject = Subject { machines: &machines, tunnel: &tunnel, seconds, is_quick };
    let mut all = Vec::new();
    for measure in measures::ALL {
        match quietest(&subject, &measure) {
            Some(figures) => all.push((measure.0, figures)),
            None => eprintln!("{}: {} failed", peer.name, measure.0),
        }
    }
    let foreign = mean_foreign(&all);
    all.push(("foreign", foreign.map(|share| (Figure::Foreign, share)).into_iter().collect()));
    all
}

/// Makes the cable what is asked for.
fn prepare(machines: &[Machine; 2], arguments: &Arguments) {
    for machine in machines {
        machine.ip(&format!("link set eth0 mtu {}", arguments.veth_mtu));
        let features = arguments.offload.features();
        if !features.is_empty() {
            let _said = machine.run(&[&["ethtool", "-K", "eth0"], features].concat()).ok();
        }
    }
}

/// Measures, once more where others used the machine, and gives what was disturbed less, with the share of the others.
fn quietest(subject: &Subject<'_>, (_, is_repeated, measure): &Measure) -> Option<Figures> {
    let tries = if *is_repeated && !subject.is_quick { TRIES } else { 1 };
    let mut best: Option<(Figures, f64)> = None;
    for _ in 0..tries {
        let meter = Meter::begin(&subject.tunnel.daemons);
        let Some(figures) = attempt(|| measure(subject)) else { continue };
        let foreign = meter.foreign();
        if best.as_ref().is_none_or(|(_, least)| foreign < *least) {
            best = Some((figures, foreign));
        }
        if foreign <= NOISY {
            break;
        }
    }
    best.map(|(mut figures, foreign)| {
        if *is_repeated {
            figures.push((Figure::Foreign, foreign * 100.0));
        }
        figures
    })
}

/// The share of others over all measurements of a turn, in per cent.
fn mean_foreign(all: &[(&'static str, Figures)]) -> Option<f64> {
    let of =
        |figures: &Figures| figures.iter().find(|(figure, _)| *figure == Figure::Foreign).map(|(_, v)| *v);
    let shares: Vec<f64> = all.iter().filter_map(|(_, figures)| of(figures)).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_of_others_is_the_mean_of_what_was_watched() {
        let figures = |foreign| vec![(Figure::Tcp, 9.0), (Figure::Foreign, foreign)];
        let all = [("tcp", figures(1.0)), ("ping", figures(4.0)), ("idle", vec![(Figure::IdleCpu, 7.0)])];
        assert_eq!((mean_foreign(&all), mean_foreign(&all[2..])), (Some(2.5), None));
    }
}
