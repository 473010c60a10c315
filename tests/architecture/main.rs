//! The lines that no change may cross without saying so here: who may depend on whom, what may be reached from below
//! the sans-IO line, under which licences and from where, and that clippy's bans are in force. Each rule is a function from what is
//! found to what is wrong with it, so that a test can also break it and see that it answers.

mod arrows;
mod bans;
mod graph;
mod licences;
mod sources;

use std::path::{Path, PathBuf};

/// The checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A TOML file of the checkout.
fn toml(path: &str) -> toml::Table {
    text(&root().join(path)).parse().unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every Rust source below a folder, in order.
fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for path in entries.map(|entry| entry.expect("a folder that could be opened").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Fails with everything that is wrong, a line each.
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
