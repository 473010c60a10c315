//! Asks a running daemon.

use std::time::Duration;

use api::{ConnectError, ControlClient};
use tokio::runtime::{Builder, Runtime};
use tonic::{Response, Status, Streaming};

use super::context::Context;
use super::failure::Failure;

/// How long a daemon may take to answer; all answers but those to pings come at once, and `down` takes
/// as long as the host takes to be left as it was found.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the daemon.
pub(super) struct Daemon {
    runtime: Runtime,
    client: ControlClient,
}

impl Daemon {
    /// Connects to the daemon of the network that is meant.
    pub(super) fn reach(context: &Context<'_>) -> Result<Self, Failure> {
        Self::find(context)?.ok_or_else(|| {
            let advice = format!("start it with `{}`", context.command_line("up"));
            Failure::Failed(format!("no daemon is running for network {}: {advice}", context.network()))
        })
    }

    /// Connects to the daemon of the network that is meant, if one is running.
    pub(super) fn find(context: &Context<'_>) -> Result<Option<Self>, Failure> {
        match Self::connect(context)? {
            Ok(daemon) => Ok(Some(daemon)),
            Err(ConnectError::NoDaemon) => Ok(None),
            Err(ConnectError::NotPermitted) => Err(Failure::Failed(format!(
                "this user may not control network {}: run as root or join the group {}",
                context.network(),
                crate::control::GROUP
            ))),
            Err(error @ ConnectError::Os(_)) => Err(Failure::Failed(error.to_string())),
        }
    }

    /// Connects to the daemon of the network that is meant; why that failed is for the caller to judge.
    pub(super) fn connect(context: &Context<'_>) -> Result<Result<Self, ConnectError>, Failure> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
        let connected = runtime.block_on(api::connect(&context.paths.socket));
        Ok(connected.map(|client| Self { runtime, client }))
    }

    /// Makes one call and waits for its answer.
    pub(super) fn ask<R>(
        &mut self,
        timeout: Duration,
        call: impl AsyncFnOnce(&mut ControlClient) -> Result<Response<R>, Status>,
    ) -> Result<R, Status> {
        let Self { runtime, client } = self;
        let answer = runtime.block_on(async { tokio::time::timeout(timeout, call(client)).await });
        let late = |_| Status::unavailable("the daemon does not answer: look at its log");
        answer.map_err(late)?.map(Response::into_inner)
    }

    /// Waits for the next message of a stream, however long that takes; `None` when the daemon ends it.
    pub(super) fn next<R>(&mut self, stream: &mut Streaming<R>) -> Result<Option<R>, Status> {
        self.runtime.block_on(stream.message())
    }

    /// Waits, keeping the connection alive.
    pub(super) fn pause(&self, duration: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(duration).await });
    }
}
