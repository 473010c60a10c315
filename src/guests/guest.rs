//! One guest: its tunnel, and where it was heard last.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use boringtun::noise::{Tunn, TunnResult};
use overlay::Remote;
use wire::GuestKey;

use super::{GuestState, Scratch};

/// A guest.
pub(super) struct Guest {
    key: GuestKey,
    inner: Mutex<Inner>,
}

struct Inner {
    tunnel: Tunn,
    /// Where it was heard last; by what its session authenticates only.
    remote: Option<Remote>,
}

impl Guest {
    pub(super) fn new(key: GuestKey, tunnel: Tunn) -> Self {
        Self { key, inner: Mutex::new(Inner { tunnel, remote: None }) }
    }

    pub(super) fn key(&self) -> &GuestKey {
        &self.key
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a data message: the length of its packet in the scratch, 0 for a keepalive; nothing when it does not verify.
    pub(super) fn open(
        &self,
        datagram: &[u8],
        remote: Remote,
        scratch: &mut Scratch,
        send: &mut dyn FnMut(Remote, &[u8]),
    ) -> Option<usize> {
        let mut inner = self.lock();
        let length = match inner.tunnel.decapsulate(None, datagram, &mut scratch.packet) {
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => packet.len(),
            TunnResult::Done => 0,
            TunnResult::WriteToNetwork(_) | TunnResult::Err(_) => return None,
        };
        inner.remote = Some(remote);
        inner.send_queued(&mut scratch.queued, send);
        Some(length)
    }

    /// Takes a handshake message; whether it was this guest's.
    pub(super) fn shake_hands(
        &self,
        message: &[u8],
        (remote, ip): (Remote, Option<IpAddr>),
        room: &mut [u8],
        send: &mut dyn FnMut(Remote, &[u8]),
    ) -> bool {
        let mut inner = self.lock();
        // A tunnel goes by the time of its last tick: without one now a new session would be as old as that.
        inner.tick(room, send);
        let is_answer = message.first() != Some(&1);
        match inner.tunnel.decapsulate(ip, message, room) {
            TunnResult::WriteToNetwork(reply) => send(remote, reply),
            TunnResult::Done => {}
            TunnResult::WriteToTunnelV4(..) | TunnResult::WriteToTunnelV6(..) | TunnResult::Err(_) => {
                return false;
            }
        }
        if is_answer && inner.tunnel.time_since_last_handshake().is_some() {
            inner.remote = Some(remote);
            inner.send_queued(room, send);
        }
        true
    }

    /// Seals and sends a packet, or keeps it while it asks for a session; whether it knows where to.
    pub(super) fn seal(&self, packet: &[u8], room: &mut [u8], send: &mut dyn FnMut(Remote, &[u8])) -> bool {
        let mut inner = self.lock();
        let Some(remote) = inner.remote else { return false };
        match inner.tunnel.encapsulate(packet, room) {
            TunnResult::WriteToNetwork(message) => send(remote, message),
            TunnResult::Done => {}
            TunnResult::WriteToTunnelV4(..) | TunnResult::WriteToTunnelV6(..) | TunnResult::Err(_) => {
                return false;
            }
        }
        true
    }

    /// Begins where it was heard before a restart, unless it has been heard since: its session ended with the restart, of which it knows
    /// nothing.
    pub(super) fn begin(&self, remote: Remote, room: &mut [u8], send: &mut dyn FnMut(Remote, &[u8])) {
        let mut inner = self.lock();
        if inner.remote.is_none()
            && let TunnResult::WriteToNetwork(initiation) =
                inner.tunnel.format_handshake_initiation(room, false)
        {
            send(remote, initiation);
            inner.remote = Some(remote);
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&self, room: &mut [u8], send: &mut dyn FnMut(Remote, &[u8])) {
        self.lock().tick(room, send);
    }

    pub(super) fn state(&self) -> GuestState {
        let inner = self.lock();
        let (last_handshake, tx_bytes, rx_bytes, ..) = inner.tunnel.stats();
        GuestState {
            remote: inner.remote,
            last_handshake,
            rx_bytes: rx_bytes as u64,
            tx_bytes: tx_bytes as u64,
        }
    }
}

impl Inner {
    fn tick(&mut self, room: &mut [u8], send: &mut dyn FnMut(Remote, &[u8])) {
        let result = self.tunnel.update_timers(room);
        if let (TunnResult::WriteToNetwork(message), Some(remote)) = (result, self.remote) {
            send(remote, message);
        }
    }

    /// Sends what had waited for a session.
    fn send_queued(&mut self, room: &mut [u8], send: &mut dyn FnMut(Remote, &[u8])) {
        while let (TunnResult::WriteToNetwork(message), Some(remote)) =
            (self.tunnel.decapsulate(None, &[], room), self.remote)
        {
            send(remote, message);
        }
    }
}
