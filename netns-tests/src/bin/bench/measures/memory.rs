//! Memory of the larger of the two daemons.

use netns_tests::{peak_rss_kib, rss_kib};

use super::Subject;
use crate::figure::{Figure, Figures};

/// As it comes up.
pub(super) fn idle(subject: &Subject<'_>) -> Figures {
    largest(subject, Figure::RssIdle, rss_kib)
}

/// The most there ever was.
pub(super) fn peak(subject: &Subject<'_>) -> Figures {
    largest(subject, Figure::RssPeak, peak_rss_kib)
}

fn largest(subject: &Subject<'_>, figure: Figure, kib: fn(u32) -> u64) -> Figures {
    let largest = subject.tunnel.daemons.iter().map(|pid| kib(*pid)).max();
    largest.map(|kib| (figure, kib as f64 * 1024.0 / 1e6)).into_iter().collect()
}
