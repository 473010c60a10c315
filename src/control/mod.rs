//! The gRPC server on the daemon's unix socket.
//!
//! It checks who calls (`door`), parses what is asked (`service`) and passes it to the control
//! thread as a [`Request`] through a bounded channel; it never decides anything about the network and
//! never touches the node. The straight line of one call:
//!
//! 1. [`Socket::bind`] makes the socket, 0660, group `hopmesh` where that group exists;
//! 2. [`serve`] accepts, within `CONNECTIONS_MAX`, and notes who is at the other end;
//! 3. the door lets root, the daemon's own user and members of the group pass;
//! 4. the service parses the message into a [`Command`] and awaits the [`Reply`] or [`Refusal`].
//!
//! What names mean is a value, the [`overlay::Zone`]: the service is given it and makes answers of it itself (`zone`),
//! one after the other for those who watch (`watch`).

mod accounts;
mod door;
mod publication;
mod request;
mod server;
mod service;
mod socket;
#[cfg(test)]
mod tests;
mod watch;
mod zone;

pub use request::{
    Command, REQUESTS_MAX, Refusal, RefusalKind, Reply, Request, Role, Targets, WATCHERS_MAX, Watching,
    ZONES_MAX,
};
pub use server::serve;
pub use socket::{Socket, SocketError};

/// The group whose members may control daemons without being root.
pub const GROUP: &str = "hopmesh";

/// What a user is told who is neither root nor in [`GROUP`].
#[must_use]
pub fn not_permitted(network: &str) -> String {
    format!("this user may not control network {network}: run as root or join the group {GROUP}")
}
