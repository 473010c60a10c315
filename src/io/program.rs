//! Programs of the machine that are asked what they see: bounded in time and in what they say.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::clock;

/// Longest that a program may take.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Most bytes of its output that are read.
const OUTPUT_SIZE_MAX: u64 = 8 << 20;
/// Where administrators' programs are, which the path of a plain user leaves out.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest piece of a program's own words that is repeated, in characters.
const WORDS_LENGTH_MAX: usize = 200;
/// How often its end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What `program` says on standard output.
///
/// # Errors
/// A sentence for people.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    run_within(program, arguments, TIME_MAX)
}

/// Has `program` read `input`, and says nothing when it succeeds; this thread does other things meanwhile.
///
/// # Errors
/// A sentence for people.
pub async fn feed(program: &str, arguments: &[&str], input: &str) -> Result<(), String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env("PATH", PATH).env("LC_ALL", "C").kill_on_drop(true);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| not_run(program, &error))?;
    let ended = tokio::time::timeout(TIME_MAX, async {
        let mut stdin = child.stdin.take().expect("it was asked for");
        // A program that reads nothing may be gone already; what counts is how it ends.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await
    });
    match ended.await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!("{program} failed: {}", first_words(&complaint, WORDS_LENGTH_MAX)))
        }
        Ok(Err(error)) => Err(not_run(program, &error)),
        Err(_) => Err(format!("{program} did not end within {} s", TIME_MAX.as_secs())),
    }
}

fn not_run(program: &str, error: &io::Error) -> String {
    let is_absent = error.kind() == io::ErrorKind::NotFound;
    if is_absent {
        format!("{program} is not installed")
    } else {
        format!("{program} cannot be run: {error}")
    }
}

fn run_within(program: &str, arguments: &[&str], time_max: Duration) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", PATH).env("LC_ALL", "C");
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| not_run(program, &error))?;
    let said = child.stdout.take().map(listen);
    let complaint = child.stderr.take().map(listen);
    let deadline = clock::now() + time_max;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if clock::now() < deadline => thread::sleep(LOOK_EVERY),
            Ok(None) | Err(_) => {
                let _gone_already = child.kill();
                let _reaped = child.wait();
                return Err(format!("{program} did not end within {} s", time_max.as_secs()));
            }
        }
    };
    let text =
        |heard: Option<mpsc::Receiver<String>>| heard.and_then(|text| text.recv_timeout(TIME_MAX).ok());
    if status.success() {
        return text(said).ok_or_else(|| format!("{program} said nothing"));
    }
    Err(format!("{program} failed: {}", first_words(&text(complaint).unwrap_or_default(), WORDS_LENGTH_MAX)))
}

/// The line by which a program that failed begins to complain, cut off after so many characters.
#[must_use]
pub fn first_words(complaint: &str, length_max: usize) -> String {
    let first = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("it did not say why");
    first.trim().chars().take(length_max).collect()
}

/// Reads a stream to its end; what is beyond the bound is thrown away, so that the program does not wait for us.
fn listen(mut stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, heard) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ended = stream.by_ref().take(OUTPUT_SIZE_MAX).read_to_end(&mut bytes);
        let _ended = io::copy(&mut stream, &mut io::sink());
        let _nobody_waits = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_say_is_heard_and_how_they_fail() {
        assert_eq!(run("sh", &["-c", "echo heard; echo not >&2"]).as_deref(), Ok("heard\n"));
        let failed = run("sh", &["-c", "echo; echo no such thing >&2; exit 3"]);
        assert_eq!(failed.unwrap_err(), "sh failed: no such thing");
        assert_eq!(run("no-such-program", &[]).unwrap_err(), "no-such-program is not installed");
    }

    #[tokio::test]
    async fn a_program_is_fed_and_how_it_fails_is_heard() {
        assert_eq!(feed("sh", &["-c", "read word; test $word = eaten"], "eaten\n").await, Ok(()));
        let failed = feed("sh", &["-c", "cat >&2; exit 3"], "no such thing\n").await;
        assert_eq!(failed.unwrap_err(), "sh failed: no such thing");
        assert_eq!(feed("sh", &["-c", "true"], &"much\n".repeat(1 << 18)).await, Ok(()));
        assert_eq!(feed("no-such-program", &[], "").await.unwrap_err(), "no-such-program is not installed");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let hung = run_within("sleep", &["600"], Duration::from_millis(50));
        assert!(hung.unwrap_err().contains("did not end"));
    }

    #[test]
    fn what_is_too_much_does_not_stop_it() {
        let much = run("sh", &["-c", "head -c 20000000 /dev/zero"]).unwrap();
        assert_eq!(much.len() as u64, OUTPUT_SIZE_MAX);
    }
}
