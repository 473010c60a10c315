//! One stream, from the TCP connection to its end: a task of its own.
//!
//! Reading and writing go on side by side, so that neither a full queue of events nor a slow other end stops the other
//! direction.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::admission::Slot;
use super::limits::{DATAGRAM_LENGTH_MAX, READ_SIZE, UNSENT_MAX, WRITE_SIZE};
use super::outbound::Registered;
use super::upgrade::{self, UpgradeError};
use super::{CloseReason, Shared, StreamEvent};
use crate::io::mark::mark;

type Source = SplitStream<WebSocketStream<TcpStream>>;
type Sink = SplitSink<WebSocketStream<TcpStream>, Message>;

/// A connection that another end began.
pub(super) async fn accept(shared: Arc<Shared>, slot: Slot, mut stream: TcpStream, remote: SocketAddr) {
    prepare(&stream);
    let answered = timeout(shared.timing.handshake, upgrade::answer(&mut stream));
    let answered = tokio::select! {
        answered = answered => answered,
        () = shared.events.closed() => return,
    };
    match answered {
        Ok(Ok(rest)) => {
            let registered = shared.outbound.register();
            let opened = StreamEvent::Opened { number: registered.number, remote, dialled: false };
            shared.tell(opened).await;
            let websocket = websocket(stream, rest, Role::Server).await;
            carry(&shared, slot, registered, websocket).await;
        }
        Ok(Err(UpgradeError::Refused)) => tracing::debug!(%remote, "what came over TCP wants no stream"),
        Ok(Err(UpgradeError::Io(error))) => tracing::debug!(%remote, %error, "no stream came of it"),
        Err(_late) => tracing::debug!(%remote, "no stream came of it in time"),
    }
}

/// A connection that we begin.
pub(super) async fn dial(shared: Arc<Shared>, slot: Slot, registered: Registered, remote: SocketAddr) {
    let number = registered.number;
    let stop = registered.stop();
    let connected = tokio::select! {
        connected = timeout(shared.timing.dial, connect(remote)) => connected,
        () = stop.notified() => return,
        () = shared.events.closed() => return,
    };
    let reason = match connected {
        Ok(Ok((stream, rest))) => {
            shared.tell(StreamEvent::Opened { number, remote, dialled: true }).await;
            let websocket = websocket(stream, rest, Role::Client).await;
            return carry(&shared, slot, registered, websocket).await;
        }
        Ok(Err(UpgradeError::Refused)) => CloseReason::NoNode,
        // It took the connection, and wanted no more when it saw our request.
        Ok(Err(UpgradeError::Io(error))) if is_end(&error) => CloseReason::NoNode,
        Ok(Err(UpgradeError::Io(error))) => CloseReason::Os(error.kind()),
        Err(_late) => CloseReason::NoAnswer,
    };
    drop((registered, slot));
    shared.tell(StreamEvent::Closed { number, reason }).await;
}

async fn connect(remote: SocketAddr) -> Result<(TcpStream, Vec<u8>), UpgradeError> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    mark(&socket)?;
    let mut stream = socket.connect(remote).await?;
    prepare(&stream);
    let rest = upgrade::ask(&mut stream, remote).await?;
    Ok((stream, rest))
}

/// Small messages go at once, and little waits in the kernel. A system that cannot do it still carries streams.
fn prepare(stream: &TcpStream) {
    let _slower = stream.set_nodelay(true);
    let _more_delay = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX);
}

async fn websocket(stream: TcpStream, rest: Vec<u8>, role: Role) -> WebSocketStream<TcpStream> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_SIZE)
        .write_buffer_size(WRITE_SIZE)
        // Never reached: a message is only added when what was there before has gone.
        .max_write_buffer_size(WRITE_SIZE + 2 * DATAGRAM_LENGTH_MAX)
        .max_message_size(Some(DATAGRAM_LENGTH_MAX))
        .max_frame_size(Some(DATAGRAM_LENGTH_MAX));
    WebSocketStream::from_partially_read(stream, rest, role, Some(config)).await
}

/// Carries datagrams both ways until something ends it.
async fn carry(
    shared: &Shared,
    slot: Slot,
    mut registered: Registered,
    websocket: WebSocketStream<TcpStream>,
) {
    let (number, stop) = (registered.number, registered.stop());
    let (mut sink, mut source) = websocket.split();
    let reason = tokio::select! {
        reason = read(shared, number, &mut source) => reason,
        reason = write(shared, &mut registered, &mut sink) => reason,
        () = stop.notified() => return,
        () = shared.events.closed() => return,
    };
    drop((registered, slot));
    tracing::debug!(number, %reason, "a stream is over");
    shared.tell(StreamEvent::Closed { number, reason }).await;
}

/// Hands on what comes. Waits with the other end when the control thread has enough to do.
async fn read(shared: &Shared, number: u32, source: &mut Source) -> CloseReason {
    loop {
        match timeout(shared.timing.idle, source.next()).await {
            // Copied: what is read lies in a buffer that is much larger than most datagrams.
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                shared.tell(StreamEvent::Datagram { number, bytes: bytes.to_vec() }).await;
            }
            // Pings are answered by the library; that something came is what counts.
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(Message::Text(_) | Message::Frame(_)))) => return CloseReason::NoDatagrams,
            Ok(Some(Ok(Message::Close(_))) | None) => return CloseReason::Ended,
            Ok(Some(Err(error))) => return reason_of(&error),
            Err(_silence) => return CloseReason::Idle,
        }
    }
}

/// Sends what is queued, and pings.
async fn write(shared: &Shared, registered: &mut Registered, sink: &mut Sink) -> CloseReason {
    let timing = shared.timing;
    let mut pings = interval_at(Instant::now() + timing.ping, timing.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut next = tokio::select! {
            bytes = registered.next() => Some(Message::Binary(bytes.into())),
            _ = pings.tick() => Some(Message::Ping(Bytes::new())),
        };
        // All that is there goes in as few segments as can be.
        while let Some(message) = next {
            match timeout(timing.write, sink.feed(message)).await {
                Ok(Ok(())) => next = registered.try_next().map(|bytes| Message::Binary(bytes.into())),
                Ok(Err(error)) => return reason_of(&error),
                Err(_stuck) => return CloseReason::Stuck,
            }
        }
        match timeout(timing.write, sink.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return reason_of(&error),
            Err(_stuck) => return CloseReason::Stuck,
        }
    }
}

fn reason_of(error: &Error) -> CloseReason {
    match error {
        Error::Io(error) if is_end(error) => CloseReason::Ended,
        Error::Io(error) => CloseReason::Os(error.kind()),
        // Nobody says goodbye here: whoever closes a stream closes the connection.
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => CloseReason::Ended,
        Error::Capacity(_)
        | Error::Protocol(_)
        | Error::Utf8(_)
        | Error::AttackAttempt
        | Error::WriteBufferFull(_)
        | Error::Tls(_)
        | Error::Url(_) => CloseReason::NoDatagrams,
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}
