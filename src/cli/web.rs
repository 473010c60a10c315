//! `web`: a page for the browser of this machine, for as long as the command runs.
//!
//! The command asks the daemon over the control socket and listens on a loopback port; the daemon knows nothing of it, and
//! whoever may not use the socket gets nothing here. The straight line of one request: `serve` accepts within bounds,
//! `door` decides whether it may see anything and what it asks for, `gather` asks the daemon, `picture` says it as JSON.
//! Nothing can be changed through it.

mod door;
mod gather;
mod picture;
mod serve;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;

use self::door::Door;
use self::serve::{Shared, serve};
use super::client::Daemon;
use super::context::Context;
use super::failure::Failure;
use super::live::Interruption;

/// Show the network in this machine's browser: a map, peers, services, and who reaches whom
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh web\n  hopmesh web --port 8080\n\n\
    Prints an address that works once, in one browser of this machine, and serves the page until it is \
    interrupted. From another machine: `ssh -L 8080:127.0.0.1:8080 HOST hopmesh web --port 8080`.")]
pub(super) struct Web {
    /// Port on 127.0.0.1 (default: any that is free)
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

impl Web {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (runtime, line) = Daemon::reach(context)?.stay(context);
        runtime.block_on(async {
            let mut interruption = Interruption::listen()?;
            let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.unwrap_or(0)));
            let cannot = |error: io::Error| {
                Failure::Failed(format!("cannot listen on {asked}: {error}; choose another with --port"))
            };
            let listener = TcpListener::bind(asked).await.map_err(cannot)?;
            let (door, url) = Door::new(listener.local_addr().map_err(cannot)?);
            if context.json() {
                context.print_json(&json!({ "url": url }))?;
            } else {
                context.say(&url)?;
                context.say("works once, in a browser on this machine; the page is there until ctrl-C")?;
            }
            serve(listener, Shared::new(door, line), interruption.come()).await;
            Ok(())
        })
    }
}
