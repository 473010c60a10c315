//! Randomness from the kernel: the only source of keys, secrets and of every seeded generator below `src/`.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// 32 random bytes, to seed a generator with.
#[must_use]
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    fill(&mut seed);
    seed
}

/// Fills `bytes` with random ones. Waits, at the very start of a machine, until the kernel has gathered enough.
pub fn fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            // A node without randomness must not run: there is nothing to fall back to.
            Err(error) => panic!("the kernel gives no random bytes (getrandom: {error})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_seeds_are_alike() {
        assert_ne!(seed(), seed());
    }

    #[test]
    fn all_of_a_long_buffer_is_filled() {
        let mut bytes = vec![0; 100_000];
        fill(&mut bytes);
        assert!(bytes.chunks(64).all(|part| part.iter().any(|b| *b != 0)));
    }
}
