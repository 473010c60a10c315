//! What must never be read on the wire: keys, the network secret, the marks of inner packets.

use std::collections::BTreeMap;

/// Byte strings, found by their first two bytes.
#[derive(Default)]
pub(crate) struct Secrets(BTreeMap<[u8; 2], Vec<(&'static str, Vec<u8>)>>, Vec<u64>);

impl Secrets {
    /// Adds one of at least two bytes.
    pub(crate) fn add(&mut self, what: &'static str, bytes: &[u8]) {
        let head = [bytes[0], bytes[1]];
        let list = self.0.entry(head).or_default();
        if !list.iter().any(|(_, known)| known == bytes) {
            list.push((what, bytes.to_vec()));
        }
        self.1.resize(1024, 0);
        let bit = usize::from(u16::from_be_bytes(head));
        self.1[bit / 64] |= 1 << (bit % 64);
    }

    /// Which of them stands in these bytes.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let mut bit = 0usize;
        for (at, byte) in bytes.iter().enumerate() {
            bit = (bit << 8 | usize::from(*byte)) & 0xffff;
            if at > 0 && self.1.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1) {
                let rest = &bytes[at - 1..];
                let list = self.0.get(&[rest[0], rest[1]]).into_iter().flatten();
                if let Some((what, _)) = list.clone().find(|(_, secret)| rest.starts_with(secret)) {
                    return Some(what);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_it_stands() {
        let mut secrets = Secrets::default();
        assert_eq!(secrets.found_in(b"anything"), None);
        secrets.add("key", b"abcdef");
        secrets.add("other key", b"abcxyz");
        for at in 0..50 {
            let text = [vec![b'a'; at], b"abcdef".to_vec(), vec![0; 3]].concat();
            assert_eq!(secrets.found_in(&text), Some("key"), "{at}");
            assert_eq!(secrets.found_in(&text[..at + 5]), None, "{at}");
        }
        assert_eq!(secrets.found_in(b"--abcxyz"), Some("other key"));
    }
}
