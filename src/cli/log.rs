//! Where the daemon's log goes: standard error, which a service manager keeps.

use std::io::{self, IsTerminal};

use config::LogLevel;
use tracing_subscriber::EnvFilter;

use super::failure::Failure;

/// Overrides the level of the configuration: a level, or `target=level` and so on.
const VARIABLE: &str = "HOPMESH_LOG";

/// Starts logging. A second start in one process changes nothing.
pub(super) fn start(level: LogLevel) -> Result<(), Failure> {
    let filter = filter(std::env::var(VARIABLE).ok().as_deref(), level)?;
    // A reader that has gone away is no reason to end: without this the subscriber complains to it, and panics.
    let subscriber = tracing_subscriber::fmt().log_internal_errors(false);
    let subscriber = subscriber.with_env_filter(filter).with_writer(io::stderr);
    let _already_started = subscriber.with_ansi(io::stderr().is_terminal()).try_init();
    Ok(())
}

fn filter(wanted: Option<&str>, level: LogLevel) -> Result<EnvFilter, Failure> {
    // The DHT's crate complains each second while there is no internet, which the daemon knows and says itself.
    let configured = format!("{level},mainline=off");
    let wanted = wanted.filter(|wanted| !wanted.is_empty()).unwrap_or(&configured);
    EnvFilter::try_new(wanted).map_err(|_| {
        Failure::Failed(format!("{VARIABLE} is {wanted:?}: set it to error, warn, info, debug or trace"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_and_must_make_sense() {
        let shown = |wanted| filter(wanted, LogLevel::Warn).map(|filter| filter.to_string()).ok();
        assert_eq!(shown(None).as_deref(), Some("mainline=off,warn"));
        assert_eq!(shown(Some("")).as_deref(), Some("mainline=off,warn"));
        assert_eq!(shown(Some("debug")).as_deref(), Some("debug"));
        assert_eq!(shown(Some("overlay=trace,info")).as_deref(), Some("overlay=trace,info"));
        assert_eq!(shown(Some("a=b=c")), None);
    }
}
