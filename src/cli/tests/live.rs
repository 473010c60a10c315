//! `status --watch`: what is printed again, when, and what happens while the daemon is away.

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::Global;
use super::super::context::Context;
use super::super::live::{Screen, watch_status};
use super::{FakeDaemon, status};
use crate::control::{Command, Refusal, Reply};

const PATIENCE: Duration = Duration::from_secs(30);
/// Whoever has read so many bytes without finding the words reads in vain.
const HEARD_MAX: usize = 100_000;

/// The writing end of what somebody reads.
struct Pipe(mpsc::Sender<Vec<u8>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `status --watch` and its reader.
struct Watching {
    heard: String,
    pipe: mpsc::Receiver<Vec<u8>>,
    watch: JoinHandle<u8>,
}

impl Watching {
    fn new(state_dir: &Path, screen: Screen, json: bool) -> Self {
        let (sender, pipe) = mpsc::channel();
        let state_dir = Some(state_dir.to_owned());
        let watch = std::thread::spawn(move || {
            let mut pipe = Pipe(sender);
            let mut context = Context::new(Global { state_dir, json, ..Global::default() }, &mut pipe);
            let ended = watch_status(&mut context, Duration::from_millis(5), screen);
            ended.map_or_else(|failure| failure.report(false, &mut vec![], &mut vec![]), |()| 99)
        });
        Self { heard: String::new(), pipe, watch }
    }

    /// Reads until it has read so many of these words.
    fn read_until(&mut self, words: &str, count: usize) {
        while self.heard.matches(words).count() < count {
            let more = self.pipe.recv_timeout(PATIENCE);
            let more = more.unwrap_or_else(|_| panic!("no {count} {words:?} in\n{}", self.heard));
            self.heard += std::str::from_utf8(&more).unwrap();
            assert!(self.heard.len() < HEARD_MAX, "no {count} {words:?} in all of\n{}", self.heard);
        }
    }

    /// Reads no more, which is no failure of the other end.
    fn close(self) -> String {
        drop(self.pipe);
        assert_eq!(self.watch.join().unwrap(), 0);
        self.heard
    }
}

/// A daemon whose epoch grows with every third answer.
fn growing() -> FakeDaemon {
    FakeDaemon::new(growing_script())
}

fn growing_script() -> impl FnMut(Command) -> Result<Reply, Refusal> + Send + 'static {
    let mut answers = 0;
    move |_| {
        let mut reply = status();
        reply.network.as_mut().unwrap().epoch = answers / 3;
        answers += 1;
        Ok(Reply::Status(Box::new(reply)))
    }
}

#[test]
fn a_pipe_is_told_each_change_once_one_block_after_another() {
    let daemon = growing();
    let mut watching = Watching::new(daemon.directory(), Screen::Pipe, false);
    watching.read_until("d     10.7.0.4  revoked", 3);
    let said = watching.close();
    let epochs: Vec<_> = said.lines().filter_map(|line| line.split_once("epoch ")).map(|(_, n)| n).collect();
    assert_eq!(epochs, ["0", "1", "2"]);
    assert_eq!(
        said.matches("-       -\n\n! UDP is blocked").count(),
        2,
        "an empty line between blocks:\n{said}"
    );
    assert!(!said.contains('\x1b'), "{said}");
}

#[test]
fn a_terminal_is_cleared_before_each() {
    let daemon = growing();
    let mut watching = Watching::new(daemon.directory(), Screen::Terminal, false);
    watching.read_until("\x1b[H\x1b[2J! UDP is blocked", 2);
    assert!(watching.close().starts_with("\x1b[H\x1b[2J! UDP is blocked: open port 41641\n\nnetwork "));
}

#[test]
fn programs_get_a_line_each() {
    let daemon = growing();
    let mut watching = Watching::new(daemon.directory(), Screen::Terminal, true);
    watching.read_until("\n", 2);
    let said = watching.close();
    let epoch =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["network"]["epoch"].clone();
    assert_eq!(said.lines().map(epoch).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn it_outlives_the_daemon() {
    let first = growing();
    let mut watching = Watching::new(first.directory(), Screen::Pipe, false);
    watching.read_until("network    home", 1);
    let directory = first.stop();
    watching.read_until("\n! the daemon of network home is not running: waiting for it\n", 1);
    let _second = FakeDaemon::at(directory, growing_script());
    watching.read_until("epoch ", watching.heard.matches("epoch ").count() + 2);
    watching.close();
}
