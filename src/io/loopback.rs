//! Plain HTTP/1.1 on a loopback port of this machine: one request a connection, everything bounded.
//!
//! Every program of this machine reaches such a port, and so does every web site that a browser of this machine shows, by a
//! name that it lets mean 127.0.0.1 (DNS rebinding): who answers looks with [`is_meant`] whether it is meant at all.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time;

/// Connections at once; a browser opens six. A further one waits in the kernel.
const CONNECTIONS_MAX: usize = 16;
/// Longest head of a request, in bytes; hyper takes no less.
const REQUEST_MAX: usize = 8 * 1024;
/// How long a head may take to come.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may live: a slow daemon's answers and a slow reader fit.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept: the usual reason, no free file descriptor, lasts a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a request gets.
pub type Answer = Response<Full<Bytes>>;

/// Answers requests until `end`; then connections are cut off. Bodies of requests are never read.
pub async fn serve<F>(
    listener: TcpListener,
    answer: impl Fn(Parts) -> F + Clone + Send + 'static,
    end: impl Future<Output = ()>,
) where
    F: Future<Output = Answer> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut end = pin!(end);
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, slot)
        };
        tokio::select! {
            () = &mut end => return,
            (accepted, slot) = accepted => match accepted {
                Ok((stream, _)) => {
                    let answer = answer.clone();
                    connections.spawn(async move {
                        converse(stream, answer).await;
                        drop(slot);
                    });
                }
                Err(_) => time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse<F: Future<Output = Answer>>(stream: TcpStream, answer: impl Fn(Parts) -> F) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (parts, _never_read) = request.into_parts();
        let answering = answer(parts);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(REQUEST_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Who goes away or is too slow is told nothing.
    let _broken_or_late = time::timeout(CONNECTION_TIMEOUT, connection).await;
}

/// The names by which the server at this address is meant.
#[must_use]
pub fn hosts(address: SocketAddr) -> [String; 2] {
    [address.to_string(), format!("localhost:{}", address.port())]
}

/// Whether a request names one of these hosts, once, and no other in its request line.
#[must_use]
pub fn is_meant(request: &Parts, hosts: &[String]) -> bool {
    let is_ours = |host: &str| hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host));
    let mut named = request.headers.get_all(header::HOST).iter();
    let (host, another) = (named.next().and_then(|host| host.to_str().ok()), named.next());
    // A request line may name a host as well.
    let also = request.uri.authority().is_none_or(|authority| is_ours(authority.as_str()));
    also && another.is_none() && host.is_some_and(is_ours)
}

/// A body of this content type.
#[must_use]
pub fn text(kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// The same with this status.
#[must_use]
pub fn with_status(status: StatusCode, mut answer: Answer) -> Answer {
    *answer.status_mut() = status;
    answer
}
