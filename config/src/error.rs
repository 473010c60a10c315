//! What can be wrong with a configuration, each with its line, and finding that line.

use std::ops::Range;

use toml::de::{DeTable, Error};

use crate::key::{self, KEYS};

/// Why a configuration was refused. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the words of the sentence above them")]
pub enum ConfigError {
    /// The text is no TOML.
    #[error("line {line}: {message}")]
    Syntax { line: usize, message: String },
    /// There is no such table.
    #[error("line {line}: there is no table [{table}]{hint} The tables are {known}")]
    UnknownTable { line: usize, table: String, hint: String, known: String },
    /// There is no such key in this table.
    #[error("line {line}: there is no key `{key}` in [{heading}]{hint} It has {known}")]
    UnknownKey { line: usize, key: String, heading: &'static str, hint: String, known: String },
    /// A key stands before the first table, where there are none.
    #[error("line {line}: `{key}` stands outside of every table{hint}")]
    StrayKey { line: usize, key: String, hint: String },
    /// A table was given a value as if it were a key.
    #[error("line {line}: `{name}` is a table: write [{heading}] and its keys below it")]
    NoTable { line: usize, name: &'static str, heading: &'static str },
    /// A key is not there that must be.
    #[error("line {line}: this [{heading}] has no `{key}`: add it")]
    Missing { line: usize, key: &'static str, heading: &'static str },
    /// Two tables declare the same service.
    #[error("line {line}: {service} is declared twice: give one of them another name or version")]
    Twice { line: usize, service: String },
    /// A key has a value that is not allowed.
    #[error("line {line}: `{key}` in [{heading}] cannot be {found}: it takes {allowed}")]
    Value { line: usize, key: &'static str, heading: &'static str, found: String, allowed: &'static str },
}

/// Longest piece of the user's text that an error repeats, in characters.
const SHOWN_LENGTH_MAX: usize = 60;

/// The text is no TOML.
pub(crate) fn syntax(text: &str, error: &Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start);
    ConfigError::Syntax { line: line(text, at), message: one_line(error.message()) }
}

/// The text is TOML, all its keys are known, and still it was refused: then it is by a value.
pub(crate) fn value(text: &str, document: &DeTable<'_>, error: &Error) -> ConfigError {
    let Some(at) = error.span() else { return syntax(text, error) };
    let refused = KEYS.iter().find_map(|key| {
        let mut spans = key::spans(document, key).into_iter();
        spans.find(|span| span.start <= at.start && at.end <= span.end).map(|span| (key, span))
    });
    let Some((key, span)) = refused else { return syntax(text, error) };
    ConfigError::Value {
        line: line(text, at.start),
        key: key.name,
        heading: key::heading(key.table),
        found: shown(found(text, at, span)),
        allowed: key.allowed,
    }
}

/// The line that a byte of the text is on, from 1.
pub(crate) fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

/// A piece of the user's text, short and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_LENGTH_MAX).map(plain).collect();
    if text.chars().nth(SHOWN_LENGTH_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// The narrowest piece that is wrong: the element of a list where the parser knows which.
fn found(text: &str, at: Range<usize>, value: Range<usize>) -> &str {
    let narrow = text.get(at).filter(|piece| !piece.trim().is_empty());
    narrow.or_else(|| text.get(value)).unwrap_or_default().trim()
}

fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(", ")
}

fn plain(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
