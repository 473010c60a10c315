//! Does the daemon run, and what does it say is wrong?

use super::{Outcome, Reached, Surroundings};

/// Problems of the daemon's own that are repeated; `status` has all.
const PROBLEMS_MAX: usize = 3;

pub(super) fn check(around: &Surroundings) -> Outcome {
    judge(&around.reached, &around.network, &around.program)
}

fn judge(reached: &Reached, network: &str, program: &str) -> Outcome {
    match reached {
        Reached::Down => Outcome::failed(
            format!("no daemon is running for network {network}"),
            format!(
                "start it with `{program} up`; on a machine that is no member yet, `{program} join INVITE`"
            ),
        ),
        Reached::NotPermitted => Outcome::skipped(crate::control::not_permitted(network)),
        Reached::Silent(why) => Outcome::failed(
            format!("the daemon of network {network} does not answer: {why}"),
            format!("look at its log with `journalctl --unit {}`", crate::systemd::unit(network)),
        ),
        Reached::Up(answers) if answers.status.problems.is_empty() => {
            Outcome::ok(format!("answers, version {}", answers.status.version))
        }
        // A sentence of the daemon's says what to do as well.
        Reached::Up(answers) => {
            let problems = &answers.status.problems;
            let told = problems.iter().take(PROBLEMS_MAX).map(|problem| problem.trim_end_matches('.'));
            let told = told.collect::<Vec<_>>().join("; ");
            let more = match problems.len().saturating_sub(PROBLEMS_MAX) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            Outcome::warning(
                format!("the daemon says: {told}{more}"),
                format!("as it says; `{program} status` shows it beside all else that the daemon sees"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Answers;

    fn up(problems: &[&str]) -> Reached {
        let problems = problems.iter().map(|&problem| problem.to_owned()).collect();
        let status = api::StatusReply { problems, version: "0.1.0".to_owned(), ..<_>::default() };
        Reached::Up(Box::new(Answers { status, netcheck: <_>::default() }))
    }

    #[test]
    fn a_daemon_that_is_down_fails_and_one_that_may_not_be_asked_does_not() {
        assert_eq!(judge(&up(&[]), "home", "hopmesh"), Outcome::ok("answers, version 0.1.0"));
        let down = judge(&Reached::Down, "lab", "hopmesh --network lab");
        assert!(down.rank() == 3 && down.to_do().unwrap().contains("`hopmesh --network lab up`"), "{down:?}");
        assert_eq!(judge(&Reached::NotPermitted, "home", "hopmesh").word(), "skipped");
        let silent = judge(&Reached::Silent("late".to_owned()), "lab", "hopmesh --network lab");
        assert!(silent.to_do().unwrap().contains("hopmesh@lab.service"), "{silent:?}");
    }

    #[test]
    fn what_the_daemon_complains_of_is_repeated_within_bounds() {
        let outcome = judge(&up(&["UDP is blocked: open a port.", "b", "c", "d"]), "home", "hopmesh");
        let words = "the daemon says: UDP is blocked: open a port; b; c; and 1 more";
        assert_eq!((outcome.word(), outcome.reason()), ("warning", words));
    }
}
