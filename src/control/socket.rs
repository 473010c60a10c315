//! The daemon's unix socket as a file: made with its final mode and owner before anybody sees it,
//! taken over when its daemon is dead, removed when ours ends.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::GROUP;
use super::accounts::Accounts;

/// Read and write, which for a socket is to connect, for owner and group.
const SOCKET_MODE: u32 = 0o660;
/// The directory above it is for all to pass: the sockets in it guard themselves.
const DIRECTORY_MODE: u32 = 0o755;

/// Why the socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A daemon answers at this path.
    #[error("a daemon is already running: {} is in use", .0.display())]
    InUse(PathBuf),
    /// There is something at this path that is no socket, and not ours to remove.
    #[error("{} is in the way and is no socket: remove it", .0.display())]
    NotASocket(PathBuf),
    /// The operating system refused.
    #[error("cannot make the control socket {}: {error}", path.display())]
    Os {
        /// Where the socket was to be.
        path: PathBuf,
        /// What it said.
        #[source]
        error: io::Error,
    },
}

/// The listening control socket. Its file is removed on drop, unless another has taken its place.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode, by which our file is known.
    file: (u64, u64),
}

impl Socket {
    /// Makes the socket at `path`, and the directory above it where that is missing; replaces a
    /// socket nobody listens on. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// See [`SocketError`].
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let os = |error| SocketError::Os { path: path.to_owned(), error };
        check_free(path)?;
        if let Some(directory) = path.parent() {
            create_directory(directory).map_err(os)?;
        }
        // Bound beside its place and renamed, so that no one ever sees it with another mode.
        let fresh = beside(path);
        remove_if_there(&fresh).map_err(os)?;
        let listener = UnixListener::bind(&fresh).map_err(os)?;
        let file = dress(&fresh).and_then(|()| identity(&fresh)).map_err(os)?;
        fs::rename(&fresh, path).map_err(os)?;
        Ok(Self { listener, path: path.to_owned(), file })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the control socket");
        }
    }
}

/// Refuses a path where a daemon listens or something lies that is no socket.
fn check_free(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SocketError::Os { path: path.to_owned(), error }),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match StdStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SocketError::Os { path: path.to_owned(), error }),
    }
}

fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
    // The umask has taken its share.
    fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))
}

/// `path~`: one character, because socket paths are short (108 bytes on Linux).
fn beside(path: &Path) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push("~");
    text.into()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Gives the socket its group, then its mode. Without the group, or without the right to give it
/// away, root and the daemon's own user are left.
fn dress(path: &Path) -> io::Result<()> {
    // A service's own group is this one, and it may give nothing away.
    if let Some(gid) = Accounts::read().group_id(GROUP)
        && fs::symlink_metadata(path)?.gid() != gid
        && let Err(error) = chown(path, None, Some(gid))
    {
        tracing::warn!(%error, "cannot give the control socket to group {GROUP}: its members must use sudo");
    }
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[tokio::test]
    async fn makes_directory_and_socket_with_their_modes_and_removes_the_socket() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run/home.sock");
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(mode(&path), 0o660);
        assert_eq!(mode(path.parent().unwrap()), 0o755);
        assert!(!beside(&path).exists());
        if let Some(gid) = Accounts::read().group_id(GROUP) {
            assert_eq!(fs::metadata(&path).unwrap().gid(), gid);
        }
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn leaves_the_mode_of_a_directory_that_is_there() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o700)).unwrap();
        let _socket = Socket::bind(&root.path().join("control.sock")).unwrap();
        assert_eq!(mode(root.path()), 0o700);
    }

    #[tokio::test]
    async fn replaces_the_socket_of_a_dead_daemon_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(std::os::unix::net::UnixListener::bind(beside(&path)).unwrap());
        let living = Socket::bind(&path).unwrap();
        let error = Socket::bind(&path).unwrap_err();
        assert!(matches!(error, SocketError::InUse(_)), "{error}");
        assert!(error.to_string().starts_with("a daemon is already running"), "{error}");
        drop(living);
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Socket::bind(&path), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_successors_socket_survives_our_end() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("control.sock");
        let first = Socket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = Socket::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
