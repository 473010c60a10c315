//! Are command line, daemon and unit of one version?

use std::path::{Path, PathBuf};

use super::{Outcome, Reached, Surroundings};
use crate::io::{inspect, program};
use crate::systemd::{self, Systemd};

/// Behind the path of a file that is gone, as the kernel writes it.
const DELETED: &str = " (deleted)";

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
}

pub(super) fn check(around: &Surroundings) -> Outcome {
    let daemon = match &around.reached {
        Reached::Up(answers) => Some(answers.status.version.clone()),
        Reached::Down | Reached::NotPermitted | Reached::Silent(_) => None,
    };
    let systemd = Systemd::at(Path::new("/"));
    let unit = (systemd.has_booted() && systemd.has_unit()).then(|| unit_binary(&around.network)).flatten();
    judge(&Facts {
        ours: env!("CARGO_PKG_VERSION"),
        daemon,
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
    let Facts { ours, daemon, running, unit, called } = facts;
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
    Outcome::worst(found, || match daemon {
        Some(_) => Outcome::ok(format!("daemon and command are both {ours}; what peers run is not known")),
        None => Outcome::ok(format!("this command is {ours}; the daemon's version is not known")),
    })
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
        };
        let bin = "/usr/bin/hopmesh";
        assert_eq!(judge(&facts("0.2.0", bin, bin)).word(), "ok");
        assert_eq!(judge(&Facts { ours: "0.2.0", ..Facts::default() }).word(), "ok");
        assert!(judge(&facts("0.1.0", bin, bin)).reason().contains("0.1.0"));
        assert!(judge(&facts("0.2.0", "/usr/bin/hopmesh (deleted)", bin)).reason().contains("replaced"));
        assert!(judge(&facts("0.2.0", bin, "/usr/local/bin/hopmesh")).reason().contains("/usr/local/bin"));
    }

    #[test]
    fn the_units_program_is_read() {
        let said = "ExecStart={ path=/usr/bin/hopmesh ; argv[]=/usr/bin/hopmesh up ; ignore_errors=no }\n";
        assert_eq!(started(said), Some("/usr/bin/hopmesh".into()));
        assert_eq!(started("ExecStart=\n"), None);
    }
}
