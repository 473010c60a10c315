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
use super::text::Table;
use crate::doctor::{self, Answers, Finding, Reached, Surroundings};
use crate::io::inspect;

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

/// A line a check, the worst first.
pub(super) fn lines(mut findings: Vec<Finding>) -> Vec<String> {
    findings.sort_by_key(|finding| Reverse(finding.outcome.rank()));
    let mut table = Table::new();
    for Finding { check, outcome } in &findings {
        let said = match outcome.to_do() {
            Some(to_do) => format!("{}. To do: {to_do}", outcome.reason()),
            None => outcome.reason().to_owned(),
        };
        table.row([outcome.word().to_owned(), (*check).to_owned(), said]);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Outcome, Trouble};

    fn findings() -> Vec<Finding> {
        let trouble =
            |reason: &str, to_do: &str| Trouble { reason: reason.to_owned(), to_do: to_do.to_owned() };
        let finding = |check, outcome| Finding { check, outcome };
        vec![
            finding("daemon", Outcome::Ok("answers, version 0.1.0".to_owned())),
            finding(
                "clock",
                Outcome::Warning(trouble("nothing keeps the clock right", "switch a time service on")),
            ),
            finding("firewall", Outcome::Skipped("rules cannot be read: nft is not installed".to_owned())),
            finding("state", Outcome::Failed(trouble("it has mode 0755", "`chmod 700` it"))),
        ]
    }

    #[test]
    fn the_worst_stands_first_with_what_to_do() {
        assert_eq!(
            lines(findings()),
            [
                "failed   state     it has mode 0755. To do: `chmod 700` it",
                "warning  clock     nothing keeps the clock right. To do: switch a time service on",
                "skipped  firewall  rules cannot be read: nft is not installed",
                "ok       daemon    answers, version 0.1.0",
            ]
        );
    }

    #[test]
    fn programs_read_counts_and_checks() {
        let json = findings_json(&findings());
        assert_eq!((&json["failed"], &json["warnings"], &json["skipped"]), (&json!(1), &json!(1), &json!(1)));
        let clock = json!({"check": "clock", "outcome": "warning", "reason": "nothing keeps the clock right", "to_do": "switch a time service on"});
        assert_eq!(json["checks"][1], clock);
        assert_eq!(json["checks"][0]["to_do"], json!(null));
    }
}
