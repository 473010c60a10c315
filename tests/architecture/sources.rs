//! Where packages come from: this checkout and crates.io, never git; and some that deny.toml bans never come.

use crate::graph::Graph;
use crate::{assert_none, root, sources_below, text};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn banned() -> Vec<String> {
    let deny = crate::toml("deny.toml");
    let list = deny["bans"]["deny"].as_array().expect("deny.toml lists banned packages");
    list.iter().map(|ban| ban["crate"].as_str().expect("a ban names a crate").to_owned()).collect()
}

fn wrong_sources(graph: &Graph, banned: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in graph.0.values() {
        match &package.source {
            None if package.member => {}
            None => wrong.push(format!("{} is a path outside of the workspace", package.name)),
            Some(source) if source == CRATES_IO => {}
            Some(source) => wrong.push(format!("{} comes from {source}, not from crates.io", package.name)),
        }
        if banned.contains(&package.name) {
            wrong.push(format!("{} is banned by deny.toml", package.name));
        }
    }
    wrong
}

#[test]
fn every_package_comes_from_here_or_from_crates_io() {
    assert_none(&wrong_sources(&Graph::of_this_workspace(), &banned()));
}

#[test]
fn git_foreign_paths_and_banned_packages_are_noticed() {
    let graph = Graph::of_this_workspace();
    let from = |source: Option<&str>| {
        let source = source.map(str::to_owned);
        wrong_sources(&graph.clone().altered("libc", |package| package.source = source), &banned())
    };
    assert_eq!(
        from(Some("git+https://example.com/libc?rev=1#1")),
        ["libc comes from git+https://example.com/libc?rev=1#1, not from crates.io"]
    );
    assert_eq!(from(None), ["libc is a path outside of the workspace"]);
    let renamed = graph.altered("libc", |package| package.name = "openssl-sys".to_owned());
    assert_eq!(wrong_sources(&renamed, &banned()), ["openssl-sys is banned by deny.toml"]);
}

/// Sources below a folder of the checkout that name a library, but for those in the one folder that may.
fn named_outside(library: &str, folder: &str, only: &str) -> Vec<String> {
    let sources = sources_below(&root().join(folder)).into_iter();
    let outside = sources.filter(|path| !path.starts_with(root().join(only)));
    let naming = outside.filter(|path| text(path).contains(library));
    naming.map(|path| format!("{} names {library}, which is for {only} alone", path.display())).collect()
}

#[test]
fn dns_messages_are_read_and_written_in_one_folder() {
    assert_none(&named_outside("hickory", "src", "src/dns"));
    assert!(!named_outside("hickory", "src", "src/dns/server").is_empty());
}
