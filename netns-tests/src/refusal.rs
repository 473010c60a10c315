//! How a refusal looks: an exit code and a sentence for people, never a panic or a riddle.

use serde_json::Value;

use crate::{DEADLINE, Done, Machine};

impl Machine {
    /// Runs a command that must be refused: see [`refused`].
    pub fn refused(&self, args: &[&str], words: &[&str]) -> Done {
        self.refused_under(&[], args, words)
    }

    /// Runs a command that must be refused, under `wrap`: see [`refused`].
    pub fn refused_under(&self, wrap: &[&str], args: &[&str], words: &[&str]) -> Done {
        refused(self.launch(wrap, args, None).done(DEADLINE), words)
    }
}

/// Asserts that a command with `--json` failed as promised: exit code 1 and `hopmesh: …` on standard error with
/// `{"error":…}` on standard output; or exit code 2 where the command line itself is wrong. The text has one of the
/// alternatives, parted by `|`, of each of `words`.
///
/// # Panics
/// When any of that does not hold.
pub fn refused(done: Done, words: &[&str]) -> Done {
    let Done { what, code, stdout, stderr } = &done;
    let all = format!("{what}\nexit code {code:?}\n{stdout}\n{stderr}");
    assert!(!stderr.contains("panicked"), "a panic is no message: {all}");
    match code {
        Some(1) => {
            assert!(stderr.lines().any(|line| line.starts_with("hopmesh: ")), "no `hopmesh: …` in: {all}");
            let last = stdout.lines().last().unwrap_or_default();
            let error = serde_json::from_str::<Value>(last).unwrap_or(Value::Null)["error"].clone();
            assert!(error.as_str().is_some_and(|text| !text.is_empty()), "no JSON error in: {all}");
        }
        Some(2) => assert!(!stderr.trim().is_empty(), "no message: {all}"),
        _ => panic!("not a refusal: {all}"),
    }
    let said = stderr.to_lowercase();
    for word in words {
        assert!(
            word.split('|').any(|word| said.contains(&word.to_lowercase())),
            "nothing on {word} in: {all}"
        );
    }
    done
}
