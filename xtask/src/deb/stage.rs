//! The files of the package, where they will lie.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Build, unusable};
use crate::process::{Failure, output, run};

/// Files of the checkout that are installed as they are, and where.
const FILES: [(&str, &str); 24] = [
    ("systemd/hopmesh@.service", "usr/lib/systemd/system/hopmesh@.service"),
    ("systemd/hopmesh-guard@.service", "usr/lib/systemd/system/hopmesh-guard@.service"),
    ("systemd/sysusers.d/hopmesh.conf", "usr/lib/sysusers.d/hopmesh.conf"),
    ("systemd/tmpfiles.d/hopmesh.conf", "usr/lib/tmpfiles.d/hopmesh.conf"),
    ("systemd/polkit/50-hopmesh.rules", "usr/share/polkit-1/rules.d/50-hopmesh.rules"),
    ("config/example.toml", "usr/share/doc/hopmesh/examples/example.toml"),
    ("README.md", "usr/share/doc/hopmesh/README.md"),
    ("SECURITY.md", "usr/share/doc/hopmesh/SECURITY.md"),
    ("CHANGELOG.md", "usr/share/doc/hopmesh/CHANGELOG.md"),
    ("docs/dns.md", "usr/share/doc/hopmesh/docs/dns.md"),
    ("docs/service.md", "usr/share/doc/hopmesh/docs/service.md"),
    ("docs/diagnosis.md", "usr/share/doc/hopmesh/docs/diagnosis.md"),
    ("docs/decisions.md", "usr/share/doc/hopmesh/docs/decisions.md"),
    ("docs/exits.md", "usr/share/doc/hopmesh/docs/exits.md"),
    ("docs/guests.md", "usr/share/doc/hopmesh/docs/guests.md"),
    ("docs/mtu.md", "usr/share/doc/hopmesh/docs/mtu.md"),
    ("docs/paths.md", "usr/share/doc/hopmesh/docs/paths.md"),
    ("docs/registry.md", "usr/share/doc/hopmesh/docs/registry.md"),
    ("docs/routes.md", "usr/share/doc/hopmesh/docs/routes.md"),
    ("docs/performance.md", "usr/share/doc/hopmesh/docs/performance.md"),
    ("docs/web.md", "usr/share/doc/hopmesh/docs/web.md"),
    ("docs/metrics.md", "usr/share/doc/hopmesh/docs/metrics.md"),
    ("docs/grafana/hopmesh.json", "usr/share/doc/hopmesh/docs/grafana/hopmesh.json"),
    ("xtask/debian/copyright", "usr/share/doc/hopmesh/copyright"),
];
/// Shells, and where each looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/hopmesh"),
    ("zsh", "usr/share/zsh/vendor-completions/_hopmesh"),
    ("fish", "usr/share/fish/vendor_completions.d/hopmesh.fish"),
];
const PROGRAM: &str = "usr/bin/hopmesh";
const MANUAL: &str = "usr/share/man/man1";
const CHANGELOG: &str = "usr/share/doc/hopmesh/changelog";

/// Lays out everything below the tree, which is made anew.
pub(super) fn all(build: &Build) -> Result<(), Failure> {
    if build.tree.exists() {
        fs::remove_dir_all(&build.tree).map_err(|error| unusable(&build.tree, &error))?;
    }
    program(build)?;
    for (from, to) in FILES {
        let from = build.checkout.join(from);
        let text = fs::read(&from).map_err(|error| unusable(&from, &error))?;
        put(build, to, &text)?;
    }
    for (shell, to) in COMPLETIONS {
        let script = output(Command::new(&build.binary).args(["completions", shell]));
        let script = script.ok_or_else(|| Failure::Failed(format!("no completions for {shell}")))?;
        put(build, to, script.as_bytes())?;
    }
    manual(build)?;
    let changelog = include_str!("../../debian/changelog");
    let changelog = changelog.replace("@VERSION@", build.version).replace("@DATE@", &build.time.words);
    put(build, CHANGELOG, changelog.as_bytes())?;
    compress(&build.tree.join(CHANGELOG))?;
    directories_for_all(&build.tree)
}

/// Writes a file of the package, for all to read.
pub(super) fn put(build: &Build, to: &str, content: &[u8]) -> Result<(), Failure> {
    let path = build.tree.join(to);
    let written = fs::create_dir_all(path.parent().expect("a file lies in a folder"))
        .and_then(|()| fs::write(&path, content))
        .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)));
    written.map_err(|error| unusable(&path, &error))
}

fn program(build: &Build) -> Result<(), Failure> {
    let content = fs::read(&build.binary).map_err(|error| unusable(&build.binary, &error))?;
    put(build, PROGRAM, &content)?;
    let path = build.tree.join(PROGRAM);
    run(Command::new("strip").args(["--strip-unneeded", "--remove-section=.comment"]).arg(&path))?;
    fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(|error| unusable(&path, &error))
}

fn manual(build: &Build) -> Result<(), Failure> {
    let folder = build.tree.join(MANUAL);
    let os = |error| unusable(&folder, &error);
    fs::create_dir_all(&folder).map_err(os)?;
    run(Command::new(&build.binary).arg("man").arg(&folder).stdout(Stdio::null()))?;
    for entry in fs::read_dir(&folder).map_err(os)? {
        let path = entry.map_err(os)?.path();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).map_err(os)?;
        compress(&path)?;
    }
    Ok(())
}

/// Without name and time, which would differ from build to build.
fn compress(path: &Path) -> Result<(), Failure> {
    run(Command::new("gzip").args(["-9", "--no-name"]).arg(path))
}

/// Whatever the umask was.
fn directories_for_all(folder: &Path) -> Result<(), Failure> {
    let os = |error| unusable(folder, &error);
    fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(os)?;
    for entry in fs::read_dir(folder).map_err(os)? {
        let path = entry.map_err(os)?.path();
        if path.is_dir() {
            directories_for_all(&path)?;
        }
    }
    Ok(())
}
