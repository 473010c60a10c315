//! Can TUN interfaces be made?

use std::io;

use rustix::io::Errno;

use super::{Outcome, Surroundings};
use crate::io::inspect;

pub(super) fn check(_: &Surroundings) -> Outcome {
    judge(inspect::tun_obstacle().as_ref())
}

fn judge(obstacle: Option<&io::Error>) -> Outcome {
    let Some(error) = obstacle else { return Outcome::ok("/dev/net/tun can be opened") };
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => Outcome::failed(
            "there is no /dev/net/tun",
            "load the module with `modprobe tun`; in a container, pass the device in (`--device /dev/net/tun`)",
        ),
        Some(Errno::NODEV | Errno::NXIO) => Outcome::failed(
            "/dev/net/tun has no driver behind it",
            "load the module with `modprobe tun`; if there is none, boot the newest installed kernel",
        ),
        Some(Errno::PERM) => Outcome::failed(
            "/dev/net/tun is kept from this process, as containers and device policies do",
            "allow the device 10:200 (`--device /dev/net/tun`, or `DeviceAllow=/dev/net/tun rw`)",
        ),
        Some(Errno::ACCESS) => Outcome::warning(
            "/dev/net/tun may not be opened by this user",
            "run the doctor as root; Debian's own mode is 0666",
        ),
        _ => Outcome::failed(format!("/dev/net/tun cannot be opened: {error}"), "look at `dmesg` for why"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_obstacle_has_its_cure() {
        assert_eq!(judge(None).word(), "ok");
        for (errno, word, cure) in [
            (Errno::NOENT, "failed", "modprobe"),
            (Errno::NODEV, "failed", "kernel"),
            (Errno::PERM, "failed", "DeviceAllow"),
            (Errno::ACCESS, "warning", "root"),
            (Errno::IO, "failed", "dmesg"),
        ] {
            let outcome = judge(Some(&errno.into()));
            assert_eq!(outcome.word(), word, "{errno:?}");
            assert!(outcome.to_do().unwrap().contains(cure), "{outcome:?}");
        }
    }
}
