//! Every package is under a licence that deny.toml allows. `cargo deny` would say the same, but takes minutes to build.

use crate::assert_none;
use crate::graph::Graph;

fn allowed() -> Vec<String> {
    let deny = crate::toml("deny.toml");
    let list = deny["licenses"]["allow"].as_array().expect("deny.toml lists the licences");
    list.iter().map(|licence| licence.as_str().expect("a licence is a text").to_owned()).collect()
}

fn wrong_licences(graph: &Graph, allowed: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in graph.0.values() {
        let expression = package.license.as_deref().unwrap_or_default();
        if !Expression::of(expression).satisfied(allowed) {
            wrong.push(format!("{} is under `{expression}`, which deny.toml does not allow", package.name));
        }
    }
    wrong
}

/// An SPDX licence expression, read from the left. `/` is an old way to write OR.
struct Expression {
    words: Vec<String>,
    at: usize,
}

impl Expression {
    fn of(text: &str) -> Self {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        Self { words: spaced.split_whitespace().map(str::to_owned).collect(), at: 0 }
    }

    /// Whether one can keep to it with these licences alone. What cannot be read is not satisfied.
    fn satisfied(mut self, allowed: &[String]) -> bool {
        let yes = self.any(allowed);
        yes && self.at == self.words.len()
    }

    fn any(&mut self, allowed: &[String]) -> bool {
        let mut yes = self.all(allowed);
        while self.take("OR") {
            yes |= self.all(allowed);
        }
        yes
    }

    fn all(&mut self, allowed: &[String]) -> bool {
        let mut yes = self.one(allowed);
        while self.take("AND") {
            yes &= self.one(allowed);
        }
        yes
    }

    fn one(&mut self, allowed: &[String]) -> bool {
        if self.take("(") {
            let yes = self.any(allowed);
            return self.take(")") && yes;
        }
        let mut licence = self.next();
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.next());
        }
        allowed.contains(&licence)
    }

    fn take(&mut self, word: &str) -> bool {
        let here = self.words.get(self.at).is_some_and(|next| next == word);
        self.at += usize::from(here);
        here
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.words.get(self.at - 1).cloned().unwrap_or_default()
    }
}

#[test]
fn every_package_is_under_a_licence_we_allow() {
    assert_none(&wrong_licences(&Graph::of_this_workspace(), &allowed()));
}

#[test]
fn every_licence_we_allow_is_needed() {
    let (graph, allowed) = (Graph::of_this_workspace(), allowed());
    for licence in &allowed {
        let fewer: Vec<_> = allowed.iter().filter(|other| *other != licence).cloned().collect();
        let named = graph.0.values().any(|package| {
            package.license.as_deref().is_some_and(|expression| expression.contains(licence.as_str()))
        });
        assert!(named || !wrong_licences(&graph, &fewer).is_empty(), "deny.toml allows {licence} for nobody");
    }
}

#[test]
fn a_foreign_licence_is_noticed() {
    let graph = Graph::of_this_workspace();
    for (expression, fine) in [
        (Some("MIT"), true),
        (Some("GPL-3.0-only OR (MIT AND ISC)"), true),
        (Some("GPL-3.0/MIT"), true),
        (Some("Apache-2.0 WITH LLVM-exception"), true),
        (Some("GPL-3.0-only"), false),
        (Some("MIT AND GPL-3.0-only"), false),
        (Some("(MIT OR Apache-2.0) AND GPL-3.0-only"), false),
        (Some("MIT WITH some-exception"), false),
        (Some("MIT MIT"), false),
        (Some("(MIT"), false),
        (None, false),
    ] {
        let altered =
            graph.clone().altered("libc", |package| package.license = expression.map(str::to_owned));
        assert_eq!(wrong_licences(&altered, &allowed()).is_empty(), fine, "{expression:?}");
    }
}
