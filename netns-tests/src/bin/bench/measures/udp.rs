//! The highest rate of datagrams that still arrive, and what arrives when the sender sends all he can.

use super::Subject;
use crate::figure::{Figure, Figures};
use crate::iperf::{Datagrams, Iperf};

/// What counts as still arriving.
const LOSS_MAX: f64 = 0.01;
/// A stall of the machine can lose as much: such an attempt is made again once.
const LOSS_DOUBTFUL: f64 = 0.06;
/// Attempts at most: together they divide whatever lies between the two ends by more than is needed.
const STEPS: usize = 8;
const STEPS_QUICK: usize = 4;
/// The search ends when what is known to arrive and what is known not to are so near.
const NEAR: f64 = 1.05;
/// Seconds of an attempt.
const SECONDS: u32 = 2;
const SECONDS_QUICK: u32 = 1;

/// Datagrams of 64 bytes of payload.
pub(super) fn small(subject: &Subject<'_>) -> Figures {
    measure(subject, 64, 1e-3, [Figure::Udp64, Figure::Flood64])
}

/// Datagrams of 1200 bytes of payload.
pub(super) fn large(subject: &Subject<'_>) -> Figures {
    measure(subject, 1200, 1200.0 * 8.0 / 1e6, [Figure::Udp1200, Figure::Flood1200])
}

fn measure(subject: &Subject<'_>, size: u32, unit: f64, [best, flood]: [Figure; 2]) -> Figures {
    let seconds = if subject.is_quick { SECONDS_QUICK } else { SECONDS };
    let steps = if subject.is_quick { STEPS_QUICK } else { STEPS };
    let send = |pps: Option<f64>| {
        let [a, b] = subject.machines;
        // To iperf3 a rate of 0 is as fast as it can.
        let rate = pps.map_or(0, |pps| (pps * f64::from(size) * 8.0) as u64).to_string();
        let args = ["-u", "-l", &size.to_string(), "-b", &rate];
        let end = Iperf::start(a, b, subject.tunnel.targets[1], seconds, &args).end();
        Datagrams::read(&end).expect("iperf3 tells what was lost")
    };
    let flooded = send(None);
    let mut figures = vec![(flood, flooded.delivered_pps * unit)];
    figures.extend(search(flooded, steps, |pps| send(Some(pps))).map(|pps| (best, pps * unit)));
    figures
}

/// The most packets a second that arrive with less than [`LOSS_MAX`], by halving the ratio between a rate that should arrive and
/// that of a flood; none when no attempt arrived.
fn search(flood: Datagrams, steps: usize, mut send: impl FnMut(f64) -> Datagrams) -> Option<f64> {
    if flood.loss <= LOSS_MAX {
        return Some(flood.delivered_pps);
    }
    let (mut low, mut high) = (flood.delivered_pps.max(1000.0) / 2.0, flood.offered_pps);
    let mut best: Option<f64> = None;
    for _ in 0..steps {
        let pps = (low * high).sqrt();
        let mut tried = send(pps);
        if (LOSS_MAX..LOSS_DOUBTFUL).contains(&tried.loss) {
            tried = send(pps);
        }
        if tried.loss <= LOSS_MAX {
            best = Some(best.unwrap_or(0.0).max(tried.delivered_pps));
            low = pps;
        } else {
            high = pps;
            // Nothing below is known to arrive yet: look further down.
            if best.is_none() && high / low < NEAR {
                low /= 4.0;
            }
        }
        if best.is_some() && high / low < NEAR {
            break;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(offered: f64, delivered: f64) -> Datagrams {
        Datagrams { offered_pps: offered, delivered_pps: delivered, loss: 1.0 - delivered / offered }
    }

    /// What is found of a tunnel that carries so much, and so much when more is offered.
    fn found(capacity: f64, overloaded: f64) -> Option<f64> {
        let send = |pps: f64| arrived(pps, if pps <= capacity { pps } else { overloaded });
        search(send(200_000.0), STEPS, send)
    }

    #[test]
    fn the_highest_rate_is_found_whether_a_flood_collapses_or_not() {
        for (capacity, overloaded) in [(50_000.0, 50_000.0), (50_000.0, 9_000.0), (120_000.0, 30_000.0)] {
            let found = found(capacity, overloaded).unwrap();
            assert!(found <= capacity && found > capacity / 1.06, "{capacity} {overloaded}: {found}");
        }
        assert_eq!(found(300_000.0, 0.0), Some(200_000.0), "a flood that arrives is the best there is");
        assert_eq!(found(1.0, 0.0), None);
    }

    #[test]
    fn what_one_stall_lost_is_tried_again() {
        let mut stalls = 1;
        let found = search(arrived(100_000.0, 40_000.0), STEPS, |pps| {
            let stalled = pps <= 60_000.0 && stalls > 0;
            stalls -= i32::from(stalled);
            arrived(
                pps,
                if pps > 60_000.0 {
                    30_000.0
                } else if stalled {
                    pps * 0.97
                } else {
                    pps
                },
            )
        });
        assert!(found.unwrap() > 56_000.0, "{found:?}");
    }
}
