//! CPU of a daemon whose tunnel carries nothing.

use std::time::Duration;

use netns_tests::cpu_seconds_exact;

use super::Subject;
use crate::figure::{Figure, Figures};

/// What a daemon still does on account of having come up is over by then.
const SETTLES: Duration = Duration::from_secs(2);
/// Long enough for what daemons do every ten seconds.
const LOOKS: Duration = Duration::from_secs(20);
const LOOKS_QUICK: Duration = Duration::from_secs(5);

/// The mean of both daemons, in per cent of a core.
pub(super) fn measure(subject: &Subject<'_>) -> Figures {
    let daemons = &subject.tunnel.daemons;
    if daemons.is_empty() {
        return Figures::new();
    }
    std::thread::sleep(SETTLES);
    let used = || daemons.iter().map(|pid| cpu_seconds_exact(*pid)).sum::<f64>();
    let before = used();
    let time = if subject.is_quick { LOOKS_QUICK } else { LOOKS };
    std::thread::sleep(time);
    let share = (used() - before) / daemons.len() as f64 / time.as_secs_f64();
    // A thread that ended meanwhile takes its time with it.
    vec![(Figure::IdleCpu, share.max(0.0) * 100.0)]
}
