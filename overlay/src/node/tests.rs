//! Tests of the Node through its public API, over a wire in memory.

mod clock;
mod command;
mod confirmation;
mod discovery;
mod enrolment;
mod epoch;
mod exit;
mod exit_share;
mod flood;
mod guest;
mod handshake;
mod idle;
mod impostor;
pub(crate) mod lab;
mod mailbox;
mod path_mtu;
mod policy;
mod record;
mod revision;
mod route;
mod service;
mod session;
mod share;
mod staged;
mod stream;
mod version;
mod vouch;
