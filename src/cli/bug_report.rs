//! `bug-report`: one text with all that helps to find a fault, and nothing that is a secret.
//!
//! It is plain text and no archive: whoever sends it can read it first, and no crate is needed to pack it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::configuration::{self, Configuration};
use super::context::Context;
use super::doctor::{lines, surroundings};
use super::failure::Failure;
use super::text::clean;
use super::view;
use crate::doctor::{self, Reached, Surroundings};
use crate::io::program;
use crate::redact::Redactor;

/// Lines of the journal that are taken.
const JOURNAL_LINES: &str = "500";
/// Largest configuration that is read, in bytes; ours are far smaller.
const CONFIG_SIZE_MAX: usize = 1 << 20;
/// Longest section, in characters; the end of it counts most.
const SECTION_LENGTH_MAX: usize = 1 << 20;

/// Write a text for a bug report, with secrets and public addresses masked
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hopmesh bug-report\n  sudo hopmesh bug-report --output /tmp/report.txt\n\n\
    Read it before you send it. Keys and invites are left out, public addresses and hosts replaced."
)]
pub(super) struct BugReport {
    /// File that is written and must not exist (default: hopmesh-NETWORK-report.txt)
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A heading and the text below it.
type Section = (&'static str, String);

impl BugReport {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let usual = || format!("hopmesh-{}-report.txt", context.network()).into();
        let path = self.output.clone().unwrap_or_else(usual);
        // Read once: what is printed is what the masks are made from.
        let configuration = configuration::read(context);
        let settings = configuration.as_ref().map(|read| read.settings.clone()).map_err(Clone::clone);
        let around = surroundings(context, settings)?;
        let text = report(sections(&around, &configuration), &redactor(&around));
        // Made only now, so that nothing is left behind by a command that was ended.
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(|error| {
                let is_there = error.kind() == io::ErrorKind::AlreadyExists;
                let advice = if is_there {
                    "it is there already: name another file with --output".to_owned()
                } else {
                    error.to_string()
                };
                Failure::Failed(format!("cannot write {}: {advice}", path.display()))
            })?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))?;
        if context.json() {
            return context.print_json(&json!({ "path": path, "bytes": text.len() }));
        }
        context.say(format!("wrote {}: read it before you send it", path.display()))
    }
}

/// The whole text, masked.
fn report(sections: Vec<Section>, redactor: &Redactor) -> String {
    let mut text = String::new();
    for (heading, body) in sections {
        text += &format!("== {heading} ==\n");
        let skipped = body.chars().count().saturating_sub(SECTION_LENGTH_MAX);
        let kept: String = body.chars().skip(skipped).collect();
        for line in kept.lines() {
            text += &clean(line);
            text.push('\n');
        }
        text.push('\n');
    }
    redactor.mask(&text)
}

fn redactor(around: &Surroundings) -> Redactor {
    let settings = around.settings.clone().unwrap_or_default();
    let bootstrap = settings.dht.bootstrap.iter().flatten();
    let hosts = settings.addresses.seeds.iter().chain(bootstrap).map(|host| host.host.clone());
    let stun = settings.stun.servers.iter().filter_map(|server| Some(server.rsplit_once(':')?.0.to_owned()));
    let mesh = match &around.reached {
        Reached::Up(answers) => answers.status.network.iter(),
        Reached::Down | Reached::NotPermitted | Reached::Silent(_) => None.iter(),
    };
    let mesh = mesh.flat_map(|network| [&network.ipv4_range, &network.ipv6_prefix]);
    Redactor::new(hosts.chain(stun), mesh.filter_map(|prefix| prefix.parse().ok()))
}

fn sections(around: &Surroundings, configuration: &Result<Configuration, String>) -> Vec<Section> {
    let mut sections = vec![
        ("version", format!("hopmesh {}", env!("CARGO_PKG_VERSION"))),
        ("doctor", lines(doctor::examine(around)).join("\n")),
    ];
    match &around.reached {
        Reached::Up(answers) => {
            sections.push(("status and peers", pretty(&view::Status::from(&answers.status))));
            sections.push(("netcheck", pretty(&view::Netcheck::from(&answers.netcheck))));
        }
        Reached::Down => sections.push(("status and peers", "the daemon is not running".to_owned())),
        Reached::NotPermitted => {
            sections.push(("status and peers", "this user may not ask the daemon".to_owned()));
        }
        Reached::Silent(why) => {
            sections.push(("status and peers", format!("the daemon does not answer: {why}")))
        }
    }
    let unit = crate::systemd::unit(&around.network);
    sections.extend([
        ("configuration", written(configuration)),
        ("system", system()),
        (
            "unit",
            said("systemctl", &["show", "--property=ActiveState,SubState,Result,NRestarts,ExecStart", &unit]),
        ),
        ("addresses", said("ip", &["address"])),
        (
            "routes",
            said("ip", &["route", "show", "table", "all"])
                + &said("ip", &["-6", "route", "show", "table", "all"]),
        ),
        ("rules", said("ip", &["rule"]) + &said("ip", &["-6", "rule"])),
        ("firewall", said("nft", &["list", "ruleset"])),
        (
            "journal",
            said(
                "journalctl",
                &[
                    "--unit",
                    &unit,
                    "--lines",
                    JOURNAL_LINES,
                    "--no-pager",
                    "--output=short-iso",
                    "--no-hostname",
                ],
            ),
        ),
    ]);
    sections
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string())
}

fn written(configuration: &Result<Configuration, String>) -> String {
    match configuration {
        Ok(configuration) if configuration.text.is_empty() => "there is none".to_owned(),
        Ok(configuration) if configuration.text.len() > CONFIG_SIZE_MAX => "it is too long".to_owned(),
        Ok(configuration) => configuration.text.clone(),
        // Which hosts are in it is not known, so none could be masked.
        Err(_) => "left out: it is wrong, or may not be read".to_owned(),
    }
}

fn system() -> String {
    let os = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = os.lines().find(|line| line.starts_with("PRETTY_NAME=")).unwrap_or("no /etc/os-release");
    format!("{}{name}", said("uname", &["--kernel-name", "--kernel-release", "--machine"]))
}

/// What a program says, or why it does not.
fn said(program: &str, arguments: &[&str]) -> String {
    program::run(program, arguments).unwrap_or_else(|why| format!("{why}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_sections_and_masked_as_a_whole() {
        let redactor = Redactor::new(["seed.example.org".to_owned()], ["10.77.0.0/16".parse().unwrap()]);
        let sections = vec![
            ("status", "remote 203.0.113.5:41641 of 10.77.0.2\nlink 52:54:00:12:34:56\x1b[2J".to_owned()),
            ("configuration", "seeds = [\"seed.example.org:41820\", \"203.0.113.5:1\"]".to_owned()),
        ];
        assert_eq!(
            report(sections, &redactor),
            "== status ==\nremote public-v4-1:41641 of 10.77.0.2\nlink mac-1[2J\n\n\
             == configuration ==\nseeds = [\"host-1:41820\", \"public-v4-1:1\"]\n\n"
        );
    }
}
