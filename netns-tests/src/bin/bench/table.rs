//! The table: a line for each figure, a column for each peer, and behind each value the ratio to one of them.

use std::fmt::Write as _;

use crate::figure::{Figure, Samples};
use crate::peers::Peer;

/// In Markdown. A peer of which nothing was measured has a column of dashes.
pub(crate) fn table(columns: &[(&Peer, &Samples)], reference: &Peer) -> String {
    let names: Vec<&str> = columns.iter().map(|(peer, _)| peer.name).collect();
    let mut text = format!("| median, and ratio to {} | {} |\n", reference.name, names.join(" | "));
    text += &format!("|---|{}\n", "---|".repeat(columns.len()));
    let theirs = columns.iter().find(|(peer, _)| peer.name == reference.name).map(|(_, samples)| *samples);
    for (figure, name, decimals) in Figure::ALL {
        if columns.iter().all(|(_, samples)| samples.median(figure).is_none()) {
            continue;
        }
        let cell = |(peer, samples): &(&Peer, &Samples)| {
            let value = samples.median(figure)?;
            let other = theirs.filter(|_| peer.name != reference.name && figure != Figure::Foreign);
            let ratio = other.and_then(|theirs| samples.ratio(figure, theirs));
            Some(with_ratio(value, decimals, ratio))
        };
        let cells = columns.iter().map(|column| cell(column).unwrap_or_else(|| "–".to_owned()));
        let _never_fails = writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

fn with_ratio(value: f64, decimals: usize, ratio: Option<f64>) -> String {
    ratio.map_or_else(|| format!("{value:.decimals$}"), |ratio| format!("{value:.decimals$} (×{ratio:.2})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::named;

    #[test]
    fn lines_are_figures_and_columns_peers() {
        let (mut ours, mut theirs, none) = (Samples::default(), Samples::default(), Samples::default());
        ours.add(0, &vec![(Figure::Tcp, 5.0), (Figure::PingP50, 100.0), (Figure::Foreign, 1.0)]);
        theirs.add(0, &vec![(Figure::Tcp, 2.0), (Figure::Foreign, 2.0)]);
        let [hopmesh, fastd, veth] = ["hopmesh", "fastd", "veth"].map(|name| named(name).unwrap());
        let text = table(&[(veth, &none), (hopmesh, &ours), (fastd, &theirs)], fastd);
        let expected = "\
| median, and ratio to fastd | veth | hopmesh | fastd |
|---|---|---|---|
| TCP, 1 stream, Gbit/s | – | 5.00 (×2.50) | 2.00 |
| ping p50, µs | – | 100 | – |
| foreign load, % of the machine | – | 1.0 | 2.0 |
";
        assert_eq!(text, expected);
    }
}
