//! What a check found.

/// A check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a check, the worst last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All is well; what was seen.
    Ok(String),
    /// It could not be judged; why.
    Skipped(String),
    /// It works, less well than it could.
    Warning(Trouble),
    /// It does not work.
    Failed(Trouble),
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub reason: String,
    /// What to do about it.
    pub to_do: String,
}

impl Outcome {
    pub(super) fn ok(seen: impl Into<String>) -> Self {
        Self::Ok(seen.into())
    }

    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self::Skipped(why.into())
    }

    pub(super) fn warning(reason: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self::Warning(Trouble { reason: reason.into(), to_do: to_do.into() })
    }

    pub(super) fn failed(reason: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self::Failed(Trouble { reason: reason.into(), to_do: to_do.into() })
    }

    /// The worst of `found`, the first of equals; all of that kind are told. `otherwise`: nothing was found.
    pub(super) fn worst(found: Vec<Self>, otherwise: impl FnOnce() -> Self) -> Self {
        let rank = found.iter().map(Self::rank).max();
        let worst = found.into_iter().filter(|outcome| Some(outcome.rank()) == rank);
        worst.reduce(Self::and).unwrap_or_else(otherwise)
    }

    /// Both in one, of the same kind.
    fn and(self, other: Self) -> Self {
        let join = |one: String, other: String| if one == other { one } else { format!("{one}; {other}") };
        let both = |one: Trouble, other: Trouble| Trouble {
            reason: join(one.reason, other.reason),
            to_do: join(one.to_do, other.to_do),
        };
        match (self, other) {
            (Self::Ok(one), Self::Ok(other)) => Self::Ok(join(one, other)),
            (Self::Skipped(one), Self::Skipped(other)) => Self::Skipped(join(one, other)),
            (Self::Warning(one), Self::Warning(other)) => Self::Warning(both(one, other)),
            (Self::Failed(one), Self::Failed(other)) => Self::Failed(both(one, other)),
            (one, other) => {
                if one.rank() >= other.rank() {
                    one
                } else {
                    other
                }
            }
        }
    }

    /// The worse, the higher.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Ok(_) => 0,
            Self::Skipped(_) => 1,
            Self::Warning(_) => 2,
            Self::Failed(_) => 3,
        }
    }

    /// One word for it, here and in JSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Skipped(_) => "skipped",
            Self::Warning(_) => "warning",
            Self::Failed(_) => "failed",
        }
    }

    /// What was seen, or what is wrong.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Ok(text) | Self::Skipped(text) => text,
            Self::Warning(trouble) | Self::Failed(trouble) => &trouble.reason,
        }
    }

    /// What to do about it; `None` where nothing is known to be wrong.
    #[must_use]
    pub fn to_do(&self) -> Option<&str> {
        match self {
            Self::Ok(_) | Self::Skipped(_) => None,
            Self::Warning(trouble) | Self::Failed(trouble) => Some(&trouble.to_do),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_told_and_all_of_its_kind() {
        let well = || Outcome::ok("well");
        assert_eq!(Outcome::worst(vec![], well), well());
        let found = vec![
            Outcome::warning("a", "do a"),
            Outcome::failed("b", "do b"),
            Outcome::skipped("c"),
            Outcome::failed("d", "do b"),
        ];
        assert_eq!(Outcome::worst(found, well), Outcome::failed("b; d", "do b"));
        assert_eq!(Outcome::worst(vec![Outcome::skipped("c"), well()], well), Outcome::skipped("c"));
    }
}
