//! Where others begin streams: the TCP socket, and the loop that lets them in.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::Shared;
use super::admission::Slot;
use super::connection;
use super::limits::{ACCEPT_PAUSE, BACKLOG};
use crate::io::clock;
use crate::io::mark::mark;

/// A TCP socket that waits for streams.
pub struct StreamServer {
    listener: TcpListener,
    port: u16,
}

impl StreamServer {
    /// Listens on `local`; on `[::]`, for IPv4 too. To be called in a tokio runtime.
    ///
    /// # Errors
    /// The system's: the port is in use, or needs a right.
    pub fn bind(local: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::TCP))?;
        if local.is_ipv6() {
            socket.set_only_v6(!local.ip().is_unspecified())?;
        }
        mark(&socket)?;
        // What is left of connections of an earlier start must not keep us from our port.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&local.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Listens on every address: on `port`, or else on `other_port`; 0 as `port` is not at all. That there is a web
    /// server on 443 already, or that it needs a right that we have not, is normal and only told.
    #[must_use]
    pub fn on_port(port: u16, other_port: u16) -> Option<Self> {
        if port == 0 {
            return None;
        }
        for port in [port, other_port] {
            match Self::on_every_address(port) {
                Ok(server) => {
                    tracing::info!(port, "streams over TCP are taken");
                    return Some(server);
                }
                Err(error) => tracing::info!(port, %error, "no streams over TCP on this port"),
            }
        }
        None
    }

    fn on_every_address(port: u16) -> io::Result<Self> {
        match Self::bind((Ipv6Addr::UNSPECIFIED, port).into()) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                // A kernel without IPv6, perhaps; if it is something else, it is said again.
                Self::bind((Ipv4Addr::UNSPECIFIED, port).into())
            }
            done => done,
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes connections for ever, each in a task of its own.
    pub(super) async fn serve(self, shared: Arc<Shared>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, remote)) => {
                    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                    match Slot::accepted(&shared, remote.ip(), clock::now()) {
                        Ok(slot) => {
                            tokio::spawn(connection::accept(Arc::clone(&shared), slot, stream, remote));
                        }
                        Err(refusal) => tracing::debug!(%remote, ?refusal, "a stream was not taken"),
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "no connection can be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
