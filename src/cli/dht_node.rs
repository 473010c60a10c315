//! `dht-node`: a node of BitTorrent's DHT for networks that are cut off from the internet's.

use std::net::{Ipv4Addr, SocketAddrV4};

use clap::Args;
use config::{HostPort, LogLevel};
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use super::log;
use crate::discovery::dht_node;

/// Where it listens unless told otherwise: the port of BitTorrent's DHT.
const LISTEN: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 6881);

/// Serve a DHT node, for networks that are cut off from the internet
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh dht-node --listen 192.0.2.1:6881\n  \
    hopmesh dht-node --listen 192.0.2.2:6881 --bootstrap 192.0.2.1:6881\n\n\
    Members find each other by it when `dht.bootstrap` in their configuration names it. It needs no \
    network of its own and no root, keeps nothing on disk, and stays in the foreground until SIGINT \
    or SIGTERM. One such node makes a DHT; with more, it outlives each of them.")]
pub(super) struct DhtNode {
    /// IPv4 address and UDP port to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", default_value_t = LISTEN)]
    listen: SocketAddrV4,
    /// Another node to enter the DHT by; may be given several times
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Vec<HostPort>,
}

impl DhtNode {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        log::start(LogLevel::Info)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(dht_node::serve(self.listen, &self.bootstrap, |listening| {
            // Nobody may read our output any more; the node serves all the same.
            let _lost = announce(context, listening);
        }))?)
    }
}

fn announce(context: &mut Context<'_>, listening: SocketAddrV4) -> Result<(), Failure> {
    if context.json() {
        return context.print_json(&json!({ "listen": listening.to_string() }));
    }
    context.say(format!("DHT node listens on {listening}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Global;

    #[test]
    fn it_says_where_it_listens() {
        let said = |json| {
            let mut out = Vec::new();
            let global = Global { json, ..Global::default() };
            announce(&mut Context::new(global, &mut out), LISTEN).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(said(false), "DHT node listens on 0.0.0.0:6881\n");
        assert_eq!(said(true), "{\"listen\":\"0.0.0.0:6881\"}\n");
    }
}
