//! One more pair of sockets on the main port, for one more thread: the kernel shares datagrams out among the lanes of a port by
//! where they come from and go to (SO_REUSEPORT), so that all of a remote come to one, in their order.

use std::io;

use overlay::SocketId;

use super::half::SOCKET_BUFFER_SIZE;
use super::pair::Pair;
use super::{BindError, Family, ReceiveBuffers, Udp};
use crate::io::epoll::{Epoll, Token};

/// A further lane of the main port. Only what is received is shared out: whatever lane a datagram leaves by, it comes from the
/// same port, and sending takes no lock, so all send by the first.
#[derive(Debug)]
pub struct Lane {
    pair: Pair,
    epoll: Epoll,
}

impl Lane {
    /// Receives one batch, and says how many trains there are now in `buffers`: 0 when the socket is empty.
    ///
    /// # Errors
    /// The kernel's own; the socket stays usable.
    pub fn receive_batch(&self, family: Family, buffers: &mut ReceiveBuffers) -> io::Result<usize> {
        self.pair.of(family).map_or(Ok(0), |half| half.receive_batch(buffers))
    }

    /// The set in which its sockets are.
    pub(in crate::io) fn epoll(&self) -> &Epoll {
        &self.epoll
    }
}

impl Udp {
    /// Opens one more lane of the main port. From now on its owner must receive by it: some remotes are heard there alone.
    ///
    /// # Errors
    /// [`BindError`]; the lanes that there are go on.
    pub fn open_lane(&self) -> Result<Lane, BindError> {
        // The first lane was bound without: so nobody else had the port, and other programs stay refused that do not ask for
        // the same, as do those of other users.
        self.main.share()?;
        let pair = Pair::bind_beside(&self.main, SOCKET_BUFFER_SIZE)?;
        let epoll = Epoll::new()?;
        pair.add_to(&epoll, SocketId::MAIN)?;
        Ok(Lane { pair, epoll })
    }
}

impl Pair {
    /// Takes both sockets into a set.
    pub(super) fn add_to(&self, epoll: &Epoll, id: SocketId) -> io::Result<()> {
        epoll.add(&self.v4.socket, Token::Udp(id, Family::V4))?;
        self.v6.as_ref().map_or(Ok(()), |v6| epoll.add(&v6.socket, Token::Udp(id, Family::V6)))
    }
}
