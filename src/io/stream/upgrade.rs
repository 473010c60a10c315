//! From TCP to WebSocket: the HTTP that both ends say before the first datagram (RFC 6455 section 4).
//!
//! Done by hand and not by a web server, so that a stranger gets no more memory than the head of one small request
//! until that is exactly ours. The pure parts ([`judge`], [`is_our_answer`]) are apart from those that read and write.

use std::io;
use std::net::SocketAddr;

use data_encoding::BASE64;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::limits::{HEAD_LENGTH_MAX, HEADERS_MAX};
use crate::io::entropy;

/// The path of the URL.
pub const PATH: &str = "/hopmesh";
/// The subprotocol, by which both ends know each other from other WebSockets.
const PROTOCOL: &str = "hopmesh";
/// RFC 6455 section 1.3: hashed with the key, it shows that the answer is a WebSocket's.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Length of a key, in bytes, before Base64.
const KEY_LENGTH: usize = 16;

/// Why there is no WebSocket.
#[derive(Debug)]
pub(super) enum UpgradeError {
    /// The other end wants something else, and was told so.
    Refused,
    /// The connection failed.
    Io(io::Error),
}

impl From<io::Error> for UpgradeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a request gets.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// A WebSocket, and this proof.
    Switch(String),
    /// 426: it is the right place, but not for that.
    UpgradeRequired,
    /// 404: nothing is here.
    NotFound,
}

/// Answers a request. Gives the bytes that came behind it.
pub(super) async fn answer<S>(stream: &mut S) -> Result<Vec<u8>, UpgradeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = read_head(stream, b"GET /").await?;
    let verdict = head.as_ref().map_or(Verdict::NotFound, |(head, _)| judge(head));
    stream.write_all(response(&verdict).as_bytes()).await?;
    match (verdict, head) {
        (Verdict::Switch(_), Some((_, rest))) => Ok(rest),
        (Verdict::Switch(_) | Verdict::UpgradeRequired | Verdict::NotFound, _) => {
            stream.shutdown().await?;
            Err(UpgradeError::Refused)
        }
    }
}

/// Asks for a WebSocket. Gives the bytes that came behind the answer.
pub(super) async fn ask<S>(stream: &mut S, remote: SocketAddr) -> Result<Vec<u8>, UpgradeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut key = [0; KEY_LENGTH];
    entropy::fill(&mut key);
    let key = BASE64.encode(&key);
    stream.write_all(request(remote, &key).as_bytes()).await?;
    match read_head(stream, b"HTTP/1.1 101").await? {
        Some((head, rest)) if is_our_answer(&head, &key) => Ok(rest),
        Some(_) | None => Err(UpgradeError::Refused),
    }
}

/// Reads to the empty line that ends a head, and gives the head and what came behind it. `None` for what does not begin
/// as it should, or is too long.
async fn read_head<S>(stream: &mut S, beginning: &[u8]) -> io::Result<Option<(Vec<u8>, Vec<u8>)>>
where
    S: AsyncRead + Unpin,
{
    let mut head = Vec::with_capacity(HEAD_LENGTH_MAX);
    loop {
        let searched = head.len();
        let left = HEAD_LENGTH_MAX - searched;
        if left == 0 {
            return Ok(None);
        }
        let left = u64::try_from(left).expect("a small number");
        if (&mut *stream).take(left).read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let begun = head.len().min(beginning.len());
        if head[..begun] != beginning[..begun] {
            return Ok(None);
        }
        let again = searched.saturating_sub(3);
        if let Some(at) = head[again..].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = head.split_off(again + at + 4);
            return Ok(Some((head, rest)));
        }
    }
}

fn request(remote: SocketAddr, key: &str) -> String {
    // Written anew: an address of IPv6 may have a scope, which is nobody else's business.
    let host = SocketAddr::new(remote.ip(), remote.port());
    format!(
        "GET {PATH} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
    )
}

fn response(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Switch(proof) => format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {proof}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
        ),
        Verdict::UpgradeRequired => "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\
             Connection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
        Verdict::NotFound => {
            "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
    }
}

/// What a request, from its first line to the empty one, gets.
fn judge(head: &[u8]) -> Verdict {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    if !matches!(request.parse(head), Ok(httparse::Status::Complete(_))) || request.path != Some(PATH) {
        return Verdict::NotFound;
    }
    let headers = Headers(request.headers);
    let is_upgrade = request.method == Some("GET")
        && request.version == Some(1)
        && headers.list("Upgrade", "websocket")
        && headers.list("Connection", "upgrade")
        && headers.only("Sec-WebSocket-Version") == Some("13")
        && headers.list("Sec-WebSocket-Protocol", PROTOCOL);
    let key = headers
        .only("Sec-WebSocket-Key")
        .filter(|key| BASE64.decode(key.as_bytes()).is_ok_and(|key| key.len() == KEY_LENGTH));
    match key {
        Some(key) if is_upgrade => Verdict::Switch(proof(key)),
        Some(_) | None => Verdict::UpgradeRequired,
    }
}

/// Whether an answer is that of a node to a request with this key.
fn is_our_answer(head: &[u8], key: &str) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let complete = matches!(response.parse(head), Ok(httparse::Status::Complete(_)));
    let headers = Headers(response.headers);
    complete
        && response.code == Some(101)
        && headers.list("Upgrade", "websocket")
        && headers.list("Connection", "upgrade")
        && headers.only("Sec-WebSocket-Accept") == Some(proof(key).as_str())
        && headers.only("Sec-WebSocket-Protocol") == Some(PROTOCOL)
}

fn proof(key: &str) -> String {
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()).as_ref())
}

struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.filter_map(|header| str::from_utf8(header.value).ok().map(str::trim))
    }

    /// The value of a header that may be there once.
    fn only(&self, name: &str) -> Option<&'a str> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether a header's list, which may stand in several lines, has this word.
    fn list(&self, name: &str, word: &str) -> bool {
        self.values(name).flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
    }
}

#[cfg(test)]
mod tests;
