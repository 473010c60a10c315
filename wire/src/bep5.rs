//! A ping of BitTorrent's DHT (BEP 5) from our own data socket: the answer says where the socket is seen (BEP 42, `ip`).
//!
//! Any of millions of nodes can be asked, so a network with no anchor has STUN all the same. Only this one message and
//! its answer are known here. What a stranger says of our address is a claim: it counts when several agree.

use crate::Candidate;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a transaction id. The ids of our pings are random, so that nobody off the path can answer.
pub const TRANSACTION_LENGTH: usize = 4;
/// Bytes of the id of a DHT node; a random one serves for a ping.
pub const NODE_ID_LENGTH: usize = 20;
/// Longest answer in bytes; real ones have some 70.
pub const ANSWER_LENGTH_MAX: usize = 512;
/// Deepest nesting in an answer. A real one nests twice.
const DEPTH_MAX: usize = 4;
/// Longest integer in characters: a sign and the digits of 64 bits.
const INTEGER_LENGTH_MAX: usize = 20;

/// Writes a ping. It is marked read-only (BEP 43): who gets it shall not take our data socket for a DHT node.
#[must_use]
pub fn write_ping(transaction: [u8; TRANSACTION_LENGTH], id: &[u8; NODE_ID_LENGTH]) -> Vec<u8> {
    let parts: [&[u8]; 5] = [b"d1:ad2:id20:", id, b"e1:q4:ping2:roi1e1:t4:", &transaction, b"1:y1:qe"];
    parts.concat()
}

/// The answer to a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PingAnswer {
    /// The ping's.
    pub transaction: [u8; TRANSACTION_LENGTH],
    /// Where the answerer sees us.
    pub observed: Candidate,
}

impl PingAnswer {
    /// Reads an answer; `None` for anything else, and for answers that do not say where we are seen. Takes any bytes of
    /// any length.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > ANSWER_LENGTH_MAX {
            return None;
        }
        let mut reader = Reader(bytes);
        let (mut transaction, mut observed, mut is_answer, mut has_id) = (None, None, false, false);
        reader.dictionary(|key, value| {
            match key {
                b"ip" => observed = Some(compact_address(value.whole_string()?)?),
                b"r" => value.dictionary(|key, value| {
                    if key == b"id" {
                        has_id = value.whole_string()?.len() == NODE_ID_LENGTH;
                    }
                    Some(())
                })?,
                b"t" => transaction = Some(value.whole_string()?.try_into().ok()?),
                b"y" => is_answer = value.whole_string()? == b"r",
                _ => {}
            }
            Some(())
        })?;
        let complete = reader.0.is_empty() && is_answer && has_id;
        complete.then_some(Self { transaction: transaction?, observed: observed? })
    }
}

/// A compact address of BEP 5 and BEP 32: 4 or 16 bytes of address, 2 of port.
fn compact_address(bytes: &[u8]) -> Option<Candidate> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    let address = match ip.len() {
        4 => SocketAddr::new(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(), port),
        16 => SocketAddr::new(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(), port),
        _ => return None,
    };
    Candidate::new(address)
}

