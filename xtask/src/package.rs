//! The Debian packages that the tests and benchmarks run.

use std::process::{Command, Stdio};

use crate::privilege::Privilege;
use crate::process::{Failure, announce, run};

/// What the labs of `netns-tests`, and tests with programs of others, need besides what every Debian has.
const PACKAGES: [&str; 16] = [
    "bind9-dnsutils",
    "conntrack",
    "dnsperf",
    "gcc",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "libc6-dev",
    // The program alone: `miniupnpd`, which would start it as a service, is another package.
    "miniupnpd-nftables",
    "netcat-openbsd",
    "nftables",
    "procps",
    "python3-libtorrent",
    "tcpdump",
    "wireguard-go",
    "wireguard-tools",
];

/// Installs those that are missing, and only those.
///
/// # Errors
/// When apt-get fails, or is needed and we may not run it.
pub(crate) fn install() -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    use super::{PACKAGES, missing};

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
