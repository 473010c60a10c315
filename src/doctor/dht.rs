//! Does the DHT answer, by which members find each other when all else has changed?

use super::{Outcome, Surroundings};

pub(super) fn check(around: &Surroundings) -> Outcome {
    match around.answers() {
        Ok(answers) => judge(answers.netcheck.dht.as_ref()),
        Err(outcome) => outcome,
    }
}

fn judge(dht: Option<&api::Dht>) -> Outcome {
    let Some(dht) = dht else { return Outcome::skipped("the daemon says nothing of the DHT") };
    if !dht.enabled {
        return Outcome::ok("switched off in the configuration");
    }
    if !dht.bootstrapped || dht.nodes == 0 {
        return Outcome::warning(
            "the DHT does not answer: members whose addresses all change do not find each other by it",
            "let UDP out to any port; where the network forbids that, name one of your own by `[dht] bootstrap`",
        );
    }
    Outcome::ok(format!("answers, {} nodes known", dht.nodes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dht_that_is_off_is_nobodys_fault_and_a_silent_one_is_told() {
        let dht =
            |enabled, bootstrapped, nodes| api::Dht { enabled, bootstrapped, nodes, last_published_s: None };
        assert_eq!(judge(Some(&dht(true, true, 120))).word(), "ok");
        assert_eq!(judge(Some(&dht(false, false, 0))).word(), "ok");
        assert_eq!(judge(Some(&dht(true, false, 3))).word(), "warning");
        assert_eq!(judge(Some(&dht(true, true, 0))).word(), "warning");
        assert_eq!(judge(None).word(), "skipped");
    }
}
