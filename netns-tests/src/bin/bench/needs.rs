//! What the measurements run, and which Debian package has it. Nothing is installed from here: `cargo xtask bench` does that.

/// Programs without which nothing can be measured, and their packages.
const NEEDED: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("iperf3", "iperf3"),
    ("ping", "iputils-ping"),
    ("ethtool", "ethtool"),
    ("setpriv", "util-linux"),
];

/// A sentence for each that is missing.
pub(crate) fn missing(is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let absent = NEEDED.iter().filter(|(program, _)| !is_there(program));
    absent
        .map(|(program, package)| format!("{program} is missing: install the Debian package {package}"))
        .collect()
}

/// Whether a program is found on PATH.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        assert!(missing(|_| true).is_empty());
        let said = missing(|program| program != "ping");
        assert_eq!(said, ["ping is missing: install the Debian package iputils-ping"]);
        assert!(is_on_path("sh") && !is_on_path("no-such-program-anywhere"));
    }
}
