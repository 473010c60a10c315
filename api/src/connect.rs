//! Reaches a running daemon through its unix socket.

use std::io;
use std::path::Path;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// A client of the daemon behind one socket.
///
/// It is bound to the connection it was made with: when that ends, calls fail with `UNAVAILABLE`
/// instead of reaching whatever daemon listens there by then.
pub type ControlClient = crate::generated::control_client::ControlClient<Channel>;

/// Why a daemon could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no socket, or nobody listens on it.
    #[error("no daemon is running")]
    NoDaemon,
    /// The socket is there, but this user may not use it.
    #[error("this user may not control the daemon")]
    NotPermitted,
    /// The operating system refused in another way.
    #[error("cannot reach the daemon: {0}")]
    Os(#[source] io::Error),
}

/// gRPC wants a URI where a unix socket has none; it is sent as `:authority` and read by nobody.
const AUTHORITY: &str = "http://hopmesh";

/// Connects to the daemon that listens on the unix socket at `path`.
///
/// # Errors
///
/// See [`ConnectError`].
pub async fn connect(path: &Path) -> Result<ControlClient, ConnectError> {
    let stream = UnixStream::connect(path).await.map_err(refused)?;
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = once.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { stream }
    });
    let channel = Endpoint::from_static(AUTHORITY)
        .connect_with_connector(connector)
        .await
        .map_err(|e| ConnectError::Os(io::Error::other(e)))?;
    Ok(ControlClient::new(channel))
}

fn refused(error: io::Error) -> ConnectError {
    use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    if matches!(error.kind(), NotFound | ConnectionRefused) {
        ConnectError::NoDaemon
    } else if error.kind() == PermissionDenied {
        ConnectError::NotPermitted
    } else {
        ConnectError::Os(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn failure(path: &Path) -> ConnectError {
        connect(path).await.expect_err("nobody listens")
    }

    #[tokio::test]
    async fn absent_and_stale_sockets_mean_no_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        assert!(matches!(failure(&path).await, ConnectError::NoDaemon));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a closed listener leaves its file behind");
        assert!(matches!(failure(&path).await, ConnectError::NoDaemon));
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_is_an_os_error() {
        let error = failure(Path::new(&format!("/{}", "x".repeat(200)))).await;
        assert!(matches!(error, ConnectError::Os(_)), "{error}");
    }

    #[test]
    fn permission_is_told_apart() {
        let error = refused(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(error, ConnectError::NotPermitted));
    }
}
