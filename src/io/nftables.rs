//! Rules of nftables, by the program `nft`.

use super::program;

/// Gives the kernel a file of rules: all of it, or nothing.
///
/// # Errors
/// A sentence for people.
pub async fn apply(rules: &str) -> Result<(), String> {
    program::feed("nft", &["-f", "-"], rules).await
}

/// Rules that take a table of the family `inet` away, whether it is there or not.
#[must_use]
pub fn removal(table: &str) -> String {
    format!("table inet {table}\ndelete table inet {table}\n")
}
