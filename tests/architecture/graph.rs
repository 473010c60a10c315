//! The packages of the lock file and who depends on whom, as `cargo metadata` tells.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// One package.
#[derive(Debug, Clone, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    /// `None`: a path.
    pub(crate) source: Option<String>,
    /// Whether it is one of ours.
    pub(crate) member: bool,
    /// Ids of what it is built with and of what its build script is built with.
    pub(crate) dependencies: BTreeSet<String>,
    /// Ids of what only its tests and benchmarks are built with.
    pub(crate) dev_dependencies: BTreeSet<String>,
}

/// All packages by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph(pub(crate) BTreeMap<String, Package>);

impl Graph {
    /// Asks cargo, once for all tests: for all targets, and as locked.
    pub(crate) fn of_this_workspace() -> Self {
        static TOLD: LazyLock<Graph> = LazyLock::new(|| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(crate::root());
            let told = cargo.output().expect("the cargo that built this test is still there");
            assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
            Graph::read(&serde_json::from_slice(&told.stdout).expect("cargo metadata is JSON"))
        });
        TOLD.clone()
    }

    fn read(metadata: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let list = |value: &Value| value.as_array().cloned().expect("a list of cargo metadata");
        let members: BTreeSet<_> = list(&metadata["workspace_members"]).iter().filter_map(text).collect();
        let mut graph = Self::default();
        for package in list(&metadata["packages"]) {
            let id = text(&package["id"]).expect("a package has an id");
            let known = Package {
                name: text(&package["name"]).expect("a package has a name"),
                license: text(&package["license"]),
                source: text(&package["source"]),
                member: members.contains(&id),
                ..Package::default()
            };
            graph.0.insert(id, known);
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            let id = text(&node["id"]).expect("a node has an id");
            let package = graph.0.get_mut(&id).expect("a node is a package");
            for dependency in list(&node["deps"]) {
                let to = text(&dependency["pkg"]).expect("a dependency is a package");
                for kind in list(&dependency["dep_kinds"]) {
                    let dev = kind["kind"].as_str() == Some("dev");
                    let among = if dev { &mut package.dev_dependencies } else { &mut package.dependencies };
                    among.insert(to.clone());
                }
            }
        }
        graph
    }

    /// Our own packages.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Package)> {
        self.0.iter().filter(|(_, package)| package.member).map(|(id, package)| (id.as_str(), package))
    }

    /// The name behind an id.
    pub(crate) fn name(&self, id: &str) -> &str {
        &self.0[id].name
    }

    /// Everything that is built when this package is built, its tests left out; each with the one that wants it.
    pub(crate) fn reached_from<'a>(&'a self, id: &'a str) -> BTreeMap<&'a str, &'a str> {
        let mut reached = BTreeMap::new();
        let mut next: Vec<_> = self.0[id].dependencies.iter().map(|to| (to.as_str(), id)).collect();
        while let Some((to, from)) = next.pop() {
            if reached.insert(to, from).is_none() {
                next.extend(self.0[to].dependencies.iter().map(|beyond| (beyond.as_str(), to)));
            }
        }
        reached
    }

    /// For tests that break a rule: one more arrow, between packages of these names.
    pub(crate) fn with_arrow(mut self, from: &str, to: &str) -> Self {
        let to = self.id(to);
        let from = self.id(from);
        self.0.get_mut(&from).expect("just found").dependencies.insert(to);
        self
    }

    /// For tests that break a rule: the package of this name, altered.
    pub(crate) fn altered(mut self, name: &str, alter: impl FnOnce(&mut Package)) -> Self {
        let id = self.id(name);
        alter(self.0.get_mut(&id).expect("just found"));
        self
    }

    fn id(&self, name: &str) -> String {
        let found = self.0.iter().find(|(_, package)| package.name == name);
        found.unwrap_or_else(|| panic!("no package {name}")).0.clone()
    }
}
