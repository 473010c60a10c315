//! Plain HTTP/1.1 on a loopback port: one request a connection, everything bounded.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time;

use super::door::{Door, Refusal, Wish};
use super::gather::Gatherer;
use crate::cli::client::Line;

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

const PAGE: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

/// What every answer says: to load and to be loaded by nothing but this page, and to be kept nowhere.
const ALWAYS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CONNECTION, "close"),
];

type Answer = Response<Full<Bytes>>;

/// What all connections share.
pub(super) struct Shared {
    door: Mutex<Door>,
    gatherer: Mutex<Gatherer>,
}

impl Shared {
    pub(super) fn new(door: Door, line: Line) -> Arc<Self> {
        Arc::new(Self { door: Mutex::new(door), gatherer: Mutex::new(Gatherer::new(line)) })
    }
}

/// Serves the page until `end`; then connections are cut off.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, end: impl Future<Output = ()>) {
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
                    let shared = shared.clone();
                    connections.spawn(async move {
                        converse(stream, shared).await;
                        drop(slot);
                    });
                }
                Err(_) => time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(&shared, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(REQUEST_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A browser that goes away or is too slow is told nothing.
    let _broken_or_late = time::timeout(CONNECTION_TIMEOUT, connection).await;
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Answer {
    let (parts, _never_read) = request.into_parts();
    let wish = shared.door.lock().await.judge(&parts);
    let mut answer = match wish {
        Ok(Wish::Cookie) => exchanged(&shared.door.lock().await.cookie()),
        Ok(Wish::Page) => text("text/html; charset=utf-8", PAGE.into()),
        Ok(Wish::Style) => text("text/css; charset=utf-8", STYLE.into()),
        Ok(Wish::Script) => text("text/javascript; charset=utf-8", SCRIPT.into()),
        Ok(Wish::State) => state(shared).await,
        Err(refusal) => refused(refusal),
    };
    for (name, value) in ALWAYS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn state(shared: &Shared) -> Answer {
    let json = "application/json";
    match shared.gatherer.lock().await.state().await {
        Ok(state) => text(json, state),
        Err(sentence) => {
            let error = serde_json::json!({ "error": sentence }).to_string();
            with_status(StatusCode::SERVICE_UNAVAILABLE, text(json, error.into()))
        }
    }
}

/// Gives the cookie, and leads to the page without the token in its address.
fn exchanged(cookie: &str) -> Answer {
    let mut answer = with_status(StatusCode::SEE_OTHER, text("text/plain", Bytes::new()));
    answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
    let cookie = HeaderValue::from_str(cookie).expect("a name, hexadecimal digits and attributes");
    answer.headers_mut().insert(header::SET_COOKIE, cookie);
    answer
}

fn refused(refusal: Refusal) -> Answer {
    let said = text("text/plain; charset=utf-8", format!("{}\n", refusal.sentence()).into());
    let mut answer = with_status(refusal.status(), said);
    if refusal == Refusal::Method {
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    answer
}

fn text(kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn with_status(status: StatusCode, mut answer: Answer) -> Answer {
    *answer.status_mut() = status;
    answer
}
