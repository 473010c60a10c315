//! May the daemon do what it has to?

use super::{Outcome, Surroundings};
use crate::io::inspect;

/// Sets addresses, routes and the interface: without it nothing works. Numbers as in capabilities(7).
const NET_ADMIN: u32 = 12;
/// Port 53, where names are answered, and 443, where streams begin.
const NET_BIND_SERVICE: u32 = 10;

pub(super) fn check(around: &Surroundings) -> Outcome {
    match around.daemon {
        Some((pid, _)) => judge(inspect::capabilities(pid)),
        None => around.answers().err().unwrap_or_else(|| judge(None)),
    }
}

fn judge(effective: Option<u64>) -> Outcome {
    let Some(effective) = effective else {
        return Outcome::skipped("this user does not see the daemon's process");
    };
    let has = |number: u32| effective & (1 << number) != 0;
    let grant = "let the unit have it (AmbientCapabilities=, `hopmesh service install` writes it), or run `hopmesh up` as root";
    match (has(NET_ADMIN), has(NET_BIND_SERVICE)) {
        (true, true) => Outcome::ok("the daemon has CAP_NET_ADMIN and CAP_NET_BIND_SERVICE"),
        (false, _) => Outcome::failed("the daemon lacks CAP_NET_ADMIN", grant),
        (true, false) => Outcome::warning(
            "the daemon lacks CAP_NET_BIND_SERVICE, so it can neither answer names at port 53 nor take streams at 443",
            grant,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named() {
        assert_eq!(judge(Some(0x1ff_ffff_ffff)).word(), "ok", "root");
        assert_eq!(judge(Some(0x1400)).word(), "ok", "the unit");
        assert_eq!(judge(Some(0x1000)).word(), "warning");
        assert!(judge(Some(0)).reason().contains("CAP_NET_ADMIN"));
        assert_eq!(judge(Some(0x400)).word(), "failed");
        assert_eq!(judge(None).word(), "skipped");
    }
}
