//! What a service manager is told of this process, by datagrams on the socket that it names (sd_notify(3)).
//!
//! Nothing is ever waited for: a manager that does not listen is no reason to stand still.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

/// Names the socket: a path, or `@` and an abstract name.
const SOCKET: &str = "NOTIFY_SOCKET";
/// Microseconds after which a process that was not heard of counts as stuck.
const WATCHDOG: &str = "WATCHDOG_USEC";
/// The process that the watchdog is about.
const WATCHDOG_PID: &str = "WATCHDOG_PID";
/// A tick of the watchdog comes so many times in its time, as sd_watchdog_enabled(3) advises.
const TICKS_PER_WATCHDOG: u32 = 2;
/// How often the state is told where there is no watchdog.
const STATUS_INTERVAL: Duration = Duration::from_secs(15);

/// The way to the service manager; without one all is said to nobody.
#[derive(Debug, Default)]
pub struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    /// What was last told as the state.
    status: String,
}

impl Notifier {
    /// The manager that has started this process, if one has, and wants to hear of it.
    #[must_use]
    pub fn from_environment() -> Self {
        let socket = env::var_os(SOCKET).filter(|socket| !socket.is_empty());
        let Some(socket) = socket else { return Self::default() };
        let watchdog = watchdog(
            env::var(WATCHDOG).ok().as_deref(),
            env::var(WATCHDOG_PID).ok().as_deref(),
            std::process::id(),
        );
        Self::new(socket.as_bytes(), watchdog).unwrap_or_else(|error| {
            tracing::warn!(%error, "{SOCKET} cannot be used: the service manager is told nothing");
            Self::default()
        })
    }

    fn new(socket: &[u8], watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match socket.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(socket)))?,
        };
        let datagram = UnixDatagram::unbound()?;
        datagram.set_nonblocking(true)?;
        Ok(Self { manager: Some((datagram, address)), watchdog, status: String::new() })
    }

    /// How often [`Notifier::tick`] is to be called; `None` when nobody listens.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        self.manager.as_ref()?;
        Some(self.watchdog.map_or(STATUS_INTERVAL, |watchdog| watchdog / TICKS_PER_WATCHDOG))
    }

    /// The node is up.
    pub fn ready(&mut self, status: &str) {
        status.clone_into(&mut self.status);
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// We are alive, and this is our state, in one line.
    pub fn tick(&mut self, status: &str) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
        if self.status != status {
            status.clone_into(&mut self.status);
            self.send(&format!("STATUS={}", one_line(status)));
        }
    }

    /// The node goes down.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=going down");
    }

    fn send(&self, message: &str) {
        let Some((socket, manager)) = &self.manager else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), manager) {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }
}

/// A line end would begin another assignment.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The time of the watchdog, if there is one and it is about the process `us`.
fn watchdog(microseconds: Option<&str>, pid: Option<&str>, us: u32) -> Option<Duration> {
    let is_for_us = pid.is_none_or(|pid| pid.parse() == Ok(us));
    let microseconds = microseconds?.parse::<u64>().ok().filter(|time| is_for_us && *time > 0)?;
    Some(Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCHDOG: Duration = Duration::from_secs(30);

    fn heard(manager: &UnixDatagram) -> Vec<String> {
        manager.set_nonblocking(true).unwrap();
        let mut buffer = [0; 512];
        let next = || {
            let length = manager.recv(&mut buffer).ok()?;
            Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_life_is_told_on_a_socket_with_a_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut notifier = Notifier::new(path.as_os_str().as_bytes(), Some(WATCHDOG)).unwrap();
        assert_eq!(notifier.interval(), Some(WATCHDOG / 2));
        notifier.ready("up");
        notifier.tick("up");
        notifier.tick("up\nREADY=0");
        notifier.stopping();
        let said = [
            "READY=1\nSTATUS=up",
            "WATCHDOG=1",
            "WATCHDOG=1",
            "STATUS=up READY=0",
            "STOPPING=1\nSTATUS=going down",
        ];
        assert_eq!(heard(&manager), said);
    }

    #[test]
    fn an_abstract_socket_and_no_watchdog_do_as_well() {
        let name = format!("hopmesh-notify-test-{}", std::process::id());
        let manager =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes()).unwrap()).unwrap();
        let mut notifier = Notifier::new(format!("@{name}").as_bytes(), None).unwrap();
        assert_eq!(notifier.interval(), Some(STATUS_INTERVAL));
        notifier.ready("up");
        notifier.tick("up");
        notifier.tick("1 peer");
        assert_eq!(heard(&manager), ["READY=1\nSTATUS=up", "STATUS=1 peer"]);
    }

    #[test]
    fn nobody_who_listens_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gone");
        let mut notifier = Notifier::new(path.as_os_str().as_bytes(), Some(WATCHDOG)).unwrap();
        notifier.ready("up");
        notifier.tick("up");
        let mut nobody = Notifier::default();
        assert_eq!(nobody.interval(), None);
        nobody.ready("up");
        nobody.stopping();
        assert!(Notifier::new(&[b'x'; 200], None).is_err(), "longer than a socket's path can be");
    }

    #[test]
    fn a_manager_that_reads_nothing_does_not_hold_us_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let mut notifier = Notifier::new(path.as_os_str().as_bytes(), Some(WATCHDOG)).unwrap();
        (0..10_000).for_each(|_| notifier.tick("up"));
    }

    #[test]
    fn a_watchdog_is_for_the_process_that_it_names() {
        assert_eq!(watchdog(Some("30000000"), None, 7), Some(WATCHDOG));
        assert_eq!(watchdog(Some("30000000"), Some("7"), 7), Some(WATCHDOG));
        for (microseconds, pid) in
            [(None, None), (Some("0"), None), (Some("-1"), None), (Some("30000000"), Some("8"))]
        {
            assert_eq!(watchdog(microseconds, pid, 7), None, "{microseconds:?} {pid:?}");
        }
    }
}
