//! One check of one instance: a connection, or an HTTP request on it.

use std::io;

use overlay::{HealthCheck, HttpPath};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::front::{Reach, ReachError};

use super::Place;
use super::limits::{CHECK_TIMEOUT, HEAD_LENGTH_MAX, REST_LENGTH_MAX, REST_TIMEOUT};

/// What an answer may have as its status: success, or a redirection, which is as much alive.
const GOOD_STATUS: std::ops::RangeInclusive<u16> = 200..=399;

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckFailure {
    /// No connection, or one that broke.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// The target cannot be reached.
    #[error("{0}")]
    Target(#[from] ReachError),
    /// Nothing came in time.
    #[error("no answer within {} s", CHECK_TIMEOUT.as_secs())]
    Timeout,
    /// Something came that is no HTTP.
    #[error("what it answers is no HTTP")]
    NoHttp,
    /// It says that it is not well.
    #[error("it answers with status {0}")]
    Status(u16),
}

/// Carries out a check.
pub(super) async fn check(health: &HealthCheck, at: &Place, reach: &Reach) -> Result<(), CheckFailure> {
    let path = match health {
        HealthCheck::None => return Ok(()),
        HealthCheck::Tcp => None,
        HealthCheck::Http(path) => Some(path),
    };
    let checked = async {
        let (stream, host) = match at {
            Place::Own(addresses) => (TcpStream::connect(&addresses[..]).await?, None),
            Place::Target(target) => (reach.connect(target).await?, Some(target.to_string())),
        };
        match path {
            None => Ok(None),
            Some(path) => status(stream, host, path).await.map(Some),
        }
    };
    match timeout(CHECK_TIMEOUT, checked).await.map_err(|_| CheckFailure::Timeout)?? {
        None => Ok(()),
        Some((code, stream)) => {
            let _cut_off = timeout(REST_TIMEOUT, copy(&mut stream.take(REST_LENGTH_MAX), &mut sink())).await;
            if GOOD_STATUS.contains(&code) { Ok(()) } else { Err(CheckFailure::Status(code)) }
        }
    }
}

/// Asks for `path` of a host, which is called as its address where it has no name, and reads no further than to the status of
/// the answer.
async fn status(
    mut stream: TcpStream,
    host: Option<String>,
    path: &HttpPath,
) -> Result<(u16, TcpStream), CheckFailure> {
    let host = match host {
        Some(host) => host,
        None => stream.peer_addr()?.to_string(),
    };
    let (path, version) = (path.as_str(), env!("CARGO_PKG_VERSION"));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hopmesh/{version}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::with_capacity(HEAD_LENGTH_MAX);
    while head.len() < HEAD_LENGTH_MAX {
        if (&mut stream).take((HEAD_LENGTH_MAX - head.len()) as u64).read_buf(&mut head).await? == 0 {
            break;
        }
        // Headers are of no interest, so there is no place for any.
        let mut response = httparse::Response::new(&mut []);
        let parsed = response.parse(&head);
        match (response.code, parsed) {
            (Some(code), _) => return Ok((code, stream)),
            (None, Ok(_)) => {}
            (None, Err(_)) => break,
        }
    }
    Err(CheckFailure::NoHttp)
}
