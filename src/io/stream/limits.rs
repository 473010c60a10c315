//! Every limit and deadline of the streams.

use std::time::Duration;

/// Longest datagram, in bytes: what UDP's 16 bits of length allow.
pub const DATAGRAM_LENGTH_MAX: usize = 65_535;
/// Streams that others began. Each may make us hold two datagrams of the greatest length: 32 MiB in all.
pub const ACCEPTED_MAX: usize = 256;
/// Of those, from one IPv4 address or one /64 of IPv6: a company behind one address, but no sixteenth of the places
/// for one attacker.
pub const ACCEPTED_PER_PREFIX_MAX: usize = 16;
/// Streams that we began: a node needs one to each of its three anchors, and some tries.
pub const DIALLED_MAX: usize = 16;
/// Connections taken at once from one prefix, after a pause.
pub(super) const PREFIX_BURST: u32 = 32;
/// How often the one prefix may have another: a client that is cut off comes back, but not more often.
pub(super) const PREFIX_INTERVAL: Duration = Duration::from_secs(1);
/// Connections taken at once from everywhere: half of a full house that comes back after an outage.
pub(super) const TOTAL_BURST: u32 = 128;
/// How often there may be another from anywhere. A handshake costs some 50 µs: at this rate a thousandth of a core.
pub(super) const TOTAL_INTERVAL: Duration = Duration::from_millis(50);
/// Prefixes whose rate is remembered. No more than `TOTAL_BURST` and those of the time in which one is forgotten
/// (32 s · 20 a second) can have been let in.
pub(super) const PREFIXES_MAX: usize = 1024;
/// Connections that the kernel keeps for us while we do something else.
pub(super) const BACKLOG: i32 = 64;
/// Pause after the system could give us no connection, so that a lack of descriptors does not take the core too.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest head of an HTTP request or response, in bytes: ours has 200; proxies may add to it.
pub(super) const HEAD_LENGTH_MAX: usize = 4096;
/// Most header lines in it.
pub(super) const HEADERS_MAX: usize = 32;

/// Events that wait for the control thread; beyond, connections are not read, and TCP tells the other ends to wait.
/// 8 MiB of the longest datagrams.
pub(super) const EVENTS_MAX: usize = 128;
/// Datagrams that wait for one connection.
pub(super) const QUEUE_LENGTH_MAX: usize = 512;
/// Bytes that wait for one connection: 100 ms at 20 Mbit/s. More would be delay that nobody wants.
pub(super) const QUEUE_BYTES_MAX: usize = 256 << 10;
/// Bytes that wait inside the kernel without having been sent, for the same reason.
pub(super) const UNSENT_MAX: u32 = 64 << 10;
/// Read at a time. Allocated for every connection that was upgraded, and grows to one datagram.
pub(super) const READ_SIZE: usize = 8 << 10;
/// Written at a time.
pub(super) const WRITE_SIZE: usize = 16 << 10;

/// The deadlines; a test may have shorter ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// From the TCP connection to the end of the upgrade, for who dials us: three round trips of a slow network.
    pub(super) handshake: Duration,
    /// From nothing to the end of the upgrade, where we dial: two lost SYNs (1 s, 2 s) and a slow network.
    pub(super) dial: Duration,
    /// With nothing received: three pings without an answer, and some.
    pub(super) idle: Duration,
    /// Between our pings, below the 30 s after which the strictest routers forget.
    pub(super) ping: Duration,
    /// With nothing taken by the other end.
    pub(super) write: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            dial: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            ping: Duration::from_secs(25),
            write: Duration::from_secs(30),
        }
    }
}
