//! What the page's requests get.

use std::future::Future;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::door::{Door, Refusal, Wish};
use super::gather::Gatherer;
use crate::cli::client::Line;
use crate::io::loopback::{self, Answer, text, with_status};

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
    let answer = move |request: Parts| {
        let shared = shared.clone();
        async move { answer(&shared, &request).await }
    };
    loopback::serve(listener, answer, end).await;
}

async fn answer(shared: &Shared, request: &Parts) -> Answer {
    let wish = shared.door.lock().await.judge(request);
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
