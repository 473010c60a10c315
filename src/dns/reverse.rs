//! Reverse names: addresses, or the beginnings of such, spelled backwards (RFC 1035 section 3.5, RFC 3596 section 2.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address, or the beginning of one, as a reverse name spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reverse {
    /// The address; bits that the name does not spell are zero.
    pub(super) address: IpAddr,
    /// How many bits the name spells.
    pub(super) bits: u8,
    /// Whether labels follow that spell nothing.
    pub(super) has_more: bool,
}

impl Reverse {
    /// Reads a name in lower case; `None` where it ends neither in `in-addr.arpa` nor in `ip6.arpa`.
    pub(super) fn parse(labels: &[&str]) -> Option<Self> {
        match labels {
            [labels @ .., "in-addr", "arpa"] => Some(Self::parse_v4(labels)),
            [labels @ .., "ip6", "arpa"] => Some(Self::parse_v6(labels)),
            _ => None,
        }
    }

    /// The last address that the name may mean; the first is `address`.
    pub(super) fn last(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(first) => {
                let rest = u32::MAX.checked_shr(u32::from(self.bits)).unwrap_or(0);
                Ipv4Addr::from_bits(first.to_bits() | rest).into()
            }
            IpAddr::V6(first) => {
                let rest = u128::MAX.checked_shr(u32::from(self.bits)).unwrap_or(0);
                Ipv6Addr::from_bits(first.to_bits() | rest).into()
            }
        }
    }

    /// Whether the name spells a whole address.
    pub(super) fn is_whole(&self) -> bool {
        self.bits == if self.address.is_ipv6() { 128 } else { 32 }
    }

    fn parse_v4(labels: &[&str]) -> Self {
        let octet = |label: &&str| label.parse::<u8>().ok().filter(|octet| octet.to_string() == **label);
        let octets: Vec<u8> = labels.iter().rev().take(4).map_while(octet).collect();
        let mut whole = [0; 4];
        whole[..octets.len()].copy_from_slice(&octets);
        let bits = u8::try_from(octets.len() * 8).expect("at most four octets");
        Self { address: Ipv4Addr::from(whole).into(), bits, has_more: labels.len() > octets.len() }
    }

    fn parse_v6(labels: &[&str]) -> Self {
        let nibble = |label: &&str| match label.as_bytes() {
            [digit] => char::from(*digit).to_digit(16),
            _ => None,
        };
        let nibbles: Vec<u32> = labels.iter().rev().take(32).map_while(nibble).collect();
        let whole = nibbles.iter().enumerate();
        let whole = whole.fold(0, |whole, (at, nibble)| whole | u128::from(*nibble) << (124 - at * 4));
        let bits = u8::try_from(nibbles.len() * 4).expect("at most 32 nibbles");
        Self { address: Ipv6Addr::from_bits(whole).into(), bits, has_more: labels.len() > nibbles.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_spell_addresses_backwards() {
        let parse = |name: &str| Reverse::parse(&name.split('.').collect::<Vec<_>>());
        let whole = parse("4.3.77.10.in-addr.arpa").unwrap();
        assert_eq!(whole.address, "10.77.3.4".parse::<IpAddr>().unwrap());
        assert!(whole.is_whole() && !whole.has_more && whole.last() == whole.address);
        let part = parse("77.10.in-addr.arpa").unwrap();
        assert_eq!((part.bits, part.is_whole(), part.has_more), (16, false, false));
        assert_eq!(part.last(), "10.77.255.255".parse::<IpAddr>().unwrap());
        let everything = parse("ip6.arpa").unwrap();
        assert_eq!((everything.bits, everything.last()), (0, IpAddr::from([0xff; 16])));
        let whole = format!("{}7.7.d.f.ip6.arpa", "1.".to_owned() + &"0.".repeat(27));
        assert_eq!(parse(&whole).unwrap().address, "fd77::1".parse::<IpAddr>().unwrap());
        assert!(parse(&whole).unwrap().is_whole());
        for (odd, bits) in [("256.10", 8), ("01.10", 8), ("+1.10", 8), ("x.4.3.2.1", 32), ("", 0)] {
            let reverse = parse(&format!("{odd}.in-addr.arpa")).unwrap();
            assert_eq!((reverse.bits, reverse.has_more), (bits, true), "{odd}");
        }
        assert_eq!(parse("in-addr.example"), None);
    }
}
