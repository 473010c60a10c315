//! What the overlay costs: a packet, a stranger's datagram, a handshake, a credential.
//!
//! Beside the sealing of a packet stands `ring` alone with the same bytes: the difference is Hopmesh.

mod fastpath;
mod pair;
mod slowpath;

fn main() {
    divan::main();
}
