//! What `src/io` and `src/store` do with the privileges of a daemon: real interfaces, addresses, routes, full disks.
//!
//! Needs root: each test moves a thread of its own into new namespaces, where it harms nobody.

#![expect(clippy::unwrap_used, reason = "in a test, a panic that names the line is what is wanted")]

mod dns;
mod multicast;
mod namespace;
mod netlink;
mod store;
mod tun;
mod udp;
