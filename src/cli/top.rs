//! `top`: peers, paths and rates as they are now, on the whole terminal.
//!
//! `model` is what is shown, `picture` draws it; both are pure. Here are the terminal, the keys and the clock.

mod model;
mod picture;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::time::Duration;

use api::StatusReply;
use clap::Args;
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use ratatui::DefaultTerminal;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use self::model::{Model, Wish};
use super::client::{Daemon, Line};
use super::context::Context;
use super::failure::Failure;
use super::live::Interruption;
use crate::io::clock;

/// From one look to the next: rates over a shorter time jump too much to be read.
const INTERVAL_MS: u64 = 1000;

/// Show peers, paths and rates on the whole terminal, as they change
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh top\n\n\
    Keys: q quits, left and right choose the column to sort by, r turns the order, up and down scroll. For a \
    pipe there are `hopmesh status --watch` and `hopmesh peers --json`.")]
pub(super) struct Top {
    /// Milliseconds from one look to the next
    #[arg(long, value_name = "MS", default_value_t = INTERVAL_MS, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    interval_ms: u64,
}

impl Top {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let daemon = Daemon::reach(context)?;
        if context.json() || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            let instead = context.command_line("status --watch");
            return Err(Failure::Usage(format!(
                "top draws on a terminal and reads its keys: elsewhere use `{instead}`"
            )));
        }
        let (runtime, line) = daemon.stay(context);
        watch(&runtime, line, Duration::from_millis(self.interval_ms))
    }
}

fn watch(runtime: &Runtime, line: Line, every: Duration) -> Result<(), Failure> {
    runtime.block_on(async {
        let mut interruption = Interruption::listen()?;
        let mut keys = EventStream::new();
        let (sender, mut answers) = mpsc::channel(1);
        tokio::spawn(ask(line, every, sender));
        let mut model = Model::new();
        let mut terminal = Taken::take()?;
        loop {
            terminal.draw(&model)?;
            tokio::select! {
                () = interruption.come() => return Ok(()),
                event = keys.next() => match event {
                    Some(Ok(Event::Key(key))) => {
                        if model.handle_key(key) == Wish::Quit {
                            return Ok(());
                        }
                    }
                    // A new size is seen when it is drawn.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(unusable(&error)),
                    None => return Ok(()),
                },
                Some(answer) = answers.recv() => model.handle_answer(answer, clock::now()),
            }
        }
    })
}

/// Asks until nobody takes the answers any more.
async fn ask(mut line: Line, every: Duration, answers: mpsc::Sender<Result<StatusReply, String>>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = line.ask(|mut client| async move { client.status(api::StatusRequest {}).await }).await;
        if answers.send(answer).await.is_err() {
            return;
        }
    }
}

/// The terminal, as long as it is ours; afterwards it is as it was, also when we panic.
struct Taken(DefaultTerminal);

impl Taken {
    fn take() -> Result<Self, Failure> {
        let terminal = ratatui::try_init().map_err(|error| {
            ratatui::restore();
            unusable(&error)
        })?;
        Ok(Self(terminal))
    }

    fn draw(&mut self, model: &Model) -> Result<(), Failure> {
        self.0.draw(|frame| picture::draw(frame, model)).map(|_| ()).map_err(|error| unusable(&error))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn unusable(error: &io::Error) -> Failure {
    Failure::Failed(format!("cannot use this terminal: {error}"))
}
