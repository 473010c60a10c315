//! Every deadline and limit of this folder, with its why. All descriptors together are 768 at most: a process that nobody has
//! given more has 1024.

use std::time::Duration;

/// Fronts of a node: each has up to four sockets, one for each address and each of two interfaces.
pub(super) const FRONTS_MAX: usize = 32;
/// Connections of all fronts: each is two descriptors, and up to 64 KiB of what is on its way.
pub(super) const CONNECTIONS_MAX: usize = 256;
/// Connections of one front, so that no service takes all of them: printers and the like take fewer.
pub(super) const CONNECTIONS_PER_FRONT_MAX: usize = 128;
/// Connections of one source, at all fronts: a browser opens six, and one member must not keep others out.
pub(super) const CONNECTIONS_PER_SOURCE_MAX: usize = 32;
/// Bytes read at once, in each direction of a connection.
pub(super) const CHUNK_LENGTH: usize = 16 * 1024;

/// Clients of all fronts that speak UDP: each is a descriptor.
pub(super) const ASSOCIATIONS_MAX: usize = 128;
/// Clients of one front.
pub(super) const ASSOCIATIONS_PER_FRONT_MAX: usize = 64;
/// Ports of one source at one address: a program that takes a new one for each question gives up its oldest.
pub(super) const ASSOCIATIONS_PER_SOURCE_MAX: usize = 16;
/// How long a client that speaks UDP, and is silent, gets answers (RFC 4787 REQ-5: two minutes at least).
pub(super) const ASSOCIATION_IDLE: Duration = Duration::from_secs(120);
/// Datagrams of one client that wait until the target's name is resolved.
pub(super) const WAITING_MAX: usize = 16;
/// Bytes of all datagrams that wait: a resolver that does not answer makes nobody's memory.
pub(super) const WAITING_LENGTH_MAX: usize = 1 << 20;
/// Longest datagram, in bytes: the most that UDP over IPv4 has.
pub(super) const DATAGRAM_LENGTH_MAX: usize = 65_507;

/// Answers passed on to one client before the others get their turn.
pub(super) const BATCH: usize = 64;

/// Names of targets that are resolved at the same time: each is a thread for as long as the host's resolver takes.
pub(super) const RESOLVING_MAX: usize = 8;
/// How long it may take to resolve a name: resolvers ask a second server after 5 s.
pub(super) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(8);
/// How long one address may take to answer: a host beside us that is there does within a second.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Addresses of a name that are tried.
pub(super) const ADDRESSES_MAX: usize = 4;
/// Time to the next attempt when a socket gives nothing, as when descriptors have run out.
pub(super) const SOCKET_AGAIN: Duration = Duration::from_millis(200);
/// How long a front that is closed is waited for when its port is wanted again: its thread ends it within a millisecond, unless the
/// machine is busy.
pub(super) const CLOSING_PATIENCE: Duration = Duration::from_millis(500);
