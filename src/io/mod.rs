//! All access to the operating system: TUN, UDP, streams, netlink, clock, entropy, process and lock.
//!
//! The one place that may assume Linux. Everything here is a thin, tested face on a system call: no decision is
//! taken, no message is parsed, and what goes wrong comes back as a closed error that says what to do about it.

pub mod clock;
pub mod dns;
pub mod entropy;
mod epoll;
pub mod front;
pub mod host;
pub mod inspect;
pub mod lock;
pub mod loopback;
pub mod mark;
pub mod multicast;
pub mod netlink;
pub mod nftables;
pub mod notify;
pub mod poll;
pub mod program;
pub mod stream;
pub mod tun;
pub mod udp;
