//! `ping`: asks a node through the overlay, and says over which path it answered.

use std::time::Duration;

use api::{PingReply, PingRequest};
use clap::Args;
use serde_json::{Value, json};
use tonic::Code;

use super::client::Daemon;
use super::context::Context;
use super::failure::Failure;
use super::observe::path;
use super::text::{self, milliseconds};
use super::value;
use super::view;

/// How long an answer may take; a first handshake and one loss fit.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// How much longer the daemon may take to say that there was none.
const PING_GRACE: Duration = Duration::from_secs(5);
/// From one answer to the next ping.
const PING_INTERVAL_MS: u64 = 1000;

/// Ask a node through the network and show the path its answer takes
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh ping laptop\n  hopmesh ping 10.7.0.2 -c 1")]
pub(super) struct Ping {
    /// Name, mesh address or beginning of the id of a node
    #[arg(value_name = "NODE", value_parser = value::node)]
    node: String,
    /// How many times
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Milliseconds from an answer to the next ping
    #[arg(long, value_name = "MS", default_value_t = PING_INTERVAL_MS, value_parser = clap::value_parser!(u64).range(..=3_600_000))]
    interval_ms: u64,
}

/// What came back so far. Bounded by the count, which the user chose.
#[derive(Debug, Default)]
struct Tally {
    sent: u32,
    replies: Vec<(u32, PingReply)>,
}

impl Ping {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut daemon = Daemon::reach(context)?;
        let mut tally = Tally::default();
        for sequence in 1..=self.count {
            if sequence > 1 {
                daemon.pause(Duration::from_millis(self.interval_ms));
            }
            tally.sent = sequence;
            match self.once(&mut daemon)? {
                Some(reply) => {
                    if !context.json() {
                        context.say(reply_line(sequence, &reply))?;
                    }
                    tally.replies.push((sequence, reply));
                }
                None if context.json() => {}
                None => {
                    let waited = PING_TIMEOUT.as_secs();
                    context.say(format!(
                        "no answer from {}: sequence {sequence} within {waited} s",
                        self.node
                    ))?;
                }
            }
        }
        if context.json() {
            context.print_json(&tally.to_json(&self.node))?;
        } else {
            context.say(tally.summary())?;
        }
        if tally.replies.is_empty() { Err(Failure::Said) } else { Ok(()) }
    }

    /// One ping; `None` when nothing answered in time.
    fn once(&self, daemon: &mut Daemon) -> Result<Option<PingReply>, Failure> {
        let timeout_ms = u32::try_from(PING_TIMEOUT.as_millis()).expect("a few seconds are few milliseconds");
        let request = PingRequest { node: self.node.clone(), timeout_ms };
        match daemon.ask(PING_TIMEOUT + PING_GRACE, async |client| client.ping(request).await) {
            Ok(reply) => Ok(Some(reply)),
            Err(status) if status.code() == Code::DeadlineExceeded => Ok(None),
            Err(status) => Err(status.into()),
        }
    }
}

fn reply_line(sequence: u32, reply: &PingReply) -> String {
    let PingReply { node, address, .. } = reply;
    let (path, time) = (path(reply.path.as_ref()), milliseconds(reply.rtt_ms));
    format!("from {node} {address}: sequence {sequence}, {path}, {time}")
}

impl Tally {
    fn summary(&self) -> String {
        let (sent, received) = (self.sent, self.replies.len());
        let counts = format!("{sent} sent, {received} received");
        let times = || self.replies.iter().map(|(_, reply)| reply.rtt_ms);
        let (Some(least), Some(most)) = (times().reduce(f64::min), times().reduce(f64::max)) else {
            return format!("{counts}: nothing answered, see `hopmesh status`");
        };
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^52 pings")]
        let mean = times().sum::<f64>() / received as f64;
        let [least, mean, most] = [least, mean, most].map(milliseconds);
        format!("{counts}, {} lost, time least {least}, mean {mean}, most {most}", self.lost())
    }

    fn lost(&self) -> String {
        let lost = u64::from(self.sent).saturating_sub(self.replies.len() as u64);
        let share = (lost * 1000).checked_div(self.sent.into()).unwrap_or(0);
        text::per_mille(u32::try_from(share).unwrap_or(u32::MAX))
    }

    fn to_json(&self, asked: &str) -> Value {
        let reply = |(sequence, reply): &(u32, PingReply)| {
            let rtt_ms = view::thousandths(reply.rtt_ms);
            json!({ "sequence": sequence, "rtt_ms": rtt_ms, "path": view::Path::from(reply.path.as_ref()) })
        };
        json!({
            "node": self.replies.first().map_or(asked, |(_, reply)| &reply.node),
            "sent": self.sent,
            "received": self.replies.len(),
            "replies": self.replies.iter().map(reply).collect::<Vec<_>>(),
        })
    }
}
