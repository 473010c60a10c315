//! `doctor`: what is wrong with this machine as a place for a node, worst first.

use std::cmp::Reverse;

use api::ConnectError;
use clap::Args;
use config::Settings;
use serde_json::json;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::configuration;
use super::context::Context;
use super::failure::Failure;
use super::text::{self, Table};
use crate::doctor::{self, Answers, Finding, Outcome, Reached, Surroundings};
use crate::io::inspect;

/// Columns of a screen.
const SCREEN_COLUMNS: usize = 80;

/// Check this machine: device, rights, clock, files, port, firewall, routes, names
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hopmesh doctor\n  sudo hopmesh doctor --json | jq .checks\n\n\
    Nothing is changed. As root it sees more; without a daemon it checks the machine alone.")]
pub(super) struct Doctor {}

impl Doctor {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let settings = configuration::read(context).map(|configuration| configuration.settings);
        let findings = doctor::examine(&surroundings(context, settings)?);
        if context.json() {
            context.print_json(&findings_json(&findings))?;
        } else {
            context.say_all(lines(findings.clone()))?;
        }
        if count(&findings, "failed") > 0 { Err(Failure::Said) } else { Ok(()) }
    }
}

/// What the checks are told, the daemon's answers among it.
pub(super) fn surroundings(
    context: &Context<'_>,
    settings: Result<Settings, String>,
) -> Result<Surroundings, Failure> {
    Ok(Surroundings {
        network: context.network().to_owned(),
        program: context.program(),
        paths: context.paths.clone(),
        settings,
        daemon: inspect::listener(&context.paths.socket),
        reached: reach(context)?,
    })
}

fn reach(context: &Context<'_>) -> Result<Reached, Failure> {
    let mut daemon = match Daemon::connect(context)? {
        Ok(daemon) => daemon,
        Err(ConnectError::NoDaemon) => return Ok(Reached::Down),
        Err(ConnectError::NotPermitted) => return Ok(Reached::NotPermitted),
        Err(error @ ConnectError::Os(_)) => return Ok(Reached::Silent(error.to_string())),
    };
    let status = daemon.ask(ANSWER_TIMEOUT, async |client| client.status(api::StatusRequest {}).await);
    let netcheck = daemon.ask(ANSWER_TIMEOUT, async |client| client.netcheck(api::NetcheckRequest {}).await);
    Ok(match (status, netcheck) {
        (Ok(status), Ok(netcheck)) => Reached::Up(Box::new(Answers { status, netcheck })),
        (Err(refusal), _) | (_, Err(refusal)) if refusal.code() == tonic::Code::PermissionDenied => {
            Reached::NotPermitted
        }
        (Err(refusal), _) | (_, Err(refusal)) => Reached::Silent(refusal.message().to_owned()),
    })
}

fn count(findings: &[Finding], word: &str) -> usize {
    findings.iter().filter(|finding| finding.outcome.word() == word).count()
}

/// The JSON of `doctor`; field names are a promise.
pub(super) fn findings_json(findings: &[Finding]) -> serde_json::Value {
    let check = |Finding { check, outcome }: &Finding| {
        json!({
            "check": check,
            "outcome": outcome.word(),
            "reason": outcome.reason(),
            "to_do": outcome.to_do(),
        })
    };
    json!({
        "failed": count(findings, "failed"),
        "warnings": count(findings, "warning"),
        "skipped": count(findings, "skipped"),
        "checks": findings.iter().map(check).collect::<Vec<_>>(),
    })
}

/// What is wrong first, each with what to do; then what could not be judged, and what is well.
pub(super) fn lines(mut findings: Vec<Finding>) -> Vec<String> {
    let headline = headline(&findings);
    findings.sort_by_key(|finding| Reverse(finding.outcome.rank()));
    let rows = rows(&findings);
    let width = |length: fn(&Row) -> usize| rows.iter().map(length).max().unwrap_or(0) + 2;
    let room = SCREEN_COLUMNS - width(|(word, ..)| word.len()) - width(|(_, check, _)| check.len());
    let mut table = Table::new();
    for (word, check, text) in rows {
        let mut marks = Some((word, check));
        for line in text::wrap(&text, room) {
            let (word, check) = marks.take().unwrap_or_default();
            table.row([word, check, line]);
        }
    }
    [headline, String::new()].into_iter().chain(table.lines()).collect()
}

fn headline(findings: &[Finding]) -> String {
    let [failed, warnings, skipped] = ["failed", "warning", "skipped"].map(|word| count(findings, word));
    let unseen = if skipped > 0 {
        format!("; {skipped} of {} could not be judged", findings.len())
    } else {
        String::new()
    };
    match (failed, warnings) {
        (0, 0) => format!("Nothing is known to be wrong{unseen}."),
        (0, 1) => format!("1 warning{unseen}."),
        (0, warnings) => format!("{warnings} warnings{unseen}."),
        (failed, 0) => format!("{failed} failed{unseen}."),
        (failed, 1) => format!("{failed} failed, 1 warning{unseen}."),
        (failed, warnings) => format!("{failed} failed, {warnings} warnings{unseen}."),
    }
}

/// Outcome, check and text.
type Row = (String, String, String);

/// Checks that were skipped for one reason share a row: with the daemon down that is most of them.
fn rows(findings: &[Finding]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut skipped: Vec<(&str, Vec<&str>)> = Vec::new();
    for Finding { check, outcome } in findings {
        let row = |what: &str, text: &str| (outcome.word().to_owned(), what.to_owned(), text.to_owned());
        match outcome {
            Outcome::Skipped(why) => match skipped.iter_mut().find(|(known, _)| known == why) {
                Some((_, checks)) => checks.push(check),
                None => skipped.push((why, vec![check])),
            },
            Outcome::Ok(_) | Outcome::Warning(_) | Outcome::Failed(_) => {
                rows.push(row(check, outcome.reason()))
            }
        }
        if let Some(to_do) = outcome.to_do() {
            rows.push((String::new(), "to do".to_owned(), to_do.to_owned()));
        }
    }
    let place = rows.iter().position(|(word, ..)| word == "ok").unwrap_or(rows.len());
    let skipped = skipped.into_iter().map(|(why, checks)| {
        let (what, text) = match &checks[..] {
            [check] => ((*check).to_owned(), why.to_owned()),
            checks => (format!("{} checks", checks.len()), format!("{}: {why}", checks.join(", "))),
        };
        ("skipped".to_owned(), what, text)
    });
    rows.splice(place..place, skipped);
    rows
}
