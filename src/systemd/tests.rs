//! Against a machine that is a directory, with programs that write down how they were called.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{InstallError, Systemd, SystemdError, check_binary, install, uninstall, unit};

const BINARY: &str = "/usr/local/bin/hopmesh";

/// The files of a machine that systemd has booted.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for folder in ["usr/bin", "run/systemd/system", super::WANTED_AT_BOOT] {
            fs::create_dir_all(machine.root().join(folder)).unwrap();
        }
        for program in ["systemctl", "systemd-sysusers", "systemd-tmpfiles"] {
            machine.program(program, "");
        }
        machine
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    /// A program that writes down its arguments, and then does what is in `script`.
    fn program(&self, name: &str, script: &str) {
        let path = self.root().join("usr/bin").join(name);
        let log = self.root().join("log");
        // Beside its place and renamed: a program that runs cannot be written.
        fs::write(&path, format!("#!/bin/sh\necho {name} \"$*\" >> {}\n{script}\n", log.display())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.root().join("log")).unwrap_or_default();
        let root = format!("{}/", self.root().display());
        log.lines().map(|line| line.replace(&root, "/")).collect()
    }

    fn put(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Each file below `etc` and its text.
    fn etc(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.root().join("etc")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = fs::read_to_string(&path).unwrap_or_default();
                    files.insert(path.strip_prefix(self.root()).unwrap().to_owned(), text);
                }
            }
        }
        files
    }
}

#[test]
fn a_unit_is_enabled_then_started_and_stays_so() {
    let machine = Machine::new();
    let systemd = Systemd::at(machine.root());
    assert!(systemd.has_booted() && !systemd.has_unit());
    machine.put("usr/lib/systemd/system/hopmesh@.service", "");
    assert!(systemd.has_unit());
    systemd.start("my-net").unwrap();
    assert_eq!(
        machine.calls(),
        ["systemctl enable --quiet hopmesh@my-net.service", "systemctl start hopmesh@my-net.service"]
    );
    assert!(systemd.is_active("my-net"));
    assert!(!Systemd::at(&machine.root().join("etc")).has_booted());
}

#[test]
fn a_unit_that_does_not_come_up_is_not_left_enabled() {
    let machine = Machine::new();
    machine.program("systemctl", "[ \"$1\" != start ] || { echo Job failed. >&2; exit 1; }");
    let systemd = Systemd::at(machine.root());
    let error = systemd.start("home").unwrap_err();
    assert!(matches!(&error, SystemdError::NotStarted { unit } if unit == "hopmesh@home.service"), "{error}");
    assert!(error.to_string().contains("journalctl"), "{error}");
    assert_eq!(machine.calls().last().unwrap(), "systemctl disable --quiet --now hopmesh@home.service");

    symlink("x", machine.root().join(super::WANTED_AT_BOOT).join(unit("home"))).unwrap();
    systemd.start("home").unwrap_err();
    assert_eq!(
        machine.calls().last().unwrap(),
        "systemctl start hopmesh@home.service",
        "it was enabled before"
    );
}

