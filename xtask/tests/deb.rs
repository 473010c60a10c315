//! The Debian package, looked at with dpkg's own eyes. Said and passed over where dpkg-deb, or a built `hopmesh`, is missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The package, built once from the `hopmesh` beside us in the target directory.
fn package() -> Option<PathBuf> {
    static PACKAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    PACKAGE.get_or_init(build).clone()
}

fn build() -> Option<PathBuf> {
    let xtask = Path::new(env!("CARGO_BIN_EXE_xtask"));
    let hopmesh = xtask.with_file_name("hopmesh");
    let has_dpkg = Command::new("dpkg-deb").arg("--version").output().is_ok_and(|done| done.status.success());
    if !has_dpkg || !hopmesh.is_file() {
        eprintln!("there is no dpkg-deb, or no hopmesh was built: the package was not looked at");
        return None;
    }
    let done = Command::new(xtask).args(["deb", "--binary"]).arg(&hopmesh).output().expect("xtask was built");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    Some(PathBuf::from(said.lines().last().expect("the path of the package")))
}

fn dpkg_deb(arguments: &[&str], package: &Path) -> String {
    let done = Command::new("dpkg-deb").args(arguments).arg(package).output().expect("it ran before");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn the_package_has_what_a_machine_needs_and_its_scripts_start_nothing() {
    let Some(package) = package() else { return };
    let contents = dpkg_deb(&["--contents"], &package);
    for (mode, path) in [
        ("-rwxr-xr-x", "./usr/bin/hopmesh"),
        ("-rw-r--r--", "./usr/lib/systemd/system/hopmesh@.service"),
        ("-rw-r--r--", "./usr/lib/systemd/system/hopmesh-guard@.service"),
        ("-rw-r--r--", "./usr/lib/sysusers.d/hopmesh.conf"),
        ("-rw-r--r--", "./usr/lib/tmpfiles.d/hopmesh.conf"),
        ("-rw-r--r--", "./usr/share/polkit-1/rules.d/50-hopmesh.rules"),
        ("-rw-r--r--", "./usr/share/bash-completion/completions/hopmesh"),
        ("-rw-r--r--", "./usr/share/zsh/vendor-completions/_hopmesh"),
        ("-rw-r--r--", "./usr/share/fish/vendor_completions.d/hopmesh.fish"),
        ("-rw-r--r--", "./usr/share/man/man1/hopmesh.1.gz"),
        ("-rw-r--r--", "./usr/share/man/man1/hopmesh-join.1.gz"),
        ("-rw-r--r--", "./usr/share/doc/hopmesh/examples/example.toml"),
        ("-rw-r--r--", "./usr/share/doc/hopmesh/copyright"),
        ("-rw-r--r--", "./usr/share/doc/hopmesh/changelog.gz"),
    ] {
        let line = contents.lines().find(|line| line.ends_with(&format!(" {path}")));
        let line = line.unwrap_or_else(|| panic!("{path} is missing:\n{contents}"));
        assert!(line.starts_with(&format!("{mode} root/root")), "{line}");
    }
    assert!(contents.lines().all(|line| line.contains(" root/root ")), "{contents}");
    assert!(!contents.contains("/etc/"), "nothing is configured:\n{contents}");
    let docs =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")).expect("they are there");
    for name in docs.map(|entry| entry.expect("a folder").file_name().into_string().expect("plain text")) {
        assert!(contents.contains(&format!("/docs/{name}")), "README points to {name}");
    }

    let control = dpkg_deb(&["--field"], &package);
    assert!(control.contains("Package: hopmesh\n"), "{control}");
    assert!(!control.contains('@') || control.matches('@').count() == 1, "but the maintainer's: {control}");

    let scripts = package.with_file_name("hopmesh").join("DEBIAN");
    for script in ["postinst", "prerm", "postrm"] {
        let text = std::fs::read_to_string(scripts.join(script)).expect("a script of the package");
        for word in ["enable", "start ", "hopmesh up", "hopmesh join"] {
            let says =
                |line: &&str| !line.starts_with('#') && !line.contains("try-restart") && line.contains(word);
            assert_eq!(text.lines().find(says), None, "{script}");
        }
        let checked =
            Command::new("sh").arg("-n").arg(scripts.join(script)).status().expect("there is a shell");
        assert!(checked.success(), "{script}");
    }
}

/// Runs a program that may not be here: nothing then, and that is said.
fn where_it_is(program: &str, arguments: &[&str], path: &Path) -> Option<(bool, String)> {
    let Ok(done) = Command::new(program).args(arguments).arg(path).env("LC_ALL", "C.UTF-8").output() else {
        eprintln!("NOT RUN: there is no {program}");
        return None;
    };
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    Some((done.status.success(), said))
}

#[test]
fn lintian_finds_no_error() {
    let Some(package) = package() else { return };
    // As root, which CI is, and without what is no matter of the package.
    let Some((_, said)) = where_it_is("lintian", &["--allow-root", "--no-tag-display-limit"], &package)
    else {
        return;
    };
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("E:")).collect();
    assert!(errors.is_empty(), "{said}");
    assert!(!said.contains("internal error"), "{said}");
}

#[test]
fn the_units_are_hardly_exposed() {
    // In tenths: `systemd-analyze` fails above it.
    let words = ["security", "--offline=true", "--no-pager", "--threshold=20"];
    for unit in ["hopmesh@.service", "hopmesh-guard@.service"] {
        let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(unit);
        if let Some((succeeded, said)) = where_it_is("systemd-analyze", &words, &unit) {
            assert!(succeeded, "{said}");
        }
    }
}

#[test]
fn each_shell_takes_its_completions() {
    let Some(package) = package() else { return };
    let share = package.with_file_name("hopmesh").join("usr/share");
    for (shell, arguments, file, expected) in [
        (
            "bash",
            ["-c", r#". "$0" && complete -p hopmesh"#],
            "bash-completion/completions/hopmesh",
            "-F _hopmesh",
        ),
        (
            "zsh",
            ["-fc", r#"autoload -U compinit && compinit -u -D && . "$0" && echo "${_comps[hopmesh]}""#],
            "zsh/vendor-completions/_hopmesh",
            "_hopmesh",
        ),
        (
            "fish",
            ["--no-config", r#"--command=source $argv[1]; complete -C "hopmesh jo""#],
            "fish/vendor_completions.d/hopmesh.fish",
            "join\t",
        ),
    ] {
        let Some((succeeded, said)) = where_it_is(shell, &arguments, &share.join(file)) else { continue };
        assert!(succeeded && said.contains(expected), "{shell}: {said}");
        assert!(!said.to_lowercase().contains("error"), "{shell}: {said}");
    }
}

#[test]
fn every_manual_page_is_set_without_a_warning() {
    let Some(package) = package() else { return };
    let pages = package.with_file_name("hopmesh").join("usr/share/man/man1");
    let pages = std::fs::read_dir(pages).expect("the package has manual pages");
    let arguments = ["--warnings=w", "--local-file", "--troff-device=utf8", "--ditroff"];
    for page in pages.map(|entry| entry.expect("readable").path()) {
        let Some((succeeded, said)) = where_it_is("man", &arguments, &page) else { return };
        let warned = said.lines().find(|line| line.contains("warning") || line.contains("error"));
        assert!(succeeded && warned.is_none(), "{}: {warned:?}", page.display());
        assert!(said.contains("NAME") || said.contains("tNAME"), "{}: nothing was set", page.display());
    }
}
