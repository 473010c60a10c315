//! What `doctor` and `bug-report` read of the machine without changing it: processes, sockets, interfaces, disk and clock.

use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::tun::DEVICE;
use nix::libc;
use rustix::fs::statvfs;
use rustix::net::sockopt::socket_peercred;

/// Open files of a process that are looked at; a daemon has some dozens.
const OPEN_FILES_MAX: usize = 4096;
/// Processes that are looked at, and sockets of one protocol.
const LISTED_MAX: usize = 65_536;

/// Why a TUN device cannot be opened; `None`: it can.
#[must_use]
pub fn tun_obstacle() -> Option<io::Error> {
    File::options().read(true).write(true).open(DEVICE).err()
}

/// The process that listens at a unix socket, and its user; `None` where nobody does, or we may not ask.
#[must_use]
pub fn listener(socket: &Path) -> Option<(u32, u32)> {
    let credentials = socket_peercred(UnixStream::connect(socket).ok()?).ok()?;
    Some((u32::try_from(credentials.pid.as_raw_nonzero().get()).ok()?, credentials.uid.as_raw()))
}

/// The effective capabilities of a process, one bit each.
#[must_use]
pub fn capabilities(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The file that a process runs; the kernel writes ` (deleted)` behind one that was replaced. `None`: we may not look.
#[must_use]
pub fn executable(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Inodes of the UDP sockets that are bound to `port`, in either family.
///
/// # Errors
/// The kernel's own, when it shows none.
pub fn udp_sockets(port: u16) -> io::Result<Vec<u64>> {
    let mut inodes = sockets_of(&fs::read_to_string("/proc/net/udp")?, port);
    // A kernel without IPv6 has no such file.
    if let Ok(table) = fs::read_to_string("/proc/net/udp6") {
        inodes.extend(sockets_of(&table, port));
    }
    Ok(inodes)
}

fn sockets_of(table: &str, port: u16) -> Vec<u64> {
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        (u16::from_str_radix(local_port, 16) == Ok(port)).then_some(())?;
        fields.get(9)?.parse().ok()
    };
    table.lines().skip(1).take(LISTED_MAX).filter_map(inode).collect()
}

/// Processes that have one of these sockets open, with their names, as far as we may look.
#[must_use]
pub fn holders(inodes: &[u64]) -> Vec<(u32, String)> {
    let wanted: Vec<PathBuf> =
        inodes.iter().map(|inode| PathBuf::from(format!("socket:[{inode}]"))).collect();
    let Ok(processes) = fs::read_dir("/proc") else { return vec![] };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let holds = |pid: &u32| {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut targets = files.take(OPEN_FILES_MAX).filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        targets.any(|target| wanted.contains(&target))
    };
    let name = |pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        (pid, name.trim().to_owned())
    };
    let mut holders: Vec<_> = pids.take(LISTED_MAX).filter(holds).map(name).collect();
    holders.sort();
    holders
}

/// The largest packet of an interface, in bytes; `None` where there is no such interface.
#[must_use]
pub fn interface_mtu(interface: &str) -> Option<u32> {
    // A name with a slash would lead elsewhere.
    if interface.is_empty() || interface.contains('/') || interface.starts_with('.') {
        return None;
    }
    fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).ok()?.trim().parse().ok()
}

/// Bytes that this user can still write where `path` is.
///
/// # Errors
/// The kernel's own.
pub fn free_space(path: &Path) -> io::Result<u64> {
    let space = statvfs(path)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Whether something keeps the clock right, as the kernel sees it; `None` where it does not say.
#[must_use]
#[expect(unsafe_code, reason = "no crate of ours has this system call")]
pub fn is_clock_synchronised() -> Option<bool> {
    let mut state = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zeros are a valid `timex`, and one with no mode is only written to, for the time of the call.
    let (said, state) = unsafe { (libc::adjtimex(state.as_mut_ptr()), state.assume_init()) };
    (said >= 0).then_some(said != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}

/// Tables of the older kind of iptables, which `nft` does not show. `None`: we may not look.
#[must_use]
pub fn legacy_firewall_tables() -> Option<Vec<String>> {
    let mut tables = Vec::new();
    for file in ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"] {
        match fs::read_to_string(file) {
            Ok(text) => tables.extend(text.lines().map(str::to_owned)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    tables.sort();
    tables.dedup();
    Some(tables)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn who_holds_a_port_is_found() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = UdpSocket::bind(address) else { continue };
            let port = socket.local_addr().unwrap().port();
            let inodes = udp_sockets(port).unwrap();
            assert_eq!(inodes.len(), 1, "{address}");
            let holders = holders(&inodes);
            assert!(holders.iter().any(|(pid, _)| *pid == std::process::id()), "{holders:?}");
        }
        assert_eq!(sockets_of("head\n1: 0100007F:A028 0:0 07 0 0 0 0 0 77 2\n", 41000), [77]);
        assert_eq!(sockets_of("head\nshort\n1: 0100007F:A028 0:0\n", 41000), Vec::<u64>::new());
    }

    #[test]
    fn this_process_is_read() {
        let own = std::process::id();
        assert!(capabilities(own).is_some());
        assert_eq!(executable(own), std::env::current_exe().ok());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        assert_eq!(listener(&path), None);
        let _listening = UnixListener::bind(&path).unwrap();
        assert_eq!(listener(&path), Some((own, crate::io::host::effective_uid())));
        assert!(free_space(directory.path()).is_ok());
        assert!(free_space(&path.join("absent")).is_err());
    }

    #[test]
    fn interfaces_are_found_by_plain_names_only() {
        assert!(interface_mtu("lo").is_some_and(|mtu| mtu >= 1280));
        for name in ["", "no-such-device", "../net/lo", "./lo"] {
            assert_eq!(interface_mtu(name), None, "{name:?}");
        }
    }

    #[test]
    fn the_kernel_says_how_the_clock_is() {
        assert!(is_clock_synchronised().is_some());
    }
}
