//! What of a network's range is given away: addresses of nodes, and blocks that a node gives to its guests.

use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Length of the first block of a node: 16 guests are a household.
const FIRST_LENGTH: u8 = 28;
/// A block takes at most one part in 2^3 of the range.
const PART_BITS: u8 = 3;
/// All blocks of one node take at most one part in 2^2 of the range, so that some nodes with guests leave room for others.
const NODE_PART_BITS: u8 = 2;

/// What is given away of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Addresses of nodes, and those that are promised.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Blocks for guests.
    pub blocks: Vec<Ipv4Net>,
}

impl Taken {
    /// Whether an address is a node's, or in a block.
    #[must_use]
    pub fn holds(&self, address: &Ipv4Addr) -> bool {
        self.addresses.contains(address) || self.blocks.iter().any(|block| block.contains(address))
    }

    fn is_free(&self, block: Ipv4Net) -> bool {
        let overlaps = |other: &Ipv4Net| other.contains(&block) || block.contains(other);
        let inside = self.addresses.range(block.network()..=block.broadcast()).next();
        inside.is_none() && !self.blocks.iter().any(overlaps)
    }
}

/// A block for the guests of a node that has these already: as long as all of them together, but at least a /28 and at most an eighth
/// of the range; the highest that is free, because nodes get the lowest addresses. Nothing when none is free, or the node has
/// `most` addresses or a quarter of the range.
#[must_use]
pub fn allocate_block(range: Ipv4Net, own: &[Ipv4Net], taken: &Taken, most: u32) -> Option<Ipv4Net> {
    let range = range.trunc();
    let size = |length: u8| 1_u64 << (32 - length);
    let part = |bits: u8| range.prefix_len().saturating_add(bits).min(32);
    let held: u64 = own.iter().map(|block| size(block.prefix_len())).sum();
    let enough = size(part(NODE_PART_BITS)).min(most.into());
    let room = enough.checked_sub(held).filter(|room| *room > 0)?;
    let longest = part(PART_BITS);
    // As many bits as count the addresses of the block.
    let wanted = held.max(size(FIRST_LENGTH.max(longest))).min(room).ilog2() as u8;
    let length = (32 - wanted).max(longest);
    (length..=32).find_map(|length| highest_free(range, length, taken))
}

/// The highest block of a length in which nobody has an address, and which has neither the first nor the last one of the range.
fn highest_free(range: Ipv4Net, length: u8, taken: &Taken) -> Option<Ipv4Net> {
    let (first, last) = (u32::from(range.network()), u32::from(range.broadcast()));
    let size = 1_u64 << (32 - length);
    let block = |number: u64| {
        let network = u32::try_from(u64::from(first) + number * size).ok()?;
        Ipv4Net::new(network.into(), length).ok()
    };
    let count = (u64::from(last - first) + 1) / size;
    let is_inside =
        |block: &Ipv4Net| !block.contains(&range.network()) && !block.contains(&range.broadcast());
    (0..count).rev().filter_map(block).find(|block| is_inside(block) && taken.is_free(*block))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn taken(addresses: &[&str], blocks: &[&str]) -> Taken {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Taken { addresses, blocks: blocks.iter().map(|block| net(block)).collect() }
    }

    #[test]
    fn blocks_double_and_end_where_a_node_has_enough() {
        let (range, mut own, mut all) = (net("10.7.0.0/16"), vec![], taken(&["10.7.0.1"], &[]));
        while let Some(block) = allocate_block(range, &own, &all, 256) {
            own.push(block);
            all.blocks.push(block);
        }
        let texts: Vec<String> = own.iter().map(ToString::to_string).collect();
        let expected =
            ["10.7.255.224/28", "10.7.255.208/28", "10.7.255.160/27", "10.7.255.64/26", "10.7.254.128/25"];
        assert_eq!(texts, expected);
        assert_eq!(own.iter().map(|block| 1 << (32 - block.prefix_len())).sum::<u32>(), 256);
    }

    #[test]
    fn small_ranges_give_small_blocks_and_a_quarter_at_most() {
        for (range, blocks) in [
            ("10.7.0.0/24", vec!["10.7.0.224/28", "10.7.0.208/28", "10.7.0.160/27"]),
            ("10.7.0.0/26", vec!["10.7.0.48/29", "10.7.0.40/29"]),
            ("10.7.0.0/29", vec!["10.7.0.6/32", "10.7.0.5/32"]),
            ("10.7.0.0/30", vec!["10.7.0.2/32"]),
        ] {
            let (range, mut own, mut all) = (net(range), vec![], Taken::default());
            while let Some(block) = allocate_block(range, &own, &all, 256) {
                own.push(block);
                all.blocks.push(block);
            }
            assert_eq!(own.iter().map(ToString::to_string).collect::<Vec<_>>(), blocks, "{range}");
        }
    }

    #[test]
    fn nobodys_address_is_in_a_block_and_blocks_do_not_overlap() {
        let all = taken(&["10.7.0.230", "10.7.0.1"], &["10.7.0.208/28"]);
        assert_eq!(allocate_block(net("10.7.0.0/24"), &[], &all, 256), Some(net("10.7.0.192/28")));
        let full = taken(&[], &["10.7.0.0/24"]);
        assert_eq!(allocate_block(net("10.7.0.0/24"), &[], &full, 256), None);
        // Where no whole block is left, what is left is given.
        let crowded: Vec<String> = (1..255).step_by(2).map(|n| format!("10.7.0.{n}")).collect();
        let crowded = taken(&crowded.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        assert_eq!(allocate_block(net("10.7.0.0/24"), &[], &crowded, 256), Some(net("10.7.0.254/32")));
        assert!(all.holds(&"10.7.0.215".parse().unwrap()) && all.holds(&"10.7.0.1".parse().unwrap()));
        assert!(!all.holds(&"10.7.0.2".parse().unwrap()));
    }
}
