//! Datagrams: each client, by address and port, has a socket of its own to the target, for as long as either of them says
//! something (RFC 4787 REQ-5). Answers are taken from the target alone.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use overlay::Target;
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::limits::{BATCH, DATAGRAM_LENGTH_MAX, SOCKET_AGAIN, WAITING_MAX};
use super::seats::{Seat, Seats};
use super::{Common, Presence, counters::Counters};

/// What the clients of one front have in common.
#[derive(Debug)]
pub(super) struct Associations {
    pub(super) target: Target,
    pub(super) common: Arc<Common>,
    pub(super) seats: Seats,
    pub(super) counters: Arc<Counters>,
}

/// A datagram on its way to the target, and its share of what may wait.
type Waiting = (Vec<u8>, OwnedSemaphorePermit);

/// A client.
struct Association {
    to_target: mpsc::Sender<Waiting>,
    task: AbortHandle,
    used: Instant,
    /// Given back at once when this is removed, whenever the task ends.
    _seat: Seat,
    /// Tells it from an earlier one of that client's.
    number: u64,
}

/// The clients at one socket.
struct Table {
    socket: Arc<UdpSocket>,
    front: Arc<Associations>,
    presence: Presence,
    known: BTreeMap<SocketAddr, Association>,
    tasks: JoinSet<(SocketAddr, u64)>,
    made: u64,
}

/// Passes datagrams on at one socket for ever. Its clients are forgotten with it.
pub(super) async fn serve(socket: Arc<UdpSocket>, front: Arc<Associations>, presence: Presence) {
    let (known, tasks) = (BTreeMap::new(), JoinSet::new());
    let mut table = Table { socket: socket.clone(), front, presence, known, tasks, made: 0 };
    let mut buffer = vec![0; DATAGRAM_LENGTH_MAX];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, client)) => table.take(client, &buffer[..length]),
                Err(_) => tokio::time::sleep(SOCKET_AGAIN).await,
            },
            Some(ended) = table.tasks.join_next() => if let Ok((client, number)) = ended {
                table.forget(client, number);
            },
        }
    }
}

impl Table {
    /// Passes a datagram on. What finds no room is lost, as datagrams are.
    fn take(&mut self, client: SocketAddr, datagram: &[u8]) {
        if !self.known.contains_key(&client) && !self.make(client) {
            self.front.counters.refused();
            self.front.common.counters.refused();
            return;
        }
        let association = self.known.get_mut(&client).expect("it was there, or was made just now");
        association.used = Instant::now();
        let length = u32::try_from(datagram.len()).expect("a datagram has less than 64 KiB");
        if let Ok(share) = self.front.common.waiting.clone().try_acquire_many_owned(length) {
            let _full = association.to_target.try_send((datagram.to_vec(), share));
        }
    }

    /// Makes room for a client. Whoever has reached a limit gives up its own oldest port, if it has any.
    fn make(&mut self, client: SocketAddr) -> bool {
        let mut seat = self.seat(client.ip());
        if seat.is_none() && self.give_up_oldest(client.ip()) {
            self.front.counters.refused();
            self.front.common.counters.refused();
            seat = self.seat(client.ip());
        }
        let Some(seat) = seat else { return false };
        let (to_target, datagrams) = mpsc::channel(WAITING_MAX);
        let number = self.made;
        self.made += 1;
        let client_of = Client { address: client, socket: self.socket.clone(), front: self.front.clone() };
        let (presence, course) = (self.presence.clone(), client_of.pass_on(datagrams));
        let task = self.tasks.spawn(async move {
            let _here = presence;
            course.await;
            (client, number)
        });
        self.known.insert(client, Association { to_target, task, used: Instant::now(), _seat: seat, number });
        true
    }

    fn seat(&self, source: IpAddr) -> Option<Seat> {
        self.front.seats.take(&self.front.common.associations, source)
    }

    fn give_up_oldest(&mut self, source: IpAddr) -> bool {
        let ports = SocketAddr::new(source, 0)..=SocketAddr::new(source, u16::MAX);
        let oldest = self.known.range(ports).min_by_key(|(_, association)| association.used);
        let Some(client) = oldest.map(|(client, _)| *client) else { return false };
        if let Some(association) = self.known.remove(&client) {
            association.task.abort();
        }
        true
    }

    fn forget(&mut self, client: SocketAddr, number: u64) {
        if self.known.get(&client).is_some_and(|association| association.number == number) {
            self.known.remove(&client);
        }
    }
}

/// One client, as its task sees it.
struct Client {
    address: SocketAddr,
    socket: Arc<UdpSocket>,
    front: Arc<Associations>,
}

impl Client {
    /// Passes on in both directions until neither end has said anything for long enough.
    async fn pass_on(self, mut datagrams: mpsc::Receiver<Waiting>) {
        let common = &self.front.common;
        let target = match common.reach.associate(&self.front.target).await {
            Ok(target) => target,
            Err(error) => {
                tracing::debug!(target = %self.front.target, %error, "datagrams could not be passed on");
                self.front.counters.unreached();
                return common.counters.unreached();
            }
        };
        self.front.counters.passed();
        common.counters.passed();
        loop {
            let heard = async {
                tokio::select! {
                    datagram = datagrams.recv() => self.outwards(&target, datagram).await,
                    readable = target.readable() => readable.is_ok() && self.inwards(&target).await,
                }
            };
            if !timeout_at(Instant::now() + common.idle, heard).await.unwrap_or(false) {
                return;
            }
        }
    }

    /// To the target. Whether there is a client any more.
    async fn outwards(&self, target: &UdpSocket, datagram: Option<Waiting>) -> bool {
        let Some((datagram, _share)) = datagram else { return false };
        let is_refused = |sent: &io::Result<usize>| {
            sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        };
        // The target's word that nobody listened to an earlier datagram comes in place of sending this one. What the socket does
        // not take otherwise is lost.
        if is_refused(&target.send(&datagram).await) {
            let _lost = target.send(&datagram).await;
        }
        true
    }

    /// To the client, all that has come. Whether the target can say more.
    async fn inwards(&self, target: &UdpSocket) -> bool {
        let mut buffer = vec![0; DATAGRAM_LENGTH_MAX];
        for _ in 0..BATCH {
            match target.try_recv(&mut buffer) {
                Ok(length) => drop(self.socket.send_to(&buffer[..length], self.address).await),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // The target's machine says that nobody listens there: somebody may later.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return false,
            }
        }
        true
    }
}
