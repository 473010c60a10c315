//! Are command line, daemon and unit of one version, and is any peer of a later one?

use std::path::{Path, PathBuf};

use wire::Revision;

use super::{Outcome, Surroundings};
use crate::io::{inspect, program};
use crate::systemd::{self, Systemd};

/// Behind the path of a file that is gone, as the kernel writes it.
const DELETED: &str = " (deleted)";
/// Peers that are named; of more it is said how many.
const NAMED_MAX: usize = 3;

/// What is known of programs; `None`: not seen.
#[derive(Debug, Default)]
struct Facts {
    ours: &'static str,
    /// The version of the daemon.
    daemon: Option<String>,
    /// What the daemon's process runs.
    running: Option<PathBuf>,
    /// What the unit would start.
    unit: Option<PathBuf>,
    /// What was called now.
    called: Option<PathBuf>,
    /// Peers that have told, and the highest revision of the protocol that each speaks.
    peers: Vec<(String, u32)>,
}

pub(super) fn check(around: &Surroundings) -> Outcome {
    let status = around.answers().ok().map(|answers| &answers.status);
    let told = |peer: &api::Peer| Some((peer.name.clone(), peer.revision_highest?));
    let systemd = Systemd::at(Path::new("/"));
    let unit = (systemd.has_booted() && systemd.has_unit()).then(|| unit_binary(&around.network)).flatten();
    judge(&Facts {
        ours: env!("CARGO_PKG_VERSION"),
        daemon: status.map(|status| status.version.clone()),
        peers: status.into_iter().flat_map(|status| status.peers.iter().filter_map(told)).collect(),
        running: around.daemon.and_then(|(pid, _)| inspect::executable(pid)),
        unit,
        called: std::env::current_exe().ok(),
    })
}

/// The program that the unit starts.
fn unit_binary(network: &str) -> Option<PathBuf> {
    let unit = systemd::unit(network);
    started(&program::run("systemctl", &["show", "--property=ExecStart", &unit]).ok()?)
}

/// `ExecStart={ path=/usr/bin/hopmesh ; argv[]=… }`.
fn started(text: &str) -> Option<PathBuf> {
    let (path, _) = text.split_once("path=")?.1.split_once(" ;")?;
    Some(path.into())
}

fn judge(facts: &Facts) -> Outcome {
    let Facts { ours, daemon, running, unit, called, peers } = facts;
    let mut found = Vec::new();
    if let Some(daemon) = daemon.as_ref().filter(|daemon| daemon != ours) {
        found.push(Outcome::warning(
            format!("the daemon is version {daemon}, this command {ours}"),
            "restart the daemon, so that both are of one version",
        ));
    }
    if running.as_ref().is_some_and(|path| path.to_string_lossy().ends_with(DELETED)) {
        found.push(Outcome::warning(
            "the daemon runs a program that was replaced since it started",
            "restart the daemon, so that it runs the new one",
        ));
    }
    if let (Some(unit), Some(called)) = (unit, called)
        && unit != called
    {
        found.push(Outcome::warning(
            format!("the unit starts {}, and this command is {}", unit.display(), called.display()),
            "remove one of the two, or have the unit start this one with `hopmesh service install`",
        ));
    }
    found.extend(judge_peers(peers));
    Outcome::worst(found, || match daemon {
        Some(_) if peers.is_empty() => {
            Outcome::ok(format!("daemon and command are both {ours}; what peers run is not known"))
        }
        Some(_) => Outcome::ok(format!(
            "daemon and command are both {ours}; no peer speaks a later revision of the protocol"
        )),
        None => Outcome::ok(format!("this command is {ours}; the daemon's version is not known")),
    })
}

/// Whether this machine is behind others: what those tell each other it does not understand.
fn judge_peers(peers: &[(String, u32)]) -> Option<Outcome> {
    let ours = u32::from(Revision::CURRENT.number());
    let later: Vec<&(String, u32)> = peers.iter().filter(|(_, theirs)| *theirs > ours).collect();
    let latest = later.iter().map(|(_, theirs)| theirs).max()?;
    let names: Vec<&str> = later.iter().take(NAMED_MAX).map(|(name, _)| name.as_str()).collect();
    let more = later.len() - names.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(Outcome::warning(
        format!(
            "this machine is older than {}{more}: revision {latest} of the protocol is spoken there, {ours} here",
            names.join(", ")
        ),
        "upgrade Hopmesh here, then restart the daemon",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_between_command_daemon_and_unit_is_told() {
        let facts = |daemon: &str, running: &str, unit: &str| Facts {
            ours: "0.2.0",
            daemon: Some(daemon.to_owned()),
            running: Some(running.into()),
            unit: Some(unit.into()),
            called: Some("/usr/bin/hopmesh".into()),
            peers: vec![],
        };
        let bin = "/usr/bin/hopmesh";
        assert_eq!(judge(&facts("0.2.0", bin, bin)).word(), "ok");
        assert_eq!(judge(&Facts { ours: "0.2.0", ..Facts::default() }).word(), "ok");
        assert!(judge(&facts("0.1.0", bin, bin)).reason().contains("0.1.0"));
        assert!(judge(&facts("0.2.0", "/usr/bin/hopmesh (deleted)", bin)).reason().contains("replaced"));
        assert!(judge(&facts("0.2.0", bin, "/usr/local/bin/hopmesh")).reason().contains("/usr/local/bin"));
    }

    #[test]
    fn peers_of_a_later_version_are_named() {
        let beside = |peers: &[(&str, u32)]| {
            let peers = peers.iter().map(|(name, revision)| ((*name).to_owned(), *revision)).collect();
            judge(&Facts { ours: "0.2.0", daemon: Some("0.2.0".to_owned()), peers, ..Facts::default() })
        };
        let ours = u32::from(Revision::CURRENT.number());
        let same = beside(&[("b", ours), ("c", 1)]);
        assert!(same.word() == "ok" && same.reason().contains("no peer speaks a later"), "{same:?}");
        let late = beside(&[("b", ours), ("c", 900), ("d", 901)]);
        let words = format!("older than c, d: revision 901 of the protocol is spoken there, {ours} here");
        assert!(late.word() == "warning" && late.reason().contains(&words), "{late:?}");
        let many: Vec<(&str, u32)> = ["b", "c", "d", "e", "f"].map(|name| (name, 900)).to_vec();
        assert!(beside(&many).reason().contains("older than b, c, d and 2 more"));
    }

    #[test]
    fn the_units_program_is_read() {
        let said = "ExecStart={ path=/usr/bin/hopmesh ; argv[]=/usr/bin/hopmesh up ; ignore_errors=no }\n";
        assert_eq!(started(said), Some("/usr/bin/hopmesh".into()));
        assert_eq!(started("ExecStart=\n"), None);
    }
}
