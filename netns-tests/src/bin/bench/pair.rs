//! Two ways to do the same, measured in turn within each round, so that whatever else the machine does hits both.

use netns_tests::median;

use crate::arguments::Arguments;
use crate::host;

/// What `measure` gives of each, by round; another one is first in each.
pub(crate) fn in_turn<T>(
    rounds: usize,
    names: [&str; 2],
    mut measure: impl FnMut(usize) -> T,
) -> [Vec<T>; 2] {
    let mut samples = [vec![], vec![]];
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            eprintln!("round {} of {rounds}: {}", round + 1, names[which]);
            samples[which].push(measure(which));
        }
    }
    samples
}

/// The median of a figure.
pub(crate) fn middle<T>(samples: &[T], of: impl Fn(&T) -> f64) -> f64 {
    median(&samples.iter().map(of).collect::<Vec<_>>())
}

/// The median of the ratios of the second to the first within a round.
pub(crate) fn ratio<T>([first, second]: &[Vec<T>; 2], of: impl Fn(&T) -> f64) -> f64 {
    median(&second.iter().zip(first).map(|(ours, theirs)| of(ours) / of(theirs)).collect::<Vec<_>>())
}

/// The line below a table: how it was measured, `more` about that, and what others used of the machine.
pub(crate) fn foot<T>(
    arguments: &Arguments,
    more: &str,
    samples: &[Vec<T>; 2],
    foreign: impl Fn(&T) -> f64,
) -> String {
    let most = samples.iter().flatten().map(foreign).fold(0.0, f64::max) * 100.0;
    format!(
        "\n{} rounds in turn of {} s, cubic{more}. Others used at most {most:.1} % of the machine. {}\n",
        arguments.rounds,
        arguments.seconds,
        host::machine(),
    )
}
