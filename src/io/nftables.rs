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

/// Whether a table of the family `inet` is there. Where that cannot be told it may be gone.
pub async fn has(table: &str) -> bool {
    program::feed("nft", &["list", "table", "inet", table], "").await.is_ok()
}

/// Tells of changes of anybody's rules from now on.
///
/// # Errors
/// The kernel's own: it has no nftables, or we may not look.
pub fn changes() -> io::Result<Changes> {
    Changes::open(Some(netlink::NETFILTER), GROUP)
}

/// Rules that take a table of the family `inet` away, whether it is there or not.
#[must_use]
pub fn removal(table: &str) -> String {
    format!("table inet {table}\ndelete table inet {table}\n")
}
