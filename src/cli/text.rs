//! Text for people: aligned tables, figures with units, no control characters.

use std::time::Duration;

/// `text` without control characters, and without those that turn the direction of writing: names and
/// sentences come from other machines and must not reach the terminal as commands.
pub(super) fn clean(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|&c| !c.is_control() && !turns(c)).collect()
}

/// Lines of cells, each column as wide as its widest cell.
#[derive(Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// A table with a line of headings.
    pub(super) fn with_headings(headings: [&str; COLUMNS]) -> Self {
        Self { rows: vec![headings.map(str::to_owned)] }
    }

    pub(super) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| clean(&cell)));
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..COLUMNS).map(|column| width(column).unwrap_or(0)).collect();
        let line = |row: &[String; COLUMNS]| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

/// `text` in lines of at most `width` characters, broken between words. What stands between backquotes is to be copied, and
/// counts as one word; a word that is longer than a line has one of its own.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let length = |text: &str| text.chars().count();
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if length(line) + 1 + length(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let ends = move |c: char| {
        is_quoted ^= c == '`';
        c == ' ' && !is_quoted
    };
    text.split(ends).filter(|word| !word.is_empty())
}

/// `text`, or the beginning of it and `…`: at most `length_max` characters.
pub(super) fn shorten(text: &str, length_max: usize) -> String {
    match text.char_indices().nth(length_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(length_max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Milliseconds, as precise as is worth reading: 0.08, 0.8, 12.4, 180.
pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 0.1 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.0} ms"),
    }
}

/// A share in per cent: 0 %, 1.5 %, 100 %.
pub(super) fn per_mille(share: u32) -> String {
    match share % 10 {
        0 => format!("{} %", share / 10),
        tenths => format!("{}.{tenths} %", share / 10),
    }
}

/// Bytes in decimal units.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown of them")]
pub(super) fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    let (mut figure, mut unit) = (count as f64 / 1000.0, "kB");
    for larger in ["MB", "GB", "TB", "PB", "EB"] {
        if figure < 999.95 {
            break;
        }
        (figure, unit) = (figure / 1000.0, larger);
    }
    format!("{figure:.1} {unit}")
}

/// A time with its two largest units: 12 s, 3 min 5 s, 2 h 5 min, 4 d 3 h.
pub(super) fn duration(duration: Duration) -> String {
    let s = duration.as_secs();
    let two = |large: u64, large_unit, small: u64, small_unit| match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match s {
        0..60 => format!("{s} s"),
        60..3600 => two(s / 60, "min", s % 60, "s"),
        3600..86_400 => two(s / 3600, "h", s % 3600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_taken_out() {
        assert_eq!(clean("a\x1b[31m\r\nb\t\u{7f}\u{9b}c"), "a[31mbc");
        assert_eq!(clean("abc\u{202e}txt.exe\u{2066}"), "abctxt.exe");
        assert_eq!(clean("ünï 東京 ▀▄█"), "ünï 東京 ▀▄█");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::with_headings(["NAME", "PATH"]);
        table.row(["a\x1b".to_owned(), "direct".to_owned()]);
        table.row(["laptop".to_owned(), String::new()]);
        assert_eq!(table.lines(), ["NAME    PATH", "a       direct", "laptop"]);
        assert_eq!(Table::<2>::new().lines(), Vec::<String>::new());
    }

    #[test]
    fn lines_break_between_words_and_never_within_a_command() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one two three", 13), ["one two three"]);
        assert_eq!(wrap("run `hopmesh leave` then", 10), ["run", "`hopmesh leave`", "then"]);
        assert_eq!(wrap("überübergrößenträger ist", 8), ["überübergrößenträger", "ist"]);
        assert_eq!(wrap("  ", 8), Vec::<String>::new());
    }

    #[test]
    fn what_is_too_long_is_cut_and_shows_it() {
        assert_eq!(
            ["größe", "größen", "größere"].map(|text| shorten(text, 6)),
            ["größe", "größen", "größe…"]
        );
    }

    #[test]
    fn figures_are_short() {
        let ms = [0.0, 0.084, 0.8, 12.44, 180.4].map(milliseconds);
        assert_eq!(ms, ["0.00 ms", "0.08 ms", "0.8 ms", "12.4 ms", "180 ms"]);
        let shares = [0, 15, 20, 1000].map(per_mille);
        assert_eq!(shares, ["0 %", "1.5 %", "2 %", "100 %"]);
        let sizes = [0, 999, 1000, 1_250_000, 999_999, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "1.2 MB", "1.0 MB", "18.4 EB"]);
        let times = [0, 59, 60, 65, 3600, 7500, 86_400, 356_400].map(|s| duration(Duration::from_secs(s)));
        assert_eq!(times, ["0 s", "59 s", "1 min", "1 min 5 s", "1 h", "2 h 5 min", "1 d", "4 d 3 h"]);
    }
}
