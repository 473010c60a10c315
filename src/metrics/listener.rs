//! Metrics over HTTP, at a loopback port that the configuration names.
//!
//! Who can open a loopback port is a program of this machine; what it reads is names of nodes and counts. It changes nothing,
//! and each scrape is one [`Command::Metrics`], as from the control socket, within the same bounds.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::exposition::CONTENT_TYPE;
use crate::control::{Command, Reply, Request};
use crate::io::loopback::{self, Answer, hosts, is_meant, text, with_status};

const PLAIN: &str = "text/plain; charset=utf-8";

/// Why nobody can scrape.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be given at {address}: {error}; set `listen` in [metrics] to another loopback port")]
pub struct ListenerError {
    address: SocketAddr,
    error: io::Error,
}

/// A port that is open.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Opens the port.
    ///
    /// # Errors
    /// [`ListenerError`] when another program has it, say.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenerError> {
        let bind = async {
            let socket = TcpListener::bind(address).await?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        bind.await.map_err(|error| ListenerError { address, error })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers scrapes until `end`.
pub async fn serve(listener: Listener, requests: mpsc::Sender<Request>, end: impl Future<Output = ()>) {
    let hosts: Arc<[String]> = hosts(listener.address).into();
    let answer = move |request: Parts| {
        let (hosts, requests) = (hosts.clone(), requests.clone());
        async move {
            let mut answer = match refusal(&request, &hosts) {
                None => scrape(&requests).await,
                Some(refusal) => refusal,
            };
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            answer
        }
    };
    loopback::serve(listener.socket, answer, end).await;
}

/// Why a request gets no metrics.
fn refusal(request: &Parts, hosts: &[String]) -> Option<Answer> {
    let refused = |status, sentence: &'static str| Some(with_status(status, text(PLAIN, sentence.into())));
    if !is_meant(request, hosts) {
        return refused(StatusCode::MISDIRECTED_REQUEST, "This is asked by another name than ours.\n");
    }
    if request.method != Method::GET {
        let mut answer = with_status(StatusCode::METHOD_NOT_ALLOWED, text(PLAIN, "It takes GET.\n".into()));
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        return Some(answer);
    }
    if request.uri.path() != "/metrics" {
        return refused(StatusCode::NOT_FOUND, "Metrics are at /metrics.\n");
    }
    None
}

async fn scrape(requests: &mpsc::Sender<Request>) -> Answer {
    let (reply, answer) = oneshot::channel();
    let asked = requests.try_send(Request { command: Command::Metrics, reply });
    let busy = "The daemon is busy or going down.\n";
    if asked.is_ok()
        && let Ok(Ok(Reply::Metrics(metrics))) = answer.await
    {
        return text(CONTENT_TYPE, metrics.into());
    }
    with_status(StatusCode::SERVICE_UNAVAILABLE, text(PLAIN, busy.into()))
}
