//! On what was measured: a table without that says nothing.

use std::fs::read_to_string;
use std::process::Command;

use crate::arguments::Arguments;
use crate::figure::{Figure, Samples};
use crate::peers::Peer;

/// The lines below the table.
pub(crate) fn describe(arguments: &Arguments, columns: &[(&Peer, &Samples)]) -> String {
    let Arguments { rounds, seconds, offload, mtu, veth_mtu, is_quick, .. } = arguments;
    let quick = if *is_quick { " Short measurements (--quick), none repeated." } else { "" };
    let mtu = mtu.map_or_else(|| "each its own".to_owned(), |mtu| mtu.to_string());
    let foreign =
        columns.iter().filter_map(|(_, samples)| samples.median(Figure::Foreign)).fold(0.0, f64::max);
    let versions: Vec<String> =
        columns.iter().map(|(peer, _)| peer.version()).filter(|version| !version.is_empty()).collect();
    let failed: Vec<&str> =
        columns.iter().filter(|(_, samples)| samples.is_empty()).map(|(peer, _)| peer.name).collect();
    let failed = if failed.is_empty() { String::new() } else { format!(" Failed: {}.", failed.join(", ")) };
    format!(
        "{rounds} rounds, TCP streams of {seconds} s, cubic, underlay {veth_mtu} with offload {}, tunnel MTU {mtu}.{quick} \
         Others used up to {foreign:.1} % of the machine (median of a peer).{failed} {}\nVersions: {}.\n",
        offload.name(),
        machine(),
        versions.join("; "),
    )
}

/// The machine, its system, what was built, and when.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = model(&read("/proc/cpuinfo"));
    let (kernel, debian) = (read("/proc/sys/kernel/osrelease"), read("/etc/debian_version"));
    format!(
        "{cores} cores of {model}, Linux {}, Debian {}, Hopmesh {}, {}.",
        kernel.trim(),
        debian.trim(),
        commit(),
        said("date", &["-u", "+%F"]),
    )
}

fn commit() -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let hash = said("git", &["-C", folder, "rev-parse", "--short", "HEAD"]);
    // What the measurement writes itself is no change of the program.
    let changed = said(
        "git",
        &["-C", folder, "status", "--porcelain", "--untracked-files=no", "--", "..", ":!../docs"],
    );
    if changed.is_empty() { hash } else { format!("{hash} and changes") }
}

fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    output.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned()).unwrap_or_default()
}

fn read(path: &str) -> String {
    read_to_string(path).unwrap_or_default()
}

/// Of the first core (proc_cpuinfo(5)).
fn model(cpuinfo: &str) -> String {
    let value = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    value.map_or_else(|| "an unknown CPU".to_owned(), |(_, model)| model.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_model_of_the_cpu() {
        let cpuinfo =
            "processor\t: 0\nmodel\t\t: 106\nmodel name\t: Some CPU @ 2.90GHz\nmodel name\t: other\n";
        assert_eq!(model(cpuinfo), "Some CPU @ 2.90GHz");
        assert_eq!(model(""), "an unknown CPU");
    }
}
