//! Where the daemon's log goes: standard error, which a service manager keeps. The journal of systemd has clock and
//! levels of its own, and is told the level of each line (sd-daemon(3)).

use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::{env, fmt};

use config::LogLevel;
use rustix::fs::fstat;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, reload};

use super::failure::Failure;

/// Overrides the level of the configuration: a level, or `target=level` and so on.
const VARIABLE: &str = "HOPMESH_LOG";
/// Gives the log that was started another filter.
type SetFilter = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;
static SET_FILTER: OnceLock<SetFilter> = OnceLock::new();
/// Device and inode of the journal, as `DEVICE:INODE`.
const JOURNAL: &str = "JOURNAL_STREAM";

/// Starts logging. A second start in one process changes nothing.
pub(super) fn start(level: LogLevel) -> Result<(), Failure> {
    let filter = filter(env::var(VARIABLE).ok().as_deref(), level)?;
    // A reader that has gone away is no reason to end: without this the subscriber complains to it, and panics.
    let subscriber = tracing_subscriber::fmt().log_internal_errors(false).with_writer(io::stderr);
    let started = if is_journal() {
        let subscriber = subscriber.event_format(Journal::new()).with_env_filter(filter);
        let subscriber = subscriber.with_filter_reloading();
        let set_filter = set_filter(subscriber.reload_handle());
        subscriber.try_init().map(|()| set_filter)
    } else {
        let subscriber = subscriber.with_ansi(io::stderr().is_terminal()).with_env_filter(filter);
        let subscriber = subscriber.with_filter_reloading();
        let set_filter = set_filter(subscriber.reload_handle());
        subscriber.try_init().map(|()| set_filter)
    };
    if let Ok(set_filter) = started {
        let _already_set = SET_FILTER.set(set_filter);
    }
    Ok(())
}

fn set_filter<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> SetFilter {
    Box::new(move |filter| handle.reload(filter).is_ok())
}

/// Logs as much as the configuration has it by now, unless the environment says otherwise.
pub(super) fn set_level(level: LogLevel) {
    let wanted = env::var(VARIABLE).ok();
    if let (Some(set_filter), Ok(filter)) = (SET_FILTER.get(), filter(wanted.as_deref(), level)) {
        let _is_set = set_filter(filter);
    }
}

fn filter(wanted: Option<&str>, level: LogLevel) -> Result<EnvFilter, Failure> {
    // The DHT's crate complains each second while there is no internet, which the daemon knows and says itself.
    // And boringtun calls it an error that a telephone was switched off.
    let configured = format!("{level},mainline=off,boringtun=off");
    let wanted = wanted.filter(|wanted| !wanted.is_empty()).unwrap_or(&configured);
    EnvFilter::try_new(wanted).map_err(|_| {
        Failure::Failed(format!("{VARIABLE} is {wanted:?}: set it to error, warn, info, debug or trace"))
    })
}

/// What a line that says why we end begins with.
pub(super) fn failure_prefix() -> &'static str {
    if is_journal() { prefix(Level::ERROR) } else { "" }
}

/// Is standard error the journal itself? A child whose output goes elsewhere has the variable, too.
fn is_journal() -> bool {
    let Ok(file) = fstat(io::stderr()) else { return false };
    names(env::var(JOURNAL).ok().as_deref(), file.st_dev, file.st_ino)
}

fn names(journal: Option<&str>, device: u64, inode: u64) -> bool {
    let Some((named_device, named_inode)) = journal.and_then(|journal| journal.split_once(':')) else {
        return false;
    };
    (named_device.parse(), named_inode.parse()) == (Ok(device), Ok(inode))
}

/// Lines for the journal.
struct Journal(Format<Full, ()>);

impl Journal {
    fn new() -> Self {
        Self(tracing_subscriber::fmt::format().without_time().with_level(false).with_ansi(false))
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(prefix(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The level as the journal wants it, which has no trace.
fn prefix(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A log that can be read.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_variable_wins_and_must_make_sense() {
        let shown = |wanted| filter(wanted, LogLevel::Warn).map(|filter| filter.to_string()).ok();
        assert_eq!(shown(None).as_deref(), Some("boringtun=off,mainline=off,warn"));
        assert_eq!(shown(Some("")).as_deref(), Some("boringtun=off,mainline=off,warn"));
        assert_eq!(shown(Some("debug")).as_deref(), Some("debug"));
        assert_eq!(shown(Some("overlay=trace,info")).as_deref(), Some("overlay=trace,info"));
        assert_eq!(shown(Some("a=b=c")), None);
    }

    #[test]
    fn the_journal_is_told_levels_and_no_time() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_max_level(Level::TRACE)
            .event_format(Journal::new())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "t", "no disk");
            tracing::warn!(target: "t", "no IPv6");
            tracing::info!(target: "t", peer = "b", "connected");
            tracing::trace!(target: "t", "packet");
        });
        let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(said, "<3>t: no disk\n<4>t: no IPv6\n<6>t: connected peer=\"b\"\n<7>t: packet\n");
    }

    #[test]
    fn the_journal_is_known_by_its_numbers() {
        assert!(names(Some("9:1234"), 9, 1234));
        for other in [None, Some(""), Some("9"), Some("9:1235"), Some("8:1234"), Some("9:1234:5")] {
            assert!(!names(other, 9, 1234), "{other:?}");
        }
    }
}
