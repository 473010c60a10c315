//! From results of checks to a verdict.

use super::limits::FAILURES_MAX;

/// What is known of one instance.
#[derive(Debug, Default)]
pub(super) struct Judge {
    was_well: bool,
    failures: u32,
}

impl Judge {
    /// Whether the instance is well after one more check. The first check decides alone, later ones need two failures
    /// in a row: a name must never lead to what was not there to begin with.
    pub(super) fn judge(&mut self, passed: bool) -> bool {
        if passed {
            *self = Self { was_well: true, failures: 0 };
            return true;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            self.was_well = false;
        }
        self.was_well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(results: &[bool]) -> Vec<bool> {
        let mut judge = Judge::default();
        results.iter().map(|passed| judge.judge(*passed)).collect()
    }

    #[test]
    fn the_first_check_decides_alone() {
        assert_eq!(verdicts(&[false]), [false]);
        assert_eq!(verdicts(&[true]), [true]);
    }

    #[test]
    fn two_failures_in_a_row_make_ill_and_one_success_well() {
        assert_eq!(verdicts(&[true, false, true, false, true]), [true; 5]);
        assert_eq!(verdicts(&[true, false, false, false, true]), [true, true, false, false, true]);
        assert_eq!(verdicts(&[false, true, false, false]), [false, true, true, false]);
    }
}
