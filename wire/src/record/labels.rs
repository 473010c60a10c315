//! Labels: what a record says of itself for selection, in words that are safe to print and to put into DNS.

use std::collections::BTreeMap;

/// Most labels of a record.
pub const LABELS_MAX: usize = 16;
/// Longest key of a label in bytes, as a DNS label.
pub const LABEL_KEY_LENGTH_MAX: usize = 63;
/// Longest value of a label in bytes: `key=value` is one string of a TXT record, which has 255.
pub const LABEL_VALUE_LENGTH_MAX: usize = 191;

/// Why labels are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Too many.
    #[error("there are at most {LABELS_MAX} labels: leave some out")]
    TooMany,
    /// A key that is no word.
    #[error(
        "the label key {0:?} is not 1 to {LABEL_KEY_LENGTH_MAX} lower-case letters, digits, hyphens, dots and underscores"
    )]
    Key(String),
    /// A value that cannot be printed in one line.
    #[error(
        "the value of the label {0:?} is not at most {LABEL_VALUE_LENGTH_MAX} printable ASCII characters"
    )]
    Value(String),
}

/// Checks the labels of a record.
///
/// # Errors
/// [`LabelError`] for the first that is wrong.
pub fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), LabelError> {
    if labels.len() > LABELS_MAX {
        return Err(LabelError::TooMany);
    }
    let in_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    let printable = |c: char| matches!(c, ' '..='~');
    for (key, value) in labels {
        if key.is_empty() || key.len() > LABEL_KEY_LENGTH_MAX || !key.chars().all(in_word) {
            return Err(LabelError::Key(key.clone()));
        }
        if value.len() > LABEL_VALUE_LENGTH_MAX || !value.chars().all(printable) {
            return Err(LabelError::Value(key.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str) -> Result<(), LabelError> {
        check_labels(&BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn labels_are_words_with_printable_values() {
        for (key, value) in [("tier", ""), ("a.b_c-1", "x = y"), (&"k".repeat(63), &"v".repeat(191))] {
            assert_eq!(check(key, value), Ok(()), "{key}={value}");
        }
        for key in ["", "Tier", "a b", "a=b", "ä", "a\n", &"k".repeat(64)] {
            assert_eq!(check(key, "x"), Err(LabelError::Key(key.to_owned())), "{key:?}");
        }
        for value in ["a\0", "\u{1b}[31m", "\u{202e}", "ä", "a\n", &"v".repeat(192)] {
            assert_eq!(check("k", value), Err(LabelError::Value("k".to_owned())), "{value:?}");
        }
        let labels = |n: usize| (0..n).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(check_labels(&labels(LABELS_MAX)), Ok(()));
        assert_eq!(check_labels(&labels(LABELS_MAX + 1)), Err(LabelError::TooMany));
    }
}
