//! How commands end when they do not succeed, and the exit code of each end.

use std::io::{self, Write};

use clap::error::ErrorKind;

use super::{log, text};

/// Exit code: it was tried and failed.
const FAILED: u8 = 1;
/// Exit code: it was not tried, the command line makes no sense.
const USAGE: u8 = 2;

/// Why a command ended.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line makes no sense; a sentence.
    Usage(String),
    /// It was tried and failed; a sentence.
    Failed(String),
    /// It failed, and the output says so already.
    Said,
    /// Nobody reads our output any more.
    Output(io::Error),
    /// The parser's own end: help, version, or usage.
    Parser(clap::Error),
}

impl Failure {
    /// Writes what is to be said, and gives the exit code.
    pub(super) fn report(self, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
        match self {
            Self::Said => FAILED,
            Self::Failed(message) => complain(&message, "", FAILED, json, out, err),
            Self::Usage(message) => complain(&message, "", USAGE, json, out, err),
            // As with `status | head -1`: the reader has what it wanted.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(error) => complain(&format!("cannot write: {error}"), "", FAILED, json, out, err),
            Self::Parser(error) => report_parser(&error, json, out, err),
        }
    }
}

/// `hopmesh: MESSAGE` to people, and to programs as JSON. Nothing can be done when that fails as well.
fn complain(message: &str, more: &str, code: u8, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let message = text::clean(message);
    let _lost = write!(err, "{}hopmesh: {message}\n{more}", log::failure_prefix());
    if json {
        let _lost = writeln!(out, "{}", serde_json::json!({ "error": message }));
    }
    code
}

fn report_parser(error: &clap::Error, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let rendered = error.render();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _lost = write!(out, "{rendered}");
        return 0;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _lost = write!(err, "{rendered}");
        return USAGE;
    }
    // clap writes `error: MESSAGE`, then an empty line and the usage.
    let rendered = rendered.to_string();
    let (message, more) = rendered.split_once("\n\n").unwrap_or((&rendered, ""));
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    complain(&message, more, USAGE, json, out, err)
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Parser(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

/// A daemon's no. Only a request that makes no sense in any state is the command line's fault.
impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let message = status.message().to_owned();
        if status.code() == tonic::Code::InvalidArgument {
            Self::Usage(message)
        } else {
            Self::Failed(message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failure: Failure, json: bool) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = failure.report(json, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn each_end_has_its_code_and_its_words() {
        let failed = || Failure::Failed("the\x1b[2J disk is full".to_owned());
        let words = "hopmesh: the[2J disk is full\n".to_owned();
        assert_eq!(report(failed(), false), (1, String::new(), words.clone()));
        assert_eq!(report(failed(), true), (1, "{\"error\":\"the[2J disk is full\"}\n".to_owned(), words));
        assert_eq!(report(Failure::Usage("no".to_owned()), false).0, 2);
        assert_eq!(report(Failure::Said, true), (1, String::new(), String::new()));
        let pipe = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(report(pipe, true), (0, String::new(), String::new()));
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(report(full, false).0, 1);
        let chain = anyhow::anyhow!("no such device").context("cannot open /dev/net/tun");
        let (code, _, said) = report(chain.into(), false);
        assert_eq!((code, said.as_str()), (1, "hopmesh: cannot open /dev/net/tun: no such device\n"));
    }

    #[test]
    fn a_daemons_no_is_usage_only_when_it_never_could_be_yes() {
        for (code, exit) in [
            (tonic::Code::InvalidArgument, 2),
            (tonic::Code::NotFound, 1),
            (tonic::Code::FailedPrecondition, 1),
            (tonic::Code::PermissionDenied, 1),
        ] {
            let (exited, _, said) = report(tonic::Status::new(code, "no node is called b").into(), false);
            assert_eq!((exited, said.as_str()), (exit, "hopmesh: no node is called b\n"));
        }
    }
}