#[test]
fn what_is_installed_is_removed_and_nothing_else() {
    let machine = Machine::new();
    machine.put("etc/sysusers.d/other.conf", "u other -\n");
    let before = machine.etc();
    let systemd = Systemd::at(machine.root());
    let installed = install(machine.root(), Path::new(BINARY)).unwrap();
    assert_eq!(installed.len(), 5);
    assert!(systemd.has_unit());
    let unit_text = fs::read_to_string(&installed[0]).unwrap();
    assert!(unit_text.contains("ExecStart=/usr/local/bin/hopmesh --network %i up --foreground\n"));
    assert!(!unit_text.contains("/usr/bin/hopmesh"), "{unit_text}");
    for path in &installed {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o644);
    }
    assert_eq!(
        machine.calls(),
        [
            "systemd-sysusers /etc/sysusers.d/hopmesh.conf",
            "systemd-tmpfiles --create /etc/tmpfiles.d/hopmesh.conf",
            "systemctl daemon-reload"
        ]
    );
    assert_eq!(install(machine.root(), Path::new(BINARY)).unwrap(), installed, "again, as after an upgrade");

    let wanted = machine.root().join(super::WANTED_AT_BOOT);
    for name in ["hopmesh@lab.service", "hopmesh@my-net.service", "other.service"] {
        symlink("x", wanted.join(name)).unwrap();
    }
    fs::remove_file(machine.root().join("log")).unwrap();
    assert_eq!(uninstall(machine.root()).unwrap(), installed);
    assert_eq!(
        machine.calls(),
        [
            "systemctl stop hopmesh@*.service hopmesh-guard@*.service",
            "systemctl disable --quiet hopmesh@lab.service",
            "systemctl disable --quiet hopmesh@my-net.service",
            "systemctl daemon-reload"
        ]
    );
    for name in ["hopmesh@lab.service", "hopmesh@my-net.service", "other.service"] {
        fs::remove_file(wanted.join(name)).unwrap();
    }
    assert_eq!(machine.etc(), before);
    assert!(matches!(uninstall(machine.root()), Err(InstallError::NotInstalled)));
}

#[test]
fn what_others_have_installed_is_left_alone() {
    let machine = Machine::new();
    let packaged = machine.put("usr/lib/systemd/system/hopmesh@.service", "[Unit]\n");
    let binary = Path::new(BINARY);
    for refused in [install(machine.root(), binary), uninstall(machine.root())] {
        assert!(matches!(refused, Err(InstallError::Packaged(path)) if path == packaged));
    }
    fs::remove_file(&packaged).unwrap();
    let foreign = machine.put("etc/polkit-1/rules.d/50-hopmesh.rules", "// mine\n");
    let before = machine.etc();
    for refused in [install(machine.root(), binary), uninstall(machine.root())] {
        assert!(matches!(refused, Err(InstallError::Foreign(path)) if path == foreign));
    }
    assert_eq!(machine.etc(), before);
    assert!(machine.calls().is_empty());
}

#[test]
fn a_binary_that_others_can_replace_is_no_service() {
    assert!(check_binary(Path::new("/bin/sh")).is_ok());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hopmesh");
    fs::write(&path, "").unwrap();
    for place in [directory.path(), &path] {
        fs::set_permissions(place, Permissions::from_mode(0o755)).unwrap();
    }
    let error = check_binary(&path).unwrap_err();
    assert!(error.to_string().contains("can be changed by others than root"), "{error}");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    for binary in [path.as_path(), Path::new("/home/ada/hopmesh"), Path::new("/root/target/release/hopmesh")]
    {
        let error = check_binary(binary).unwrap_err();
        assert!(matches!(error, InstallError::Binary { .. }), "{error}");
        assert!(error.to_string().contains("/usr/local/bin/hopmesh service install"), "{error}");
    }
}

#[test]
fn an_odd_path_is_quoted_in_the_unit() {
    let machine = Machine::new();
    let installed = install(machine.root(), Path::new("/opt/my 100%/hopmesh")).unwrap();
    let text = fs::read_to_string(&installed[0]).unwrap();
    assert!(text.contains("ExecStart=\"/opt/my 100%%/hopmesh\" --network %i up"), "{text}");
}

/// systemd's own judgement, where it is installed: what is asked for is 2.0 or less.
#[test]
fn the_unit_is_hardened() {
    let machine = Machine::new();
    let installed = install(machine.root(), Path::new("/bin/true")).unwrap();
    let mut judge = Command::new("systemd-analyze");
    judge.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(&installed[0]);
    let Ok(judged) = judge.output() else {
        eprintln!("systemd-analyze is not installed: the unit was not judged");
        return;
    };
    let said = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{said}{}", String::from_utf8_lossy(&judged.stderr));
    assert!(said.contains("Overall exposure level"), "{said}");
}
