//! The client of the DHT against a DHT of twenty nodes on loopback, one of which is of another implementation.

#![expect(clippy::unwrap_used, reason = "in a test, a panic that names the line is what is wanted")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one event among all others")]

mod binary;
mod libtorrent;
mod network;
mod queries;
