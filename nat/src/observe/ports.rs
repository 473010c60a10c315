//! Which ports a NAT gives to mappings, from a number of them in the order in which they were made.

use crate::limits::{BLOCK_MAX, SAMPLES_FEW, SAMPLES_MANY, SEQUENCE_GAP_MAX};
use std::collections::BTreeSet;
use wire::Ports;

/// Sequence, block or random; unknown while there are too few to tell. Those of fresh sockets, made one after the other,
/// tell a sequence better than those of the main socket, between which time has passed.
pub(super) fn allocation(main: &[u16], samples: &[u16]) -> Ports {
    let distinct = |seen: &[u16]| seen.iter().copied().collect::<BTreeSet<u16>>().len();
    let series = if distinct(samples) >= usize::from(SAMPLES_FEW) { samples } else { main };
    if distinct(series) < usize::from(SAMPLES_FEW) {
        return Ports::Unknown;
    }
    if let Some(step) = step(series) {
        return Ports::Sequential { step };
    }
    let all: BTreeSet<u16> = main.iter().chain(samples).copied().collect();
    if all.len() < usize::from(SAMPLES_MANY) {
        return Ports::Unknown;
    }
    block(&all.into_iter().collect::<Vec<_>>())
}

/// The step, when most ports have another shortly after them, and were seen in that order for the most part: answers
/// overtake each other, but ports of a small block that come at random have no order at all.
fn step(series: &[u16]) -> Option<i16> {
    let first = *series.first()?;
    let mut offsets: Vec<i32> = Vec::with_capacity(series.len());
    for port in series {
        let offset = i32::from(port.wrapping_sub(first).cast_signed());
        if !offsets.contains(&offset) {
            offsets.push(offset);
        }
    }
    let order: i32 = (1..offsets.len())
        .map(|later| offsets[..later].iter().map(|earlier| (offsets[later] - earlier).signum()).sum::<i32>())
        .sum();
    let pairs = i32::try_from(offsets.len() * (offsets.len() - 1) / 2).ok()?;
    offsets.sort_unstable();
    let near = || {
        let gaps = offsets.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.filter(|gap| (1..=i32::from(SEQUENCE_GAP_MAX)).contains(gap))
    };
    let is_sequence = 4 * near().count() >= 3 * (offsets.len() - 1) && 2 * order.abs() >= pairs;
    let step = i16::try_from(near().min()?).ok()?;
    is_sequence.then_some(if order < 0 { -step } else { step })
}

/// Where the block is of which these are a part: ports drawn from `n` span `n·(k−1)/(k+1)` on average. Providers hand
/// blocks out in powers of two, from a multiple of their size.
fn block(sorted: &[u16]) -> Ports {
    let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
    let count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
    let estimate = (u32::from(last - first) + 1) * (count + 1) / (count - 1);
    if estimate > BLOCK_MAX {
        return Ports::Random;
    }
    let size = estimate.next_power_of_two().max(2);
    for size in [size / 2, size] {
        let begin = u32::from(first) / size * size;
        if u32::from(last) < begin + size {
            let first = u16::try_from(begin).expect("not above a port").max(1);
            return Ports::Block { first, last: u16::try_from(begin + size - 1).unwrap_or(u16::MAX) };
        }
    }
    let margin = u16::try_from(2 * estimate / (count + 1)).unwrap_or(u16::MAX);
    Ports::Block { first: first.saturating_sub(margin).max(1), last: last.saturating_add(margin) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::punch::Shuffle;

    fn drawn(first: u16, last: u16, count: usize, seed: u64) -> Vec<u16> {
        Shuffle::new(seed).ports((first..=last).collect(), count)
    }

    #[test]
    fn sequences_are_seen_through_reordering_other_traffic_and_the_end_of_the_range() {
        for (seen, step) in [
            (&[100u16, 101, 102, 103][..], 1),
            (&[100, 102, 101, 103, 104], 1),
            (&[100, 102, 104, 106], 2),
            (&[100, 101, 117, 118, 120], 1),
            (&[106, 104, 102, 100], -2),
            (&[65_534, 65_535, 0, 1, 2], 1),
            (&[130, 132, 131, 133, 136, 137, 135, 134], 1),
            (&[100, 101, 101, 100, 102, 103], 1),
        ] {
            assert_eq!(allocation(&[], seen), Ports::Sequential { step }, "{seen:?}");
        }
    }

    #[test]
    fn few_ports_tell_nothing() {
        assert_eq!(allocation(&[], &[]), Ports::Unknown);
        assert_eq!(allocation(&[], &[5, 5, 5, 5, 5]), Ports::Unknown);
        assert_eq!(allocation(&[], &[5, 6, 7]), Ports::Unknown);
        assert_eq!(allocation(&[], &drawn(1024, u16::MAX, 23, 1)), Ports::Unknown);
    }

    #[test]
    fn blocks_are_found_with_their_bounds() {
        for (first, last) in [(10_240, 10_751), (10_240, 12_287), (64_512, 65_535), (1024, 2047)] {
            let found =
                |seed: &u64| allocation(&[], &drawn(first, last, 48, *seed)) == Ports::Block { first, last };
            let right = (0..200).filter(found).count();
            assert!(right > 180, "{first} to {last}: {right} of 200");
        }
    }

    #[test]
    fn a_block_at_an_odd_place_is_covered() {
        let covers = |seed: &u64| {
            let found = allocation(&[], &drawn(10_000, 10_999, 48, *seed));
            let Ports::Block { first, last } = found else { panic!("{found:?}") };
            first <= 10_025 && last >= 10_974 && last - first < 1150
        };
        let right = (0..200).filter(covers).count();
        assert!(right > 160, "{right} of 200");
    }

    #[test]
    fn all_ports_are_no_block() {
        for seed in 0..200 {
            assert_eq!(allocation(&[], &drawn(1024, u16::MAX, 24, seed)), Ports::Random);
        }
    }
}
