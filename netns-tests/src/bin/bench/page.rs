//! docs/performance.md, of which the tables between two marks are written by the measurements themselves.

use std::fs;
use std::path::Path;

/// Puts `text` between the marks of that name.
///
/// # Errors
/// A sentence, when the page cannot be read or written or has no such marks.
pub(crate) fn write(name: &str, text: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let failed = |error| format!("cannot use {}: {error}", path.display());
    let page = fs::read_to_string(&path).map_err(failed)?;
    let [begin, end] = marks(name);
    let new = replaced(&page, name, text)
        .ok_or_else(|| format!("{} has no lines `{begin}` and `{end}`", path.display()))?;
    fs::write(&path, new).map_err(failed)
}

fn marks(name: &str) -> [String; 2] {
    ["begin", "end"].map(|which| format!("<!-- {name}: {which} -->"))
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let [begin, end] = marks(name);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page =
            "# Page\n<!-- a: begin -->\nold\n<!-- a: end -->\nrest\n<!-- b: begin -->\n<!-- b: end -->\n";
        let new = replaced(page, "a", "new\n").unwrap();
        assert_eq!(new, page.replace("old", "new"));
        assert_eq!(replaced(&new, "a", "new").unwrap(), new);
        assert!(replaced(page, "c", "new").is_none());
        assert!(replaced("<!-- a: end -->\n<!-- a: begin -->", "a", "new").is_none());
    }

    #[test]
    fn the_page_has_the_marks() {
        let page = include_str!("../../../../docs/performance.md");
        for name in ["bench", "hop", "start"] {
            assert!(replaced(page, name, "").is_some(), "{name}");
        }
    }
}
