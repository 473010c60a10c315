//! Accepts connections and speaks HTTP/2 on them.
//!
//! Plain hyper carries the gRPC service: tonic's own server would bring a second web framework and
//! hides the place where connections are counted and callers are looked at.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::control_server::ControlServer;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time;

use super::door::Admission;
use super::request::Request;
use super::service::Service;
use super::socket::Socket;

/// Connections at once; a further one waits in the kernel until another ends. People and scripts
/// hold one for a moment each, a monitor one for long.
pub(super) const CONNECTIONS_MAX: usize = 32;
/// Calls at once on one connection.
const CALLS_MAX: u32 = 16;
/// Longest message of a caller; the longest sensible one has a few names in it.
const MESSAGE_MAX: usize = 16 * 1024;
/// Pause after a failed accept: the usual reason, no free file descriptor, lasts a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long answers may take to leave after the shutdown.
const DRAIN: Duration = Duration::from_secs(2);

/// Serves the control protocol on `socket` until `shutdown`, then removes the socket, lets the answers
/// under way leave and returns.
///
/// Each call becomes one [`Request`]; `requests` should hold [`REQUESTS_MAX`](super::REQUESTS_MAX). Must
/// run on a tokio runtime with I/O and time.
pub async fn serve(socket: Socket, requests: mpsc::Sender<Request>, shutdown: impl Future<Output = ()>) {
    let daemon_uid = rustix::process::geteuid().as_raw();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (closing, closed) = watch::channel(());
    let mut conversations = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, slot) = accept(&socket.listener, &slots) => {
                let admission = Admission::of(&stream, daemon_uid);
                let service = Service::new(requests.clone());
                let closed = closed.clone();
                conversations.spawn(async move {
                    converse(stream, service, admission, closed).await;
                    drop(slot);
                });
            }
            Some(_) = conversations.join_next() => {}
        }
    }
    drop(socket);
    drop(closing);
    let drained = async { while conversations.join_next().await.is_some() {} };
    if time::timeout(DRAIN, drained).await.is_err() {
        tracing::debug!("control connections were cut off at shutdown");
    }
}

/// The next connection, once there is a slot for it.
async fn accept(listener: &UnixListener, slots: &Arc<Semaphore>) -> (UnixStream, OwnedSemaphorePermit) {
    let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a control connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection until its end, or, once `closed` has no sender any more, until the calls
/// under way are answered.
pub(super) async fn converse(
    stream: UnixStream,
    service: Service,
    admission: Admission,
    mut closed: watch::Receiver<()>,
) {
    let server = ControlServer::new(service).max_decoding_message_size(MESSAGE_MAX);
    let guarded =
        tonic::service::interceptor::InterceptedService::new(server, move |call: tonic::Request<()>| {
            admission.check().map(|()| call)
        });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(CALLS_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(guarded))
    );
    let result = tokio::select! {
        result = &mut connection => result,
        _ = closed.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a control connection broke");
    }
}
