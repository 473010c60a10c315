//! The trace: one hash over everything that happened, and the last lines of it for people.

use std::collections::VecDeque;
use std::time::Duration;

/// Lines that are kept for people.
const LINES_MAX: usize = 50_000;

/// A record of what happened. Two runs of one seed have the same hash.
#[derive(Default)]
pub struct Trace {
    hash: u64,
    lines: Option<VecDeque<String>>,
}

impl Trace {
    /// Keeps the last lines from now on.
    pub fn keep_lines(&mut self) {
        self.lines.get_or_insert_default();
    }

    /// The hash so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().flatten().map(String::as_str)
    }

    /// Notes what a machine did, with the bytes that it did it with.
    pub(crate) fn note(&mut self, at: Duration, machine: usize, what: &str, bytes: &[u8]) {
        self.mix(&at.as_nanos().to_be_bytes());
        self.mix(&[machine as u8]);
        self.mix(what.as_bytes());
        self.mix(bytes);
        if let Some(lines) = &mut self.lines {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(format!("{:10.6} m{machine} {what} [{}]", at.as_secs_f64(), bytes.len()));
        }
    }

    /// FNV-1a over eight bytes at a time.
    fn mix(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.hash ^= u64::from_le_bytes(word) ^ (chunk.len() as u64) << 56;
            self.hash = self.hash.wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
    }
}
