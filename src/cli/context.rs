//! What every command has at hand: the global arguments, the paths that follow from them, and the
//! one way out for text, which lets no control byte through.

use std::io::{self, Write};

use serde::Serialize;

use super::Global;
use super::failure::Failure;
use super::text;
use crate::paths::{DEFAULT_NETWORK, Paths};

/// The surroundings of one command.
pub(super) struct Context<'w> {
    pub(super) global: Global,
    pub(super) paths: Paths,
    out: &'w mut dyn Write,
}

impl<'w> Context<'w> {
    pub(super) fn new(global: Global, out: &'w mut dyn Write) -> Self {
        let paths = Paths::new(global.network.as_deref(), global.state_dir.as_deref());
        Self { global, paths, out }
    }

    /// The name of the network that is meant.
    pub(super) fn network(&self) -> &str {
        self.global.network.as_deref().unwrap_or(DEFAULT_NETWORK)
    }

    /// `hopmesh` with the global arguments that lead to the same network.
    pub(super) fn program(&self) -> String {
        let mut line = "hopmesh".to_owned();
        if let Some(network) = &self.global.network {
            line += &format!(" --network {network}");
        }
        if let Some(directory) = &self.global.state_dir {
            line += &format!(" --state-dir {}", directory.display());
        }
        line
    }

    /// A command of that program.
    pub(super) fn command_line(&self, command: &str) -> String {
        format!("{} {command}", self.program())
    }

    /// Is JSON wanted instead of text?
    pub(super) fn json(&self) -> bool {
        self.global.json
    }

    /// Prints one line of text. What came from the network may be in it: control bytes are taken out.
    pub(super) fn say(&mut self, line: impl AsRef<str>) -> Result<(), Failure> {
        let line = text::clean(line.as_ref());
        Ok(writeln!(self.out, "{}", line.trim_end()).and_then(|()| self.out.flush())?)
    }

    /// Prints lines of text, as [`Context::say`] does.
    pub(super) fn say_all(
        &mut self,
        lines: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<(), Failure> {
        lines.into_iter().try_for_each(|line| self.say(line))
    }

    /// Prints a text that is ours and goes to a program: as it is.
    pub(super) fn write_raw(&mut self, text: &[u8]) -> Result<(), Failure> {
        Ok(self.out.write_all(text).and_then(|()| self.out.flush())?)
    }

    /// Prints one JSON object on one line; JSON escapes control bytes by itself.
    pub(super) fn print_json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(value).map_err(io::Error::from)?;
        line.push(b'\n');
        self.write_raw(&line)
    }
}
