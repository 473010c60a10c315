//! Who may control the daemon.
//!
//! The socket's mode already keeps others out; this is the second lock, for a socket whose mode
//! somebody changed, and it is the one that answers in words.

use tokio::net::UnixStream;

use super::GROUP;
use super::accounts::Accounts;

/// The process at the other end of a connection, as the kernel vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// Effective user.
    pub(super) uid: u32,
    /// Effective primary group.
    pub(super) gid: u32,
    /// Groups that list the user.
    pub(super) groups: Vec<u32>,
}

/// Whether a connection may command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes.
    Granted,
    /// No, and whom (if the kernel says).
    Denied { uid: Option<u32> },
}

impl Admission {
    /// Decides about the process behind `stream`. Reads the account files for ordinary users only,
    /// and anew each time, so that a new member of the group need not restart the daemon.
    pub(super) fn of(stream: &UnixStream, daemon_uid: u32) -> Self {
        let Ok(credentials) = stream.peer_cred() else { return Self::Denied { uid: None } };
        let (uid, gid) = (credentials.uid(), credentials.gid());
        if may_control(&Caller { uid, gid, groups: Vec::new() }, daemon_uid, None) {
            return Self::Granted;
        }
        let accounts = Accounts::read();
        let caller = Caller { uid, gid, groups: accounts.groups_of(uid) };
        if may_control(&caller, daemon_uid, accounts.group_id(GROUP)) {
            Self::Granted
        } else {
            Self::Denied { uid: Some(uid) }
        }
    }

    /// `PERMISSION_DENIED` with a sentence for people, unless granted.
    pub(super) fn check(self) -> Result<(), tonic::Status> {
        let who = match self {
            Self::Granted => return Ok(()),
            Self::Denied { uid: Some(uid) } => format!("user {uid}"),
            Self::Denied { uid: None } => "an unknown user".to_owned(),
        };
        let advice = format!("run as root or join the group {GROUP}");
        Err(tonic::Status::permission_denied(format!("{who} may not control this daemon: {advice}")))
    }
}

/// Root, the daemon's own user, and members of the group `hopmesh` (`group`, if there is one) may.
fn may_control(caller: &Caller, daemon_uid: u32, group: Option<u32>) -> bool {
    caller.uid == 0
        || caller.uid == daemon_uid
        || group.is_some_and(|group| caller.gid == group || caller.groups.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32, gid: u32, groups: &[u32]) -> Caller {
        Caller { uid, gid, groups: groups.to_vec() }
    }

    #[test]
    fn only_root_the_daemons_user_and_the_group_pass() {
        let (daemon, hopmesh) = (500, Some(990));
        for (who, passes) in [
            (caller(0, 0, &[]), true),
            (caller(500, 500, &[]), true),
            (caller(1000, 990, &[]), true),
            (caller(1000, 1000, &[27, 990]), true),
            (caller(1000, 1000, &[27]), false),
            (caller(1000, 500, &[500]), false),
            (caller(990, 1000, &[]), false),
            (caller(u32::MAX, 0, &[0]), false),
        ] {
            assert_eq!(may_control(&who, daemon, hopmesh), passes, "{who:?}");
        }
        assert!(!may_control(&caller(1000, 0, &[0]), daemon, None), "no group, no members");
    }

    #[test]
    fn a_denial_says_who_and_what_to_do() {
        let status = Admission::Denied { uid: Some(1000) }.check().unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
        assert_eq!(
            status.message(),
            "user 1000 may not control this daemon: run as root or join the group hopmesh"
        );
        assert!(Admission::Denied { uid: None }.check().is_err());
        assert!(Admission::Granted.check().is_ok());
    }

    #[tokio::test]
    async fn our_own_process_is_the_daemons_user() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(Admission::of(&ours, uid), Admission::Granted);
    }
}
