//! Rules of nftables, by the program `nft`; and when somebody has changed any.

use std::io;

use rustix::net::netlink;

use super::netlink::Changes;
use super::program;

/// `NFNLGRP_NFTABLES` of linux/netfilter/nfnetlink.h, 7, as a bit.
const GROUP: u32 = 1 << 6;

/// Gives the kernel a file of rules: all of it, or nothing.
///
/// # Errors
/// A sentence for people.
pub async fn apply(rules: &str) -> Result<(), String> {
    program::feed("nft", &["-f", "-"], rules).await
}

/// Gives the kernel the rules of a table of the family `inet` again where that is gone, and says whether it was. Where that cannot be
/// told it may be.
///
/// # Errors
/// A sentence for people.
pub async fn put_back(table: &str, rules: &str) -> Result<bool, String> {
    let is_there = program::feed("nft", &["list", "table", "inet", table], "").await.is_ok();
    if is_there { Ok(false) } else { apply(rules).await.map(|()| true) }
}

/// Notices that anybody's rules have changed; there are none where the kernel has no nftables, or we may not look.
#[derive(Debug)]
pub struct Notices(Option<Changes>);

impl Notices {
    /// From now on.
    #[must_use]
    pub fn open() -> Self {
        Self(Changes::open(Some(netlink::NETFILTER), GROUP).ok())
    }

    /// Waits for the next, as [`Changes::next`].
    ///
    /// # Errors
    /// As there.
    pub async fn next(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Some(changes) => changes.next().await,
            None => std::future::pending().await,
        }
    }
}

/// Rules that take a table of the family `inet` away, whether it is there or not.
#[must_use]
pub fn removal(table: &str) -> String {
    format!("table inet {table}\ndelete table inet {table}\n")
}
