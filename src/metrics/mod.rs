//! Metrics: what a node counts, as Prometheus reads it.
//!
//! Everything is read from counters and views that are there anyway, at the moment of the scrape: nobody who scrapes costs a
//! packet anything. The straight line: [`render`] writes families of samples from what is [`Observed`], the control socket
//! gives the text (`hopmesh metrics`), and [`serve`] does so over HTTP where the configuration names a loopback port.
//!
//! A name once given is never given another meaning: dashboards are built on it.

mod exposition;
mod listener;
mod node;
mod tally;
#[cfg(test)]
mod tests;

pub use listener::{Listener, ListenerError, serve};
pub use node::{Fronted, Observed, PEERS_MAX, render};
pub use tally::Tally;
