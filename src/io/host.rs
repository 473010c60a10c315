//! What the daemon asks of its own process and machine: a name to suggest, who it runs as, no core files.

use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, geteuid, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Where the kernel keeps the machine's name.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";
/// Descriptors that we would have.
const DESCRIPTORS: u64 = 4096;
/// Longest DNS label, in bytes (RFC 1035).
const LABEL_LENGTH_MAX: usize = 63;

/// The machine's name as a DNS label in lower case, to be suggested as the node's name; `None` when the machine
/// has none worth the name.
#[must_use]
pub fn hostname() -> Option<String> {
    label(&std::fs::read_to_string(HOSTNAME).ok()?)
}

/// The first label of `hostname`, made valid: what is no letter or digit becomes a hyphen.
fn label(hostname: &str) -> Option<String> {
    let first = hostname.trim().split('.').next()?;
    let mapped: String = first
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(LABEL_LENGTH_MAX)
        .collect();
    let label = mapped.trim_matches('-');
    (!label.is_empty() && label != "localhost" && label != "none").then(|| label.to_owned())
}

/// The user this process acts as; 0 is root.
#[must_use]
pub fn effective_uid() -> u32 {
    geteuid().as_raw()
}

/// Keeps the keys in memory out of core files, and other processes of this user from attaching to us.
/// To be called before the first key is made or read.
///
/// # Errors
/// The kernel's own, when it refuses.
pub fn protect_memory() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Lets this process have more descriptors than most are given, as far as it may: 1024 would do for all that we bound, but not for
/// what libraries and descriptors that were inherited take besides.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted) {
        // Then it is as it was.
        let _refused = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn a_hostname_becomes_a_label() {
        for (hostname, expected) in [
            ("Laptop\n", Some("laptop")),
            ("web-1.example.org\n", Some("web-1")),
            ("Zoë's_Mac", Some("zo--s-mac")),
            ("-edge-", Some("edge")),
            ("(none)", None),
            ("localhost.localdomain", None),
            ("", None),
            (".", None),
            ("___", None),
        ] {
            assert_eq!(label(hostname).as_deref(), expected, "of {hostname:?}");
        }
    }

    #[test]
    fn a_label_is_cut_to_63_bytes() {
        assert_eq!(label(&"a".repeat(200)).map(|l| l.len()), Some(63));
        assert_eq!(label(&format!("{}-b", "a".repeat(62))).map(|l| l.len()), Some(62));
    }

    #[test]
    fn this_machine_is_asked() {
        let raw = std::fs::read_to_string(HOSTNAME).unwrap();
        assert_eq!(hostname(), label(&raw));
    }

    #[test]
    fn memory_stays_out_of_core_files() {
        protect_memory().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }
}
