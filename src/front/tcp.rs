//! Connections: each is copied to one of our own to the target, in both directions, until both have ended.

use std::net::IpAddr;
use std::sync::Arc;

use overlay::Target;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::limits::{CHUNK_LENGTH, SOCKET_AGAIN};
use super::seats::{Seat, Seats};
use super::{Common, counters::Counters};
use crate::io::front::{prepare, reset_when_closed};

/// What the connections of one front have in common.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) target: Target,
    pub(super) common: Arc<Common>,
    pub(super) seats: Seats,
    pub(super) counters: Arc<Counters>,
}

/// Takes connections at one socket for ever. They end with it.
pub(super) async fn serve(listener: Arc<TcpListener>, front: Arc<Connections>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, source)) => match front.admit(source.ip()) {
                    Some(seat) => drop(connections.spawn(pass_on(stream, seat, front.clone()))),
                    None => reset_when_closed(&stream),
                },
                Err(_) => tokio::time::sleep(SOCKET_AGAIN).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Connections {
    fn admit(&self, source: IpAddr) -> Option<Seat> {
        let seat = self.seats.take(&self.common.connections, source);
        if seat.is_none() {
            self.counters.refused();
            self.common.counters.refused();
        }
        seat
    }
}

async fn pass_on(client: TcpStream, _seat: Seat, front: Arc<Connections>) {
    let client = Ending { stream: client, is_over: false };
    match front.common.reach.connect(&front.target).await {
        Ok(target) => {
            front.counters.passed();
            front.common.counters.passed();
            copy(client, Ending { stream: target, is_over: false }).await;
        }
        Err(error) => {
            tracing::debug!(target = %front.target, %error, "a connection could not be passed on");
            front.counters.unreached();
            front.common.counters.unreached();
        }
    }
}

/// Copies until both ends have said that nothing more comes; what one says is passed on while the other goes on.
async fn copy(mut client: Ending, mut target: Ending) {
    for stream in [&client.stream, &target.stream] {
        // Without these options it works as well.
        let _refused = prepare(stream);
    }
    let (near, far) = (&mut client.stream, &mut target.stream);
    let copied = copy_bidirectional_with_sizes(near, far, CHUNK_LENGTH, CHUNK_LENGTH).await;
    client.is_over = copied.is_ok();
    target.is_over = copied.is_ok();
}

/// A connection that ends by a reset, unless it has come to its end: what was cut off must not look whole.
struct Ending {
    stream: TcpStream,
    is_over: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.is_over {
            reset_when_closed(&self.stream);
        }
    }
}
