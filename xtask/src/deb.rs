//! `cargo xtask deb`: the Debian package, by `dpkg-deb` and nothing but what every Debian has.
//!
//! Two steps: `stage` lays out the files as they will lie on a machine, `control` writes what dpkg wants to know of
//! them. Maintainer scripts are in `xtask/debian`; they start, open and join nothing.

mod control;
mod stage;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Failure, build_hopmesh, output, run, target_directory};

/// What the package is built from and into.
struct Build {
    /// The checkout.
    checkout: PathBuf,
    /// The tree that becomes the package.
    tree: PathBuf,
    /// The program.
    binary: PathBuf,
    /// Our version, which is that of the workspace.
    version: &'static str,
    /// The time of the last commit, which all files get, so that the same checkout gives the same package.
    time: Time,
}

/// A moment, as two programs want it.
struct Time {
    /// Seconds since 1970.
    unix_s: String,
    /// As in a mail (RFC 5322).
    words: String,
}

/// Builds the package and prints its path. `--profile dev` is quicker, for trying out; `--binary FILE` builds no program.
///
/// # Errors
/// When something cannot be built, or this machine has no `dpkg-deb`.
pub(crate) fn build(arguments: &[String]) -> Result<(), Failure> {
    let tried = Command::new("dpkg-deb").arg("--version").stdout(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        return Err(Failure::Failed("there is no dpkg-deb: packages are built on a Debian".into()));
    }
    let binary = match arguments {
        [] => build_hopmesh("release")?,
        [option, profile] if option == "--profile" => build_hopmesh(profile)?,
        [option, file] if option == "--binary" => PathBuf::from(file),
        _ => return Err(Failure::Usage("say `deb`, `deb --profile PROFILE` or `deb --binary FILE`".into())),
    };
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = target_directory()?.join("package");
    let tree = folder.join("hopmesh");
    let time = Time::of_last_commit(&checkout)?;
    let build = Build { checkout, tree, binary, version: env!("CARGO_PKG_VERSION"), time };
    stage::all(&build)?;
    let architecture = control::all(&build)?;
    let package = folder.join(format!("hopmesh_{}_{architecture}.deb", build.version));
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--build", "--root-owner-group"]).arg(&build.tree).arg(&package);
    run(pack.env("SOURCE_DATE_EPOCH", &build.time.unix_s).stdout(Stdio::null()))?;
    println!("{}", package.display());
    Ok(())
}

impl Time {
    fn of_last_commit(checkout: &Path) -> Result<Self, Failure> {
        let mut git = Command::new("git");
        git.arg("-C").arg(checkout).args(["log", "-1", "--format=%ct %cD"]);
        let told = output(&mut git).unwrap_or_default();
        let (unix_s, words) = told
            .trim()
            .split_once(' ')
            .ok_or_else(|| Failure::Failed("git does not tell the time of the last commit".into()))?;
        Ok(Self { unix_s: unix_s.to_owned(), words: words.to_owned() })
    }
}

/// What the system says about a file that cannot be used.
fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot use {}: {error}", path.display()))
}
