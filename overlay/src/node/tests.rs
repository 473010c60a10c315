//! Tests of the Node through its public API, over a wire in memory.

mod enrolment;
mod handshake;
pub(crate) mod lab;
mod session;
mod staged;
