//! The TUN device: where packets of the machine enter and leave the network.
//!
//! Synchronous and non-blocking; a worker polls it. Addresses, routes, MTU and up are netlink's business. The device
//! is not persistent: it goes when the last descriptor closes, kill -9 included.
//!
//! With offload (IFF_VNET_HDR; every Linux that we run on has it) one read brings a superpacket of up to 64 KiB that the kernel
//! has not cut yet, and one write takes one that it need not cut; an [`Offload`] says how it stands. Where the kernel refuses,
//! packets go one by one, whole, and [`Tun::offloads`] says so.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use overlay::fastpath::RUN_MAX;
use rustix::io::Errno;
use tun_rs::{DeviceBuilder, DeviceBuilderGuard, SyncDevice};
use wire::offload::{OFFLOAD_LENGTH, Offload};

/// The kernel's door to TUN.
pub(super) const DEVICE: &str = "/dev/net/tun";
/// Longest interface name, in bytes (IFNAMSIZ less the zero behind it).
pub const NAME_LENGTH_MAX: usize = 15;

/// How many threads are to read and write a TUN interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queues {
    /// One.
    One,
    /// Several ([`Tun::another_queue`]): the kernel gives a flow to the queue by which its other direction came last. A device
    /// that may have several costs the kernel a queueing discipline for each of 256.
    Several,
}

/// One queue of a TUN interface of our own.
pub struct Tun {
    device: SyncDevice,
    name: String,
    index: u32,
}

/// What the kernel does for us at a TUN: cuts what we join and leaves to us to cut what it has joined, and completes checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offloads {
    /// Nothing: packets go one by one.
    None,
    /// For TCP (Linux 2.6.27).
    Tcp,
    /// For UDP as well (Linux 6.2).
    TcpAndUdp,
}

/// Why there is no TUN interface.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The kernel has no TUN support, or the container does not pass it on.
    #[error(
        "{DEVICE} is missing: load it with `modprobe tun`, or give the container the device (--device {DEVICE})"
    )]
    NoDevice,
    /// The process may not make interfaces.
    #[error("making a network interface needs root or CAP_NET_ADMIN: run hopmesh with sudo")]
    NotPermitted,
    /// Some interface of that name exists, of whatever kind; it was left alone.
    #[error(
        "an interface named {name} exists already: set another `interface.name` in the configuration, or remove it with `ip link del {name}`"
    )]
    NameInUse {
        /// The name asked for.
        name: String,
    },
    /// The kernel would not take that name, or take it for a pattern.
    #[error(
        "{name:?} is no interface name: use 1 to {NAME_LENGTH_MAX} characters, none of them a blank, `/`, `:` or `%`"
    )]
    BadName {
        /// The name asked for.
        name: String,
    },
    /// Anything else the system said.
    #[error("cannot make a TUN interface: {0}")]
    Os(#[from] io::Error),
}

