//! Counting what the test programs say.

use std::fmt;
use std::ops::AddAssign;

/// How many tests did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed, and steps that failed without naming a test.
    pub(crate) failed: u64,
    /// Tests that were left out by an attribute: there are to be none.
    pub(crate) ignored: u64,
}

impl Tally {
    /// Adds what one line of output says, if it is a summary such as
    /// `test result: ok. 13 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s`.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((_, summary)) = line.split_once("test result: ") else { return };
        for part in summary.split(['.', ';']) {
            let Some((number, word)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Whether any test ran.
    pub(crate) fn is_empty(self) -> bool {
        self.passed + self.failed == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn summaries_are_added_up_and_all_else_is_passed_over() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 13 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.02s",
            "test five passed; ok",
            "test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.16s",
        ] {
            tally.read(line);
        }
        assert_eq!(tally, Tally { passed: 25, failed: 2, ignored: 1 });
        assert_eq!(tally.to_string(), "25 passed, 2 failed");
        assert!(!tally.is_empty());
    }

    #[test]
    fn only_ignored_tests_are_no_tests() {
        let mut tally = Tally::default();
        tally.read(
            "test result: ok. 0 passed; 0 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        assert!(tally.is_empty());
    }
}
