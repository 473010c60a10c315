//! Clippy's bans are in force below the sans-IO line: each folder there has the one file of bans, the lint is denied, and
//! nobody lifts it.
//!
//! Tests and examples may: they count virtual time from some instant, read vectors from files, and take arguments.

use std::path::{Path, PathBuf};

use crate::arrows::{CRATES, Crate, Side};
use crate::{assert_none, root, sources_below, text};

/// The file of bans that the folders below the line link to.
const PURE: &str = "sans-io.clippy.toml";

/// What must be banned at the very least.
const BANNED: [&str; 16] = [
    "ring::rand::SystemRandom::new",
    "std::env::var",
    "std::fs::File::open",
    "std::fs::read",
    "std::fs::write",
    "std::hash::RandomState::new",
    "std::net::TcpListener::bind",
    "std::net::TcpStream::connect",
    "std::net::UdpSocket::bind",
    "std::process::Command::new",
    "std::sync::Mutex::new",
    "std::thread::sleep",
    "std::thread::spawn",
    "std::time::Instant::elapsed",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
];

/// Where code that is no test lifts the bans, how often at most, and why.
const LIFTED: [(&str, usize, &str); 2] = [
    ("sim/src", 1, "virtual time counts from an instant that does not matter"),
    ("fuzz/bodies/src", 1, "records that are no leases are held from any instant on"),
];

fn wrong_bans(bans: &toml::Table) -> Vec<String> {
    let mut wrong = Vec::new();
    let list = bans.get("disallowed-methods").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let field = |ban: &toml::Value, name: &str| ban.get(name).and_then(|v| v.as_str().map(str::to_owned));
    for path in BANNED {
        if !list.iter().any(|ban| field(ban, "path").as_deref() == Some(path)) {
            wrong.push(format!("{PURE} does not ban {path}"));
        }
    }
    for ban in list.iter().filter(|ban| field(ban, "reason").is_none_or(|reason| reason.is_empty())) {
        wrong.push(format!("{PURE} bans without a reason: {ban:?}"));
    }
    wrong
}

/// All settings but the bans are the same on both sides of the line.
fn differing_settings(above: &toml::Table, below: &toml::Table) -> Vec<String> {
    let others = |table: &toml::Table| -> toml::Table {
        table
            .iter()
            .filter(|(key, _)| *key != "disallowed-methods")
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    let (above, below) = (others(above), others(below));
    if above == below { vec![] } else { vec![format!("clippy.toml has {above:?}, but {PURE} {below:?}")] }
}

/// The files that clippy, which takes the nearest, would find for a crate.
fn wrong_files(known: &Crate, checkout: &Path) -> Vec<String> {
    let folder = checkout.join(known.folder);
    let mut wrong = Vec::new();
    if folder.join(".clippy.toml").exists() {
        wrong.push(format!("{}/.clippy.toml hides clippy.toml", known.folder));
    }
    let own = std::fs::read_to_string(folder.join("clippy.toml")).ok();
    match known.side {
        Side::Below if own.as_deref() != Some(text(&checkout.join(PURE)).as_str()) => {
            wrong.push(format!("{}/clippy.toml is no link to ../{PURE}", known.folder));
        }
        Side::Above if own.is_some() => wrong.push(format!("{}/clippy.toml hides the root's", known.folder)),
        Side::Below | Side::Above => {}
    }
    wrong
}

fn wrong_lints(known: &Crate, manifest: &toml::Table) -> Vec<String> {
    let inherits =
        manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    if inherits == Some(true) {
        return vec![];
    }
    vec![format!("{} does not say `[lints] workspace = true`", known.name)]
}

/// The lines, from 1, at which a source that is no test turns clippy's bans off, one way or another.
fn lifts(source: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    for (at, line) in lines.iter().enumerate() {
        if *line == "#[cfg(test)]" && begins_module(&lines[at..]) {
            break;
        }
        let level = ["allow(", "expect(", "warn("].iter().any(|level| line.contains(level));
        let named = line.contains("disallowed_methods");
        let whole = ["clippy::all", "clippy::style", "(warnings"].iter().any(|group| line.contains(group));
        if named || (level && whole) {
            found.push(at + 1);
        }
    }
    found
}

/// Whether the first item from here on, behind its attributes, is a module: by custom the last one of a file.
fn begins_module(lines: &[&str]) -> bool {
    let items =
        ["const ", "enum ", "fn ", "impl ", "mod ", "pub", "static ", "struct ", "type ", "unsafe ", "use "];
    let item = lines.iter().find(|line| items.iter().any(|item| line.starts_with(item)));
    item.is_some_and(|line| line.starts_with("mod "))
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| ["tests", "tests.rs", "benches", "examples"].iter().any(|name| part.as_os_str() == *name))
}

