//! The spare sockets: opened by hundreds for a hard punch, of which at most one is kept.
//!
//! The table is replaced as a whole when one opens or closes, which only the control thread does; whoever sends or
//! receives takes the table as it is, without a lock.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use overlay::SocketId;

use super::half::{Half, Use};
use super::{BindError, Family};
use crate::io::epoll::{Epoll, Token};

/// Most spare sockets at a time: the 256 of a birthday, and some that were kept. Half of what `ulimit -n` leaves
/// by default to everything else.
pub const SPARES_MAX: usize = 300;
/// The least number a spare socket may have: those below are the main and the test pair.
pub const SPARE_FIRST: SocketId = SocketId(2);

/// Buffers of a spare: some dozens of probes. Hundreds of the main socket's size would be a gigabyte.
const BUFFER_SIZE: usize = 64 << 10;

type Table = BTreeMap<SocketId, Arc<Half>>;

/// The table of spare sockets.
#[derive(Debug, Default)]
pub(super) struct Spares {
    table: ArcSwap<Table>,
    /// Held while the table is replaced.
    replacing: Mutex<()>,
}

impl Spares {
    /// As [`super::Udp::open_spare`].
    pub(super) fn open(&self, id: SocketId, epoll: &Epoll) -> io::Result<()> {
        if id < SPARE_FIRST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.table.load();
        if now.contains_key(&id) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if now.len() >= SPARES_MAX {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let half = Half::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), Use::Alone, BUFFER_SIZE);
        let half = Arc::new(half.map_err(into_io)?);
        epoll.add(&half.socket, Token::Udp(id, Family::V4))?;
        let mut table = Table::clone(&now);
        table.insert(id, half);
        self.table.store(Arc::new(table));
        Ok(())
    }

    /// As [`super::Udp::close_spare`].
    pub(super) fn close(&self, id: SocketId, epoll: &Epoll) {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&self.table.load());
        if let Some(half) = table.remove(&id) {
            // Not left to the closing of the descriptor: a thread that reads from it just now closes it later.
            epoll.remove(&half.socket);
            self.table.store(Arc::new(table));
        }
    }

    /// What `act` makes of the socket, if there is one of this number.
    pub(super) fn with<T>(&self, id: SocketId, act: impl FnOnce(&Half) -> T) -> Option<T> {
        self.table.load().get(&id).map(|half| act(half))
    }

    pub(super) fn count(&self) -> usize {
        self.table.load().len()
    }
}

fn into_io(error: BindError) -> io::Error {
    match error {
        BindError::Os(error) => error,
        other @ (BindError::PortInUse { .. } | BindError::NotPermitted { .. }) => io::Error::other(other),
    }
}
