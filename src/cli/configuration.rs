//! The configuration of the network that is meant.

use std::path::Path;
use std::{fs, io};

use config::Settings;

use super::context::Context;
use super::log;
use crate::daemon::Source;

/// A configuration, as it is written and as it is meant.
#[derive(Default)]
pub(super) struct Configuration {
    /// Empty where there is no file.
    pub(super) text: String,
    pub(super) settings: Settings,
}

/// The configuration that was named, or the network's own if it is there, or the defaults; the error is a sentence for
/// people.
pub(super) fn read(context: &Context<'_>) -> Result<Configuration, String> {
    let (path, is_named) = place(context);
    read_at(path, is_named)
}

/// The same for a node that runs.
pub(super) fn source(context: &Context<'_>) -> Source {
    let (path, is_named) = place(context);
    // The node may run elsewhere than where it was started.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let read = move || read_at(&path, is_named).map(|configuration| configuration.settings);
    Source { read: Box::new(read), set_log_level: log::set_level }
}

/// Where it lies, and whether it must be there.
fn place<'a>(context: &'a Context<'_>) -> (&'a Path, bool) {
    match &context.global.config {
        Some(path) => (path, true),
        None => (&context.paths.config, false),
    }
}

fn read_at(path: &Path, is_named: bool) -> Result<Configuration, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => {
            return Ok(Configuration::default());
        }
        Err(error) => return Err(format!("cannot read configuration {}: {error}", path.display())),
    };
    match config::parse(&text) {
        Ok(settings) => Ok(Configuration { text, settings }),
        Err(error) => Err(format!("in configuration {}: {error}", path.display())),
    }
}
