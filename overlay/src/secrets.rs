//! The network secret of now, and those before it.
//!
//! A member that was away comes back with an earlier one. It is let in under that, within narrow limits, and is given the
//! latest: so earlier ones are kept, a bounded number for a bounded time.

use crate::limits::{EARLIER_SECRET_LIFE_S, EARLIER_SECRETS_MAX};
use wire::NetworkSecret;

/// A secret that was replaced.
#[derive(Debug, Clone)]
pub(crate) struct Earlier {
    pub(crate) secret: NetworkSecret,
    /// When it was replaced, seconds since 1970.
    pub(crate) until_s: u64,
}

/// The secrets that a member has.
#[derive(Debug, Clone)]
pub struct Secrets {
    current: NetworkSecret,
    /// The latest first, at most [`EARLIER_SECRETS_MAX`].
    earlier: Vec<Earlier>,
}

impl Secrets {
    /// One secret, and none before it.
    #[must_use]
    pub fn new(current: NetworkSecret) -> Self {
        Self { current, earlier: vec![] }
    }

    pub(crate) fn with_earlier(current: NetworkSecret, mut earlier: Vec<Earlier>) -> Self {
        earlier.truncate(EARLIER_SECRETS_MAX);
        Self { current, earlier }
    }

    /// The one in use.
    #[must_use]
    pub fn current(&self) -> &NetworkSecret {
        &self.current
    }

    pub(crate) fn earlier(&self) -> &[Earlier] {
        &self.earlier
    }

    /// All of them, the one in use first.
    pub fn all(&self) -> impl Iterator<Item = &NetworkSecret> {
        std::iter::once(&self.current).chain(self.earlier.iter().map(|earlier| &earlier.secret))
    }

    /// Takes a new secret into use at a time in seconds since 1970. Only now, when there is one more, is it looked at which are too old: a clock that is
    /// wrong for an hour must not cost a member its way back.
    pub fn replace(&mut self, secret: NetworkSecret, unix_s: u64) {
        self.earlier.retain(|earlier| earlier.secret.bytes() != secret.bytes());
        let last = std::mem::replace(&mut self.current, secret);
        self.earlier.insert(0, Earlier { secret: last, until_s: unix_s });
        self.earlier.retain(|earlier| earlier.until_s.saturating_add(EARLIER_SECRET_LIFE_S) > unix_s);
        self.earlier.truncate(EARLIER_SECRETS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(secrets: &Secrets) -> Vec<u32> {
        secrets.all().map(NetworkSecret::epoch).collect()
    }

    fn secret(epoch: u32) -> NetworkSecret {
        NetworkSecret::new(epoch, [epoch as u8; 32])
    }

    #[test]
    fn the_latest_are_kept_for_a_while() {
        let mut secrets = Secrets::new(secret(1));
        for epoch in 2..=40 {
            secrets.replace(secret(epoch), 1000);
        }
        let kept: Vec<u32> = (40 - EARLIER_SECRETS_MAX as u32..=40).rev().collect();
        assert_eq!(epochs(&secrets), kept);
        secrets.replace(secret(41), 1000 + EARLIER_SECRET_LIFE_S);
        assert_eq!(epochs(&secrets), [41, 40], "one that was in use until now is as young as can be");
    }

    #[test]
    fn a_secret_that_comes_into_use_again_is_no_earlier_one() {
        let mut secrets = Secrets::new(secret(1));
        secrets.replace(secret(2), 1);
        secrets.replace(secret(1), 2);
        assert_eq!(epochs(&secrets), [1, 2]);
    }
}
