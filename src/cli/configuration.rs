//! The configuration of the network that is meant.

use std::{fs, io};

use config::Settings;

use super::context::Context;

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
    let (path, is_named) = match &context.global.config {
        Some(path) => (path, true),
        None => (&context.paths.config, false),
    };
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
