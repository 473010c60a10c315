//! `[[service]]`: what this machine publishes, one table each.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use crate::error::{self, ConfigError};
use crate::host::HostPort;
use crate::key::{self, KEYS};
use crate::value;

/// `[[service]]`: a service that this machine publishes while the configuration says so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name: one DNS label.
    #[serde(deserialize_with = "value::name")]
    pub name: String,
    /// The port that it listens to.
    #[serde(deserialize_with = "value::port")]
    pub port: u16,
    /// Where this machine passes on what comes to that port; `None`: it runs here.
    #[serde(default)]
    pub to: Option<HostPort>,
    /// What it speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// Its version, where there are several.
    #[serde(default, deserialize_with = "value::version")]
    pub version: Option<String>,
    /// What it says of itself.
    #[serde(default, deserialize_with = "value::labels")]
    pub labels: BTreeMap<String, String>,
    /// How its health is checked: `none`, `tcp`, or `http:` and a path. `None`: as is usual.
    #[serde(default, deserialize_with = "value::health")]
    pub health: Option<String>,
    /// After how many seconds without a word from this machine others forget it.
    #[serde(default = "ttl_s", deserialize_with = "value::ttl_s")]
    pub ttl_s: u32,
    /// Nodes that may publish under the name as well, by name or id; `any`: all members.
    #[serde(default, deserialize_with = "value::with")]
    pub with: Vec<String>,
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Connections.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

/// A crash is forgotten within a minute, and renewals cost next to nothing.
fn ttl_s() -> u32 {
    60
}

/// Each name and version is there once.
pub(crate) fn check(text: &str, document: &DeTable<'_>, services: &[Service]) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    let again = services.iter().position(|service| !seen.insert(service.identity()));
    let Some(position) = again else { return Ok(()) };
    let (name, version) = services[position].identity();
    let version = version.map_or_else(String::new, |version| format!(" version {version}"));
    let key = KEYS.iter().find(|key| key.table == "service" && key.name == "name");
    let span = key.and_then(|key| key::spans(document, key).into_iter().nth(position));
    let line = error::line(text, span.map_or(0, |span| span.start));
    Err(ConfigError::Twice { line, service: format!("{name}{version}") })
}

impl Service {
    /// Names and versions mean the same in either case.
    fn identity(&self) -> (String, Option<String>) {
        (self.name.to_ascii_lowercase(), self.version.as_ref().map(|version| version.to_ascii_lowercase()))
    }
}
