//! What stays until somebody ends it: the status again and again, and the signals by which people and service managers
//! say that it is enough.

use std::io;
use std::time::Duration;

use api::StatusReply;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::client::Daemon;
use super::context::Context;
use super::failure::Failure;
use super::observe::status_lines;
use super::view;

/// Puts the cursor to the upper left and empties the screen; what was scrolled out of it stays.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Where the output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Screen {
    /// A terminal: the new takes the place of the old.
    Terminal,
    /// A file or a program: the new comes after the old.
    Pipe,
}

/// SIGINT, SIGTERM or SIGHUP. While it exists, they end nothing by themselves.
pub(super) struct Interruption([Signal; 3]);

impl Interruption {
    /// Listens from now on. Must be called within a tokio runtime.
    pub(super) fn listen() -> Result<Self, Failure> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        let cannot = |error: io::Error| Failure::Failed(format!("cannot listen for signals: {error}"));
        let signals = (|| Ok([interrupt?, terminate?, hangup?]))();
        signals.map(Self).map_err(cannot)
    }

    /// Waits for any of them.
    pub(super) async fn come(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Prints the status, and again whenever it has changed, until interrupted. The daemon may go and come back meanwhile.
pub(super) fn watch_status(
    context: &mut Context<'_>,
    every: Duration,
    screen: Screen,
) -> Result<(), Failure> {
    let (runtime, mut line) = Daemon::reach(context)?.stay(context);
    runtime.block_on(async {
        let mut interruption = Interruption::listen()?;
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shown = None;
        loop {
            tokio::select! {
                () = interruption.come() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let answer = tokio::select! {
                () = interruption.come() => return Ok(()),
                answer = line.ask(|mut client| async move { client.status(api::StatusRequest {}).await }) => answer,
            };
            let block = Block::of(context, answer)?;
            if shown.as_ref() != Some(&block) {
                block.show(context, screen, shown.is_none())?;
                shown = Some(block);
            }
        }
    })
}

/// What is printed at once.
#[derive(Debug, PartialEq)]
enum Block {
    Lines(Vec<String>),
    Json(serde_json::Value),
}

impl Block {
    fn of(context: &Context<'_>, answer: Result<StatusReply, String>) -> Result<Self, Failure> {
        if context.json() {
            let value = match &answer {
                Ok(reply) => serde_json::to_value(view::Status::from(reply)).map_err(io::Error::from)?,
                Err(sentence) => serde_json::json!({ "error": sentence }),
            };
            return Ok(Self::Json(value));
        }
        Ok(Self::Lines(match &answer {
            Ok(reply) => status_lines(reply, &context.program()),
            Err(sentence) => vec![format!("! {sentence}")],
        }))
    }

    fn show(&self, context: &mut Context<'_>, screen: Screen, is_first: bool) -> Result<(), Failure> {
        match (self, screen) {
            (Self::Json(value), _) => context.print_json(value),
            (Self::Lines(lines), Screen::Terminal) => {
                context.write_raw(CLEAR)?;
                context.say_all(lines)
            }
            (Self::Lines(lines), Screen::Pipe) => {
                if !is_first {
                    context.say("")?;
                }
                context.say_all(lines)
            }
        }
    }
}
