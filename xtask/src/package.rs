//! The Debian packages that the tests and benchmarks run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::privilege::Privilege;
use crate::process::{Failure, announce, run};

/// What the labs of `netns-tests`, and tests with programs of others, need besides what every Debian has.
const PACKAGES: [&str; 33] = [
    "bind9-dnsutils",
    // The browser without its windows, in which the page of `hopmesh web` is tried: 64 MB.
    "chromium-headless-shell",
    "conntrack",
    "curl",
    // The program alone: `dbus`, which would start it as a service, is another package.
    "dbus-daemon",
    // Makes the Debian that `tests/machines.rs` boots.
    "debootstrap",
    "dnsperf",
    "ethtool",
    // Its library gives a daemon a clock of its own.
    "faketime",
    "fastd",
    // Its completions are tried, and those of zsh.
    "fish",
    "gcc",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "libc6-dev",
    // What is only downloaded needs these and what is here anyhow: NetworkManager two, systemd-resolved one.
    "libcurl3-gnutls",
    "libglib2.0-0",
    "libsystemd-shared",
    "lintian",
    "man-db",
    // The program alone: `miniupnpd`, which would start it as a service, is another package.
    "miniupnpd-nftables",
    "netcat-openbsd",
    "nftables",
    // Debian has no package of the program alone: where systemd runs, disable the unit if port 80 is to stay free.
    "nginx-light",
    "procps",
    "python3-libtorrent",
    "strace",
    // For systemd-nspawn.
    "systemd-container",
    "tcpdump",
    "wireguard-go",
    "wireguard-tools",
    "zsh",
];

/// What `tests/resolver_root` unpacks where it harms nobody. They are never installed: systemd-resolved would replace
/// this machine's resolv.conf, NetworkManager take its interfaces, and the two that have `resolvconf` exclude each other.
const DOWNLOADED: [&str; 6] =
    ["dnsmasq-base", "libndp0", "network-manager", "openresolv", "resolvconf", "systemd-resolved"];
/// Where they are looked for, below the checkout.
const DOWNLOADS: &str = "target/debian";

/// Installs and downloads those that are missing, and only those.
///
/// # Errors
/// When apt-get fails, or is needed and we may not run it.
pub(crate) fn install() -> Result<(), Failure> {
    install_missing()?;
    download_missing()
}

fn install_missing() -> Result<(), Failure> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${Package} ${Status}\n"]).args(PACKAGES).stderr(Stdio::null());
    let Ok(known) = query.output() else {
        println!("This is no Debian: install by hand what is missing of {}.", PACKAGES.join(", "));
        return Ok(());
    };
    let missing = missing(&String::from_utf8_lossy(&known.stdout));
    if missing.is_empty() {
        return Ok(());
    }
    announce(&format!("installing {}", missing.join(" ")));
    let privilege = Privilege::find("installing packages")?;
    run(privilege.command("apt-get").arg("update"))?;
    // Through env, because sudo forgets the environment: iperf3 asks a question unless told not to.
    let mut install = privilege.command("env");
    install.args([
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "--yes",
        "--no-install-recommends",
        // A router's own miniupnpd is in conflict with ours: rather fail than take it away.
        "--no-remove",
    ]);
    run(install.args(missing))
}

/// Which packages `dpkg-query` does not call installed.
fn missing(status: &str) -> Vec<&'static str> {
    let installed =
        |package: &str| status.lines().any(|line| line == format!("{package} install ok installed"));
    PACKAGES.into_iter().filter(|package| !installed(package)).collect()
}

fn download_missing() -> Result<(), Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(DOWNLOADS);
    let failed = |error| Failure::Failed(format!("cannot use {}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(failed)?;
    let entries = fs::read_dir(&folder).map_err(failed)?.filter_map(Result::ok);
    let files: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let wanted = not_downloaded(&files);
    if wanted.is_empty() || Command::new("apt-get").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Ok(());
    }
    announce(&format!("downloading {}", wanted.join(" ")));
    run(Privilege::find("reading Debian's lists of packages")?.command("apt-get").arg("update"))?;
    run(Command::new("apt-get").arg("download").args(wanted).current_dir(&folder))
}

/// Which packages are in none of these files.
fn not_downloaded(files: &[String]) -> Vec<&'static str> {
    let is_there = |package: &str| {
        let begin = format!("{package}_");
        files.iter().any(|file| file.starts_with(&begin) && file.ends_with(".deb"))
    };
    DOWNLOADED.into_iter().filter(|package| !is_there(package)).collect()
}

#[cfg(test)]
mod tests {
    use super::{DOWNLOADED, PACKAGES, missing, not_downloaded};

    #[test]
    fn what_was_cut_off_is_downloaded_again() {
        assert_eq!(not_downloaded(&[]), DOWNLOADED);
        let all: Vec<String> = DOWNLOADED.iter().map(|package| format!("{package}_1_all.deb")).collect();
        assert!(not_downloaded(&all).is_empty());
        let cut = all.iter().map(|file| file.replace("resolvconf_1_all.deb", "resolvconf_1_all.deb.part"));
        assert_eq!(not_downloaded(&cut.collect::<Vec<_>>()), ["resolvconf"]);
    }

    #[test]
    fn removed_unknown_and_half_installed_packages_are_missing() {
        assert_eq!(missing(""), PACKAGES);
        let all: String =
            PACKAGES.iter().map(|package| format!("{package} install ok installed\n")).collect();
        assert!(missing(&all).is_empty());
        let status = all.replace("iperf3 install ok installed", "iperf3 deinstall ok config-files");
        assert_eq!(missing(&status), ["iperf3"]);
        let status = all.replace("procps install ok installed", "procps install ok half-configured");
        assert_eq!(missing(&status), ["procps"]);
    }
}
