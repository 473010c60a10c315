//! Hopmesh on a real machine: the only impure crate. Clock, sockets, TUN, files and the operating
//! system live here; every decision is made below, in `overlay`.

pub mod cli;
pub mod control;
pub mod daemon;
pub mod discovery;
pub mod dns;
pub mod doctor;
pub mod exit;
pub mod forwarding;
pub mod front;
mod guests;
pub mod health;
pub mod io;
pub mod metrics;
pub mod paths;
pub mod reach;
pub mod redact;
pub mod resolver;
pub mod store;
pub mod systemd;