/// What is still to be read of a bencoded value (BEP 3).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Hands each key with its value to `each`; keys must ascend, which makes them unique.
    fn dictionary(&mut self, mut each: impl FnMut(&'a [u8], &mut Reader<'a>) -> Option<()>) -> Option<()> {
        self.take(b'd')?;
        let mut last = None;
        while self.0.first() != Some(&b'e') {
            let key = self.string()?;
            if last.is_some_and(|last| last >= key) {
                return None;
            }
            last = Some(key);
            let before = self.0;
            self.skip(DEPTH_MAX)?;
            each(key, &mut Reader(&before[..before.len() - self.0.len()]))?;
        }
        self.take(b'e')
    }

    /// The string that is all there is.
    fn whole_string(&mut self) -> Option<&'a [u8]> {
        let string = self.string()?;
        self.0.is_empty().then_some(string)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (length, rest) = self.0.split_at(digits);
        // ANSWER_LENGTH_MAX has three digits.
        let canonical = (1..=3).contains(&digits) && (digits == 1 || length[0] != b'0');
        if !canonical || rest.first() != Some(&b':') {
            return None;
        }
        let length = length.iter().fold(0, |sum, digit| 10 * sum + usize::from(digit - b'0'));
        let (string, rest) = rest[1..].split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    fn integer(&mut self) -> Option<()> {
        self.take(b'i')?;
        let length = self.0.iter().position(|&byte| byte == b'e')?;
        let (text, rest) = self.0.split_at(length);
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let canonical = match digits {
            [b'0'] => text.len() == 1,
            [b'1'..=b'9', ..] => digits.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        self.0 = rest;
        (canonical && length <= INTEGER_LENGTH_MAX).then_some(())?;
        self.take(b'e')
    }

    fn skip(&mut self, depth: usize) -> Option<()> {
        let within = || depth.checked_sub(1);
        match self.0.first()? {
            b'0'..=b'9' => self.string().map(|_| ()),
            b'i' => self.integer(),
            b'l' => {
                let within = within()?;
                self.take(b'l')?;
                while self.0.first() != Some(&b'e') {
                    self.skip(within)?;
                }
                self.take(b'e')
            }
            b'd' => {
                let within = within()?;
                self.take(b'd')?;
                while self.0.first() != Some(&b'e') {
                    self.string()?;
                    self.skip(within)?;
                }
                self.take(b'e')
            }
            _ => None,
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        (first == byte).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &[u8; 20] = b"abcdefghij0123456789";

    fn observed(bytes: &[u8]) -> Option<String> {
        PingAnswer::parse(bytes).map(|answer| answer.observed.to_string())
    }

    fn answer(ip: &[u8]) -> Vec<u8> {
        let parts: [&[u8]; 6] = [b"d2:ip", ip, b"1:rd2:id20:", ID, b"e1:t4:wxyz1:v4:LT\x01\x021:y1:", b"re"];
        parts.concat()
    }

    #[test]
    fn a_ping_is_that_of_the_standard_and_read_only() {
        let ping = write_ping(*b"aaaa", ID);
        let golden = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping2:roi1e1:t4:aaaa1:y1:qe";
        assert_eq!(ping, golden);
        assert_eq!(PingAnswer::parse(&ping), None, "a question is no answer");
    }

    #[test]
    fn an_answer_tells_where_we_are_seen() {
        let v4 = answer(b"6:\xc0\x00\x02\x01\xa3\x5c");
        assert_eq!(observed(&v4).as_deref(), Some("192.0.2.1:41820"));
        assert_eq!(PingAnswer::parse(&v4).unwrap().transaction, *b"wxyz");
        let v6 = answer(b"18:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xa3\x5c");
        assert_eq!(observed(&v6).as_deref(), Some("[2001:db8::1]:41820"));
        for ip in
            [&b"4:\xc0\x00\x02\x01"[..], b"6:\0\0\0\0\xa3\x5c", b"6:\xc0\x00\x02\x01\0\0", b"i5e", b"0:"]
        {
            assert_eq!(observed(&answer(ip)), None, "{ip:?}");
        }
    }

    #[test]
    fn what_we_do_not_know_may_stand_anywhere_but_only_in_order() {
        let known = |more: &str| {
            let text = format!("d2:ip6:AAAAAA{more}1:rd2:id20:abcdefghij01234567891:pi-7ee1:t4:aaaa1:y1:re");
            PingAnswer::parse(text.as_bytes()).is_some()
        };
        for good in ["", "2:izi0e", "2:izli1el0:ed1:a1:bee", "2:izllleee", "2:izd1:ade1:bdee"] {
            assert!(known(good), "{good}");
        }
        for bad in [
            "2:ip6:AAAAAA",
            "1:ai1e",
            "2:izi01e",
            "2:izi-0e",
            "2:izie",
            "2:izi-e",
            "2:iz02:aa",
            "2:izi1",
            "2:iz",
            "2:izllllleeeee",
            "2:izi123456789012345678901e",
            "2:izx",
            "i1ei2e",
        ] {
            assert!(!known(bad), "{bad}");
        }
    }

    #[test]
    fn incomplete_foreign_and_damaged_answers_are_refused() {
        let good = answer(b"6:\xc0\x00\x02\x01\xa3\x5c");
        for length in 0..good.len() {
            assert_eq!(PingAnswer::parse(&good[..length]), None, "cut to {length}");
        }
        assert_eq!(PingAnswer::parse(&[&good[..], b"e"].concat()), None, "something stands behind it");
        for text in [
            "d1:rd2:id20:abcdefghij0123456789e1:t4:aaaa1:y1:re",
            "d2:ip6:AAAAAA1:rde1:t4:aaaa1:y1:re",
            "d2:ip6:AAAAAA1:rd2:id19:abcdefghij012345678e1:t4:aaaa1:y1:re",
            "d2:ip6:AAAAAA1:rd2:id20:abcdefghij0123456789e1:t2:aa1:y1:re",
            "d2:ip6:AAAAAA1:rd2:id20:abcdefghij0123456789e1:t4:aaaa1:y1:ee",
            "d1:eli201e5:Errore2:ip6:AAAAAA1:t4:aaaa1:y1:ee",
            "",
            "de",
            "le",
        ] {
            assert_eq!(PingAnswer::parse(text.as_bytes()), None, "{text}");
        }
        let nested = [&vec![b'l'; 65_000][..], &vec![b'e'; 65_000]].concat();
        assert_eq!(PingAnswer::parse(&nested), None);
    }

    #[test]
    fn any_changed_byte_is_refused_or_only_changes_what_is_said() {
        let good = answer(b"6:\xc0\x00\x02\x01\xa3\x5c");
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut changed = good.clone();
                changed[at] = byte;
                let parsed = PingAnswer::parse(&changed);
                assert!(parsed.is_none() || parsed.unwrap().observed.socket_address().port() != 0);
            }
        }
    }
}