impl Tun {
    /// Makes the interface `name`, down and without addresses, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`TunError`].
    pub fn create(name: &str, queues: Queues) -> Result<Self, TunError> {
        if !is_name(name) {
            return Err(TunError::BadName { name: name.to_owned() });
        }
        // Asked before tun-rs is, which would make the device file where it is missing.
        if !Path::new(DEVICE).exists() {
            return Err(TunError::NoDevice);
        }
        // The kernel would hand us a persistent TUN of that name, whoever made it.
        if index_of(name)?.is_some() {
            return Err(TunError::NameInUse { name: name.to_owned() });
        }
        let build = |offload: bool| {
            let builder = DeviceBuilder::new().name(name).packet_information(false).inherit_enable_state();
            let set_queues = |builder: &mut DeviceBuilderGuard<'_>| {
                builder.multi_queue(queues == Queues::Several);
            };
            builder.offload(offload).with(set_queues).build_sync()
        };
        let device = match build(true) {
            Err(error) if refuses_offload(&error) => build(false),
            built => built,
        };
        let device = device.map_err(|error| refusal(error, name))?;
        device.set_nonblocking(true)?;
        let index = device.if_index()?;
        Ok(Self { device, name: name.to_owned(), index })
    }

    /// One more queue of an interface that was made for several.
    ///
    /// # Errors
    /// `Unsupported` for one that was not, and the kernel's own.
    pub fn another_queue(&self) -> io::Result<Self> {
        let device = self.device.try_clone()?;
        device.set_nonblocking(true)?;
        Ok(Self { device, name: self.name.clone(), index: self.index })
    }

    /// What the kernel does for us at this device.
    #[must_use]
    pub fn offloads(&self) -> Offloads {
        match (self.device.tcp_gso(), self.device.udp_gso()) {
            (false, _) => Offloads::None,
            (true, false) => Offloads::Tcp,
            (true, true) => Offloads::TcpAndUdp,
        }
    }

    /// Reads one packet or superpacket into `buffer`, behind [`OFFLOAD_LENGTH`] bytes that are ours, and says how it stands and how
    /// long it is; nothing is in it when the kernel gives something that it was not asked for.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; otherwise the interface is gone.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<(Offload, usize)> {
        if self.offloads() == Offloads::None {
            return Ok((Offload::NONE, self.device.recv(&mut buffer[OFFLOAD_LENGTH..])?));
        }
        let read = self.device.recv(buffer)?;
        let header = buffer[..read].first_chunk().and_then(|header| Offload::parse(header).ok());
        Ok(header.map_or((Offload::NONE, 0), |offload| (offload, read - OFFLOAD_LENGTH)))
    }

    /// Hands the machine one packet or superpacket, gathered from its parts, of which [`RUN_MAX`] are taken, and says how many bytes
    /// it took. Without offload it must be a whole packet.
    ///
    /// # Errors
    /// The kernel's own: `InvalidInput` for what is no IP packet, EIO while the interface is down.
    pub fn send<'a>(&self, offload: Offload, parts: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
        let header = offload.encode();
        let mut slices = [IoSlice::new(&[]); RUN_MAX + 1];
        let begin = usize::from(self.offloads() == Offloads::None);
        slices[0] = IoSlice::new(&header);
        let mut end = 1;
        for (slice, part) in slices[1..].iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            end += 1;
        }
        self.device.send_vectored(&slices[begin..end])
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's index in its network namespace.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl fmt::Debug for Tun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tun").field("name", &self.name).field("index", &self.index).finish_non_exhaustive()
    }
}

/// What the kernel takes for a name (`dev_valid_name`), less the pattern `%d`, which it would fill in.
fn is_name(name: &str) -> bool {
    (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || "/:%".contains(c))
}

fn index_of(name: &str) -> io::Result<Option<u32>> {
    // Any socket will do: it only says which network namespace is meant.
    let socket = UnixDatagram::unbound()?;
    match rustix::net::netdevice::name_to_index(&socket, name) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::NODEV) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a kernel may give the device without offload.
fn refuses_offload(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::INVAL | Errno::NOTTY | Errno::OPNOTSUPP)
    )
}

fn refusal(error: io::Error, name: &str) -> TunError {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::ACCESS) => TunError::NotPermitted,
        Some(Errno::BUSY | Errno::EXIST) => TunError::NameInUse { name: name.to_owned() },
        Some(Errno::NODEV | Errno::NXIO | Errno::NOENT) => TunError::NoDevice,
        _ => TunError::Os(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_kernel_would_refuse_or_fill_in_are_refused_first() {
        for name in
            ["", "a-name-of-16-chr", ".", "..", "a b", "a/b", "a:b", "hm%d", "a\tb", "a\0b", "é\u{a0}"]
        {
            assert!(
                matches!(Tun::create(name, Queues::One), Err(TunError::BadName { .. })),
                "{name:?} was taken"
            );
        }
        for name in ["hm-home", "a-name-of-15-ch", "x", "hm.1"] {
            assert!(is_name(name), "{name:?} was refused");
        }
    }

    #[test]
    fn an_interface_that_exists_is_left_alone() {
        let error = Tun::create("lo", Queues::One).unwrap_err();
        assert!(matches!(&error, TunError::NameInUse { name } if name == "lo"), "{error}");
        assert!(error.to_string().contains("interface named lo exists"), "{error}");
    }

    #[test]
    fn refusals_have_names() {
        let of = |errno: Errno| refusal(errno.into(), "hm-x");
        assert!(matches!(of(Errno::PERM), TunError::NotPermitted));
        assert!(matches!(of(Errno::BUSY), TunError::NameInUse { .. }));
        assert!(matches!(of(Errno::NODEV), TunError::NoDevice));
        assert!(matches!(of(Errno::NOMEM), TunError::Os(_)));
    }
}
