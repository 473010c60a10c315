//! What dpkg wants to know of the package.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::{Build, stage, unusable};
use crate::process::{Failure, output};

/// The scripts that dpkg runs.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../debian/postinst")),
    ("prerm", include_str!("../../debian/prerm")),
    ("postrm", include_str!("../../debian/postrm")),
];
/// dpkg counts a file in units of so many bytes.
const SIZE_UNIT: u64 = 1024;
/// What the names of the C library's versions begin with.
const LIBC_VERSION: &[u8] = b"GLIBC_2.";

/// Writes the folder DEBIAN, and gives the architecture.
pub(super) fn all(build: &Build) -> Result<String, Failure> {
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))
        .map(|told| told.trim().to_owned())
        .ok_or_else(|| Failure::Failed("dpkg does not tell this machine's architecture".into()))?;
    let program = fs::read(&build.binary).map_err(|error| unusable(&build.binary, &error))?;
    let size = installed_size(&build.tree).map_err(|error| unusable(&build.tree, &error))?;
    put_sums(build)?;
    let control = include_str!("../../debian/control")
        .replace("@VERSION@", build.version)
        .replace("@ARCHITECTURE@", &architecture)
        .replace("@SIZE@", &size.to_string())
        .replace("@LIBC@", &libc_version(&program));
    stage::put(build, "DEBIAN/control", control.as_bytes())?;
    for (name, script) in SCRIPTS {
        let path = build.tree.join("DEBIAN").join(name);
        stage::put(build, &format!("DEBIAN/{name}"), script.as_bytes())?;
        let os = |error| unusable(&path, &error);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(os)?;
    }
    let folder = build.tree.join("DEBIAN");
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).map_err(|error| unusable(&folder, &error))?;
    Ok(architecture)
}

/// The version of the C library that the program needs: the highest of those whose symbols it names.
fn libc_version(program: &[u8]) -> String {
    let number = |rest: &[u8]| {
        let digits: Vec<u8> = rest.iter().copied().take_while(u8::is_ascii_digit).collect();
        String::from_utf8(digits).ok()?.parse::<u32>().ok()
    };
    let named = program.windows(LIBC_VERSION.len()).enumerate().filter(|(_, window)| *window == LIBC_VERSION);
    let minor = named.filter_map(|(at, _)| number(&program[at + LIBC_VERSION.len()..])).max();
    format!("2.{}", minor.unwrap_or(0))
}

/// In KiB, each file and folder rounded up, as dpkg-gencontrol counts.
fn installed_size(folder: &Path) -> std::io::Result<u64> {
    let mut size = 1;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        size += if path.is_dir() {
            installed_size(&path)?
        } else {
            fs::metadata(&path)?.len().div_ceil(SIZE_UNIT)
        };
    }
    Ok(size)
}

/// `md5sums`, by which dpkg notices files that have changed.
fn put_sums(build: &Build) -> Result<(), Failure> {
    let mut find = Command::new("sh");
    find.current_dir(&build.tree);
    find.args(["-c", "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum"]);
    let sums = output(&mut find).ok_or_else(|| Failure::Failed("md5sum failed".into()))?;
    stage::put(build, "DEBIAN/md5sums", sums.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{installed_size, libc_version};

    #[test]
    fn the_highest_version_counts_as_a_number() {
        assert_eq!(libc_version(b"..GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_2.\0GLIBC_PRIVATE"), "2.34");
        assert_eq!(libc_version(b""), "2.0");
    }

    #[test]
    fn sizes_are_rounded_up() {
        let folder = std::env::temp_dir().join(format!("hopmesh-xtask-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("a")).unwrap();
        std::fs::write(folder.join("a/b"), [0; 1025]).unwrap();
        let size = installed_size(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(size, 4, "two folders and two units");
    }
}
