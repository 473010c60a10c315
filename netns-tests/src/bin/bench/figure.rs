//! The figures of the table, and what is kept of each.

use std::collections::BTreeMap;

use netns_tests::median;

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    Tcp,
    TcpReverse,
    TcpFour,
    CpuPerGb,
    Udp64,
    Flood64,
    Udp1200,
    Flood1200,
    SojournP50,
    SojournP99,
    PingP50,
    PingP99,
    RssIdle,
    RssPeak,
    IdleCpu,
    Foreign,
}

impl Figure {
    /// In the order of the table: what it is called there, and how many decimals it has.
    pub(crate) const ALL: [(Self, &'static str, usize); 16] = [
        (Self::Tcp, "TCP, 1 stream, Gbit/s", 2),
        (Self::TcpReverse, "TCP, 1 stream, reverse, Gbit/s", 2),
        (Self::TcpFour, "TCP, 4 streams, Gbit/s", 2),
        (Self::CpuPerGb, "CPU of both daemons, s/GB", 2),
        (Self::Udp64, "64-byte UDP at < 1 % loss, kpps", 0),
        (Self::Flood64, "64-byte UDP, what arrives of a flood, kpps", 0),
        (Self::Udp1200, "1200-byte UDP at < 1 % loss, Mbit/s", 0),
        (Self::Flood1200, "1200-byte UDP, what arrives of a flood, Mbit/s", 0),
        (Self::SojournP50, "ping p50 under a flood, ms", 2),
        (Self::SojournP99, "ping p99 under a flood, ms", 2),
        (Self::PingP50, "ping p50, µs", 0),
        (Self::PingP99, "ping p99, µs", 0),
        (Self::RssIdle, "RSS idle, MB", 1),
        (Self::RssPeak, "RSS peak after load, MB", 1),
        (Self::IdleCpu, "CPU idle, % of a core", 3),
        (Self::Foreign, "foreign load, % of the machine", 1),
    ];

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(figure, ..)| *figure == self).expect("all are listed").1
    }
}

/// What one measurement gave.
pub(crate) type Figures = Vec<(Figure, f64)>;

/// The figures of one peer, by round.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<Figure, BTreeMap<usize, f64>>);

impl Samples {
    /// Keeps the figures of a round.
    pub(crate) fn add(&mut self, round: usize, figures: &Figures) {
        for (figure, value) in figures {
            self.0.entry(*figure).or_default().insert(round, *value);
        }
    }

    /// Was anything measured?
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The middle of all rounds.
    pub(crate) fn median(&self, figure: Figure) -> Option<f64> {
        Some(median(&self.0.get(&figure)?.values().copied().collect::<Vec<_>>()))
    }

    /// The middle of the ratios to another peer, each within a round: what disturbed a round disturbed both.
    pub(crate) fn ratio(&self, figure: Figure, reference: &Self) -> Option<f64> {
        let theirs = reference.0.get(&figure)?;
        let pairs =
            self.0.get(&figure)?.iter().filter_map(|(round, value)| Some((value, theirs.get(round)?)));
        let ratios: Vec<f64> =
            pairs.filter(|(_, their)| **their > 0.0).map(|(our, their)| our / their).collect();
        (!ratios.is_empty()).then(|| median(&ratios))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_the_same_rounds_and_the_middle_of_them() {
        let (mut ours, mut theirs) = (Samples::default(), Samples::default());
        for (round, value) in [(0, 2.0), (1, 12.0), (2, 9.0), (4, 100.0)] {
            ours.add(round, &vec![(Figure::Tcp, value)]);
        }
        for (round, value) in [(0, 1.0), (1, 3.0), (2, 3.0), (3, 50.0)] {
            theirs.add(round, &vec![(Figure::Tcp, value)]);
        }
        assert_eq!((ours.median(Figure::Tcp), ours.ratio(Figure::Tcp, &theirs)), (Some(10.5), Some(3.0)));
        assert_eq!((ours.median(Figure::Udp64), ours.ratio(Figure::Udp64, &theirs)), (None, None));
        theirs.add(0, &vec![(Figure::IdleCpu, 0.0)]);
        ours.add(0, &vec![(Figure::IdleCpu, 1.0)]);
        assert_eq!(ours.ratio(Figure::IdleCpu, &theirs), None);
    }
}
