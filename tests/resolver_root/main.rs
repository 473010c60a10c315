//! What `src/resolver` does to the resolvers of real hosts: Debian's systemd-resolved, both programs named resolvconf, the
//! C library with a bare resolv.conf, and a NetworkManager that is ours.
//!
//! Needs root: each test is alone in namespaces, on a root directory whose changes are in memory, so that the machine's
//! own resolver is out of reach. Packages are unpacked there; `cargo xtask test netns` downloads them.

#![expect(clippy::unwrap_used, reason = "in a test, a panic that names the line is what is wanted")]

mod bus;
mod file;
mod killed;
mod machine;
mod network_manager;
mod resolvconf;
mod resolved;
mod server;
#[path = "../../src/dns/world.rs"]
mod world;
