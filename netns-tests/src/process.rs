//! One child process: its output is captured as it comes, every wait is bounded, it dies with the test.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a killed process may take to be gone.
const REAP: Duration = Duration::from_secs(5);

/// What a stream of a process has said so far.
#[derive(Clone, Default)]
struct Heard(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The bytes, and whether the stream has ended.
    said: Mutex<(Vec<u8>, bool)>,
    more: Condvar,
}

impl Heard {
    fn listen(mut stream: impl Read + Send + 'static) -> Self {
        let heard = Self::default();
        let writer = heard.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let size = stream.read(&mut buffer).unwrap_or(0);
                let mut state = writer.0.said.lock().expect("no holder of this lock panics");
                state.0.extend_from_slice(&buffer[..size]);
                state.1 |= size == 0;
                writer.0.more.notify_all();
                if size == 0 {
                    return;
                }
            }
        });
        heard
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.said.lock().expect("no holder of this lock panics").0).into_owned()
    }

    /// Waits until `look` finds something in the text; `None` when the stream ended or time is over.
    fn wait<T>(&self, patience: Duration, mut look: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut state = self.0.said.lock().expect("no holder of this lock panics");
        loop {
            if let Some(found) = look(&String::from_utf8_lossy(&state.0)) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return None;
            }
            state = self.0.more.wait_timeout(state, left).expect("no holder of this lock panics").0;
        }
    }
}

/// What a command did that has ended.
#[derive(Debug, Clone)]
pub struct Done {
    /// The command, for messages.
    pub what: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Everything it wrote to standard output.
    pub stdout: String,
    /// Everything it wrote to standard error.
    pub stderr: String,
}

impl Done {
    /// Expects exit code 0 and gives the standard output.
    ///
    /// # Panics
    /// On any other end.
    #[must_use]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{} failed\n{}\n{}", self.what, self.stdout, self.stderr);
        self.stdout
    }
}

/// A child process. Dropping it kills it.
pub struct Process {
    what: String,
    child: Child,
    stdout: Heard,
    stderr: Heard,
}

impl Process {
    /// Starts `words`, feeding it `input`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(words: &[OsString], input: Option<&[u8]>) -> Self {
        let what = words.join(OsStr::new(" ")).to_string_lossy().into_owned();
        // The kernel ends the child when the thread of this test ends, however that happens.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(words)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        if let Some(input) = input {
            let mut stdin = child.stdin.take().expect("asked for a pipe above");
            // A process may refuse and leave before it has read everything.
            let _gone_is_fine = stdin.write_all(input);
        }
        let stdout = Heard::listen(child.stdout.take().expect("asked for a pipe above"));
        let stderr = Heard::listen(child.stderr.take().expect("asked for a pipe above"));
        Self { what, child, stdout, stderr }
    }

    /// The process id; namespaces are entered by exec, so it is that of the program itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output until now.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it wrote to standard error until now.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The command, for messages.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Waits until `look` finds something in standard output; `None` when it ended or time is over first.
    pub fn wait_stdout<T>(&self, patience: Duration, look: impl FnMut(&str) -> Option<T>) -> Option<T> {
        self.stdout.wait(patience, look)
    }

    /// Waits until `look` finds something in standard error; `None` when it ended or time is over first.
    pub fn wait_stderr<T>(&self, patience: Duration, look: impl FnMut(&str) -> Option<T>) -> Option<T> {
        self.stderr.wait(patience, look)
    }

    /// Has it not ended yet?
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.runs() {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, signal).expect("a child that was not waited for can be signalled");
        }
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it still runs after `patience`; it is killed then.
    #[must_use]
    pub fn done(mut self, patience: Duration) -> Done {
        let Some(status) = self.ended_within(patience) else {
            self.signal(Signal::KILL);
            panic!("{} still runs after {patience:?}\n{}\n{}", self.what, self.stdout(), self.stderr());
        };
        // The pipes end with the process, unless it left children behind; those are not waited for.
        let nothing = |_: &str| None::<()>;
        self.stdout.wait(REAP, nothing);
        self.stderr.wait(REAP, nothing);
        Done { what: self.what.clone(), code: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }

    fn ended_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("an own child can be waited for") {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _reaped = self.ended_within(REAP);
    }
}
