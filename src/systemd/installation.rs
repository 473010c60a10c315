//! `hopmesh service install` and `uninstall`: the package's own files, for a binary that was built from source.
//!
//! Each file begins with a line that says who put it there: no other is ever replaced or removed.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Systemd, SystemdError, UNIT, UNIT_FOLDERS};

/// By whom: in the first line of each file.
const MARK: &str = "Installed by `hopmesh service install`; `hopmesh service uninstall` removes it.";
/// Where packages have units; what lies there is not ours.
const PACKAGED: [&str; 2] = [UNIT_FOLDERS[2], UNIT_FOLDERS[3]];
/// The binary that the unit names, until it is installed from elsewhere.
const PACKAGED_BINARY: &str = "/usr/bin/hopmesh";
/// Permission bits that let others than the owner write.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Permission bit that lets everybody pass a directory, or run a file.
const PASSABLE: u32 = 0o001;
/// All that close the way out at boot.
const GUARDS: &str = "hopmesh-guard@*.service";
/// Directories that the unit does not see.
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];

const SYSUSERS: &str = "etc/sysusers.d/hopmesh.conf";
const TMPFILES: &str = "etc/tmpfiles.d/hopmesh.conf";

/// A file, where it goes below the root, and what begins a comment in it.
struct File {
    path: &'static str,
    text: &'static str,
    comment: &'static str,
}

const FILES: [File; 5] = [
    File {
        path: "etc/systemd/system/hopmesh@.service",
        text: include_str!("../../systemd/hopmesh@.service"),
        comment: "#",
    },
    File {
        path: "etc/systemd/system/hopmesh-guard@.service",
        text: include_str!("../../systemd/hopmesh-guard@.service"),
        comment: "#",
    },
    File { path: SYSUSERS, text: include_str!("../../systemd/sysusers.d/hopmesh.conf"), comment: "#" },
    File { path: TMPFILES, text: include_str!("../../systemd/tmpfiles.d/hopmesh.conf"), comment: "#" },
    File {
        path: "etc/polkit-1/rules.d/50-hopmesh.rules",
        text: include_str!("../../systemd/polkit/50-hopmesh.rules"),
        comment: "//",
    },
];

/// Why the service was not installed or removed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A package has done so.
    #[error("{} is there: a package has installed the service, and only it can remove it", .0.display())]
    Packaged(PathBuf),
    /// Something lies there that is not ours.
    #[error("{} is there, and not by `hopmesh service install`: move it away", .0.display())]
    Foreign(PathBuf),
    /// There is nothing to remove.
    #[error("the service is not installed")]
    NotInstalled,
    /// The unit could not run the binary, or more than root could change what it runs.
    #[error(
        "{} {what}: copy the binary, `sudo install {} /usr/local/bin/hopmesh`, and run `sudo /usr/local/bin/hopmesh service install`",
        place.display(), binary.display()
    )]
    Binary {
        /// The binary.
        binary: PathBuf,
        /// It, or a directory above it.
        place: PathBuf,
        /// What is wrong with that.
        what: &'static str,
    },
    /// A file cannot be read, written or removed.
    #[error("cannot use {}: {source}; run it with sudo", path.display())]
    Os {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The files are there, but systemd did not take them.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
}

/// Installs the service for `binary`, anew where that was done before, and gives the paths of its files. Nothing is
/// started.
///
/// # Errors
/// [`InstallError`]; unless it is the last kind, no file was changed that was not ours.
pub fn install(root: &Path, binary: &Path) -> Result<Vec<PathBuf>, InstallError> {
    refuse_packaged(root)?;
    for file in &FILES {
        is_ours(&root.join(file.path))?;
    }
    for file in &FILES {
        let path = root.join(file.path);
        write(&path, &text(file, binary)).map_err(|source| InstallError::Os { path, source })?;
    }
    let systemd = Systemd::at(root);
    // By path, so that no other package's settings are carried out.
    systemd.run("systemd-sysusers", &[&root.join(SYSUSERS).to_string_lossy()])?;
    systemd.run("systemd-tmpfiles", &["--create", &root.join(TMPFILES).to_string_lossy()])?;
    if systemd.has_booted() {
        systemd.run("systemctl", &["daemon-reload"])?;
    }
    Ok(FILES.iter().map(|file| root.join(file.path)).collect())
}

/// Stops the nodes that are services, and removes what [`install`] has put there; gives the paths of the files. State
/// and the nodes' user are left.
///
/// # Errors
/// [`InstallError`]; what was not reached is left.
pub fn uninstall(root: &Path) -> Result<Vec<PathBuf>, InstallError> {
    refuse_packaged(root)?;
    let mut ours = vec![];
    for file in &FILES {
        let path = root.join(file.path);
        if is_ours(&path)? {
            ours.push(path);
        }
    }
    if ours.is_empty() {
        return Err(InstallError::NotInstalled);
    }
    let systemd = Systemd::at(root);
    if systemd.has_booted() {
        systemd.run("systemctl", &["stop", &super::unit("*"), GUARDS])?;
    }
    for network in systemd.enabled() {
        systemd.disable(&network)?;
    }
    for path in &ours {
        fs::remove_file(path).map_err(|source| InstallError::Os { path: path.clone(), source })?;
    }
    if systemd.has_booted() {
        systemd.run("systemctl", &["daemon-reload"])?;
    }
    Ok(ours)
}

/// Refuses a binary that the unit could not run, or that others than root could replace. `binary` is an absolute path.
///
/// # Errors
/// [`InstallError::Binary`], [`InstallError::Os`].
pub fn check_binary(binary: &Path) -> Result<(), InstallError> {
    let refused = |place: &Path, what| {
        Err(InstallError::Binary { binary: binary.to_owned(), place: place.to_owned(), what })
    };
    if let Some(place) = HIDDEN.iter().find(|place| binary.starts_with(place)) {
        return refused(Path::new(place), "is hidden from services");
    }
    for place in binary.ancestors() {
        let metadata =
            fs::metadata(place).map_err(|source| InstallError::Os { path: place.to_owned(), source })?;
        if metadata.uid() != 0 || metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return refused(place, "can be changed by others than root, who could put another program there");
        }
        if metadata.mode() & PASSABLE == 0 {
            return refused(place, "is closed to the service's user");
        }
    }
    Ok(())
}

fn refuse_packaged(root: &Path) -> Result<(), InstallError> {
    let packaged = PACKAGED.iter().map(|folder| root.join(folder).join(UNIT)).find(|path| path.exists());
    packaged.map_or(Ok(()), |path| Err(InstallError::Packaged(path)))
}

/// Whether we have put the file there; `false` when there is none.
fn is_ours(path: &Path) -> Result<bool, InstallError> {
    match fs::read_to_string(path) {
        Ok(text) if text.lines().next().is_some_and(|line| line.ends_with(MARK)) => Ok(true),
        Ok(_) => Err(InstallError::Foreign(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(InstallError::Os { path: path.to_owned(), source }),
    }
}

fn text(file: &File, binary: &Path) -> String {
    let text = file.text.replace(PACKAGED_BINARY, &quoted(binary));
    format!("{} {MARK}\n{text}", file.comment)
}

/// A path as a unit's command line wants it (systemd.service(5)).
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if text.contains([' ', '\'', '"', '\\']) { format!("\"{text}\"") } else { text }
}

/// By a rename, so that nobody ever reads half of it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(path.parent().expect("each file lies in a directory"))?;
    let temporary = path.with_extension("hopmesh-new");
    fs::write(&temporary, text)?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o644))?;
    fs::rename(&temporary, path)
}