/// Sources of crates below the line that are no tests, relative to the checkout.
fn pure_sources() -> Vec<PathBuf> {
    let folders = CRATES.iter().filter(|known| known.side == Side::Below);
    let sources = folders.flat_map(|known| sources_below(&root().join(known.folder)));
    let sources = sources.map(|path| path.strip_prefix(root()).expect("a part of the checkout").to_owned());
    sources.filter(|path| !is_test(path)).collect()
}

#[test]
fn the_bans_are_written_down_with_reasons() {
    let (above, below) = (crate::toml("clippy.toml"), crate::toml(PURE));
    assert_none(&wrong_bans(&below));
    assert_none(&differing_settings(&above, &below));
}

#[test]
fn every_crate_finds_the_clippy_toml_of_its_side() {
    // The root package is the folder above src/, whose clippy.toml is the one for this side.
    let wrong = CRATES.iter().flat_map(|known| wrong_files(known, root()));
    assert_none(&wrong.collect::<Vec<_>>());
}

#[test]
fn the_lint_is_denied_in_every_crate() {
    let workspace = crate::toml("Cargo.toml");
    let level = workspace["workspace"]["lints"]["clippy"]["disallowed_methods"].as_str();
    assert!(matches!(level, Some("deny" | "forbid")), "{level:?}");
    for known in &CRATES {
        let folder = if known.folder == "src" { "." } else { known.folder };
        assert_none(&wrong_lints(known, &crate::toml(&format!("{folder}/Cargo.toml"))));
    }
}

#[test]
fn nobody_below_the_line_lifts_a_ban() {
    let mut found: Vec<(PathBuf, usize)> = Vec::new();
    for path in pure_sources() {
        found.extend(lifts(&text(&root().join(&path))).into_iter().map(|line| (path.clone(), line)));
    }
    for (below, times, _) in LIFTED {
        for _ in 0..times {
            if let Some(at) = found.iter().position(|(path, _)| path.starts_with(below)) {
                found.remove(at);
            }
        }
    }
    let say = |(path, line): &(PathBuf, usize)| format!("{}:{line} lifts clippy's bans", path.display());
    assert_none(&found.iter().map(say).collect::<Vec<_>>());
}

#[test]
fn a_missing_ban_and_a_differing_setting_are_noticed() {
    let bans = crate::toml(PURE);
    assert!(!wrong_bans(&toml::Table::new()).is_empty());
    let mut fewer = bans.clone();
    let list = fewer["disallowed-methods"].as_array_mut().unwrap();
    list.retain(|ban| ban["path"].as_str() != Some("std::time::Instant::now"));
    assert_eq!(wrong_bans(&fewer), [format!("{PURE} does not ban std::time::Instant::now")]);
    let mut other = bans.clone();
    other.insert("too-many-lines-threshold".to_owned(), toml::Value::Integer(700));
    assert_eq!(differing_settings(&bans, &other).len(), 1);
}

#[test]
fn a_missing_link_and_a_missing_lint_are_noticed() {
    let unlinked = Crate { name: "hopmesh-wire", folder: "xtask", side: Side::Below, may: &[] };
    assert_eq!(wrong_files(&unlinked, root()), [format!("xtask/clippy.toml is no link to ../{PURE}")]);
    let hidden = Crate { name: "hopmesh-api", folder: "wire", side: Side::Above, may: &[] };
    assert_eq!(wrong_files(&hidden, root()), ["wire/clippy.toml hides the root's"]);
    let manifest = "[package]\nname = 'x'\n".parse().unwrap();
    assert_eq!(wrong_lints(&unlinked, &manifest), ["hopmesh-wire does not say `[lints] workspace = true`"]);
}

#[test]
fn a_lifted_ban_is_noticed_unless_a_test_lifts_it() {
    assert_eq!(lifts("#![allow(clippy::disallowed_methods)]\n"), [1]);
    assert_eq!(lifts("\n#[expect(\n    clippy::disallowed_methods,\n    reason = \"x\"\n)]\n"), [3]);
    assert_eq!(lifts("#![allow(clippy::all)]\n#![allow(warnings)]\n#[expect(clippy::style)]\n"), [1, 2, 3]);
    let lifting = "#[expect(clippy::disallowed_methods, reason = \"x\")]";
    assert_eq!(lifts(&format!("#[cfg(test)]\n{lifting}\nmod tests {{\n{lifting}\n}}\n")), [0; 0]);
    let lines = lifting.replace('(', "(\n").replace(')', "\n)");
    assert_eq!(lifts(&format!("#[cfg(test)]\n{lines}\nmod tests {{\n}}\n")), [0; 0]);
    assert_eq!(lifts(&format!("#[cfg(test)]\nuse x;\n{lifting}\nfn f() {{}}\n")), [3]);
    assert!(is_test(Path::new("wire/tests/vectors.rs")) && is_test(Path::new("nat/src/probe/tests.rs")));
    assert!(!is_test(Path::new("wire/src/contests.rs")));
}
