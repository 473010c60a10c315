//! Asks a running daemon.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use api::{ConnectError, ControlClient};
use tokio::runtime::{Builder, Runtime};
use tonic::{Code, Response, Status, Streaming};

use super::context::Context;
use super::failure::Failure;
use crate::control::not_permitted;

/// How long a daemon may take to answer; all answers but those to pings come at once, and `down` takes
/// as long as the host takes to be left as it was found.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one of many answers may take: what stays on a screen says rather soon that it is old.
const REPEATED_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

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
            Err(ConnectError::NotPermitted) => Err(Failure::Failed(not_permitted(context.network()))),
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

    /// For what goes on asking: the runtime, and the connection with all that is needed to make it again.
    pub(super) fn stay(self, context: &Context<'_>) -> (Runtime, Line) {
        let line = Line {
            socket: context.paths.socket.clone(),
            network: context.network().to_owned(),
            client: Some(self.client),
        };
        (self.runtime, line)
    }
}

/// A connection to the daemon that is made again when the daemon has gone and come back.
pub(super) struct Line {
    socket: PathBuf,
    network: String,
    client: Option<ControlClient>,
}

impl Line {
    /// Makes one call and waits for its answer; a sentence when there is none.
    pub(super) async fn ask<R, F>(&mut self, call: impl FnOnce(ControlClient) -> F) -> Result<R, String>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let client = self.client().await?;
        match tokio::time::timeout(REPEATED_ANSWER_TIMEOUT, call(client)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            // A connection that broke is of no use any more; the reason is the next one's to say.
            Ok(Err(status))
                if [Code::Unavailable, Code::Unknown, Code::Cancelled].contains(&status.code()) =>
            {
                self.client = None;
                Err(self.gone())
            }
            Ok(Err(status)) if status.code() == Code::Unimplemented => {
                Err("the daemon is older than this command: restart it".to_owned())
            }
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_late) => {
                self.client = None;
                Err("the daemon does not answer: look at its log".to_owned())
            }
        }
    }

    async fn client(&mut self) -> Result<ControlClient, String> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        match api::connect(&self.socket).await {
            Ok(client) => Ok(self.client.insert(client).clone()),
            Err(ConnectError::NoDaemon) => Err(self.gone()),
            Err(ConnectError::NotPermitted) => Err(not_permitted(&self.network)),
            Err(error @ ConnectError::Os(_)) => Err(error.to_string()),
        }
    }

    fn gone(&self) -> String {
        format!("the daemon of network {} is not running: waiting for it", self.network)
    }
}
