//! What stays on a screen, with the real binary: `status --watch`, `top` on a terminal of its own, and `web`.

use netns_tests::{DEADLINE, Lab, Machine, Process, hopmesh, wait_until};
use rustix::process::Signal;
use serde_json::Value;

/// Runs a command on a terminal of 24 lines of 80 and copies what it writes. SIGUSR1 presses q, SIGUSR2 makes the terminal small,
/// SIGTERM goes to the command. Says at the end whether the terminal is as it was.
const TERMINAL: &str = r#"
import fcntl, os, pty, signal, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
def size(lines, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
size(24, 80)
before = termios.tcgetattr(terminal)
signal.signal(signal.SIGUSR1, lambda *_: os.write(terminal, b"q"))
signal.signal(signal.SIGUSR2, lambda *_: size(10, 30))
signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
while True:
    try:
        said = os.read(terminal, 4096)
    except OSError:
        break
    os.write(1, said)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
same = termios.tcgetattr(terminal)[3] == before[3]
os.write(1, b"as it was" if same else b"not as it was")
sys.exit(code)
"#;

/// `top`, until its first picture with the peer b.
fn top(machine: &Machine) -> Process {
    let (binary, state_dir) = (hopmesh(), machine.state_dir());
    let [binary, state_dir] = [&binary, &state_dir].map(|path| path.to_str().expect("a plain path"));
    let words = ["python3", "-c", TERMINAL, binary, "--state-dir", state_dir, "top", "--interval-ms", "100"];
    let process = machine.start(&words);
    let drawn = |text: &str| (text.contains("\x1b[?1049h") && text.contains("direct")).then_some(());
    process.wait_stdout(DEADLINE, drawn).unwrap_or_else(|| panic!("no picture in {:?}", process.stdout()));
    process
}

/// Whatever ended it: the screen from before is there again, and the terminal is as it was.
fn assert_restored(process: Process) {
    let done = process.done(DEADLINE);
    assert_eq!(done.code, Some(0), "{done:?}");
    let (_, after) = done.stdout.rsplit_once("\x1b[?1049l").unwrap_or_else(|| panic!("{done:?}"));
    assert!(after.ends_with("as it was") && !after.ends_with("not as it was"), "{after:?}");
}

#[test]
fn top_draws_on_a_terminal_and_leaves_it_as_it_was() {
    let lab = Lab::new();
    let (a, _up, _b, _) = lab.pair();
    let mut by_key = top(&a);
    by_key.signal(Signal::USR1);
    assert_restored(by_key);
    let mut by_signal = top(&a);
    by_signal.signal(Signal::USR2);
    // At 30 columns there is no room for figures.
    let small =
        |text: &str| text.rsplit_once("PATH").is_some_and(|(_, after)| !after.contains("RTT")).then_some(());
    by_signal.wait_stdout(DEADLINE, small).expect("it is drawn anew");
    by_signal.signal(Signal::TERM);
    assert_restored(by_signal);
    let state_dir = a.state_dir();
    let no_terminal = a.run(&[
        hopmesh().to_str().expect("a plain path"),
        "--state-dir",
        state_dir.to_str().expect("a plain path"),
        "top",
    ]);
    assert_eq!(no_terminal.code, Some(2));
    assert!(no_terminal.stderr.contains("top draws on a terminal"), "{no_terminal:?}");
}

#[test]
fn a_watched_status_outlives_the_daemon_and_ends_with_control_c() {
    let lab = Lab::new();
    let (a, _up, _b, _) = lab.pair();
    let mut watch = a.launch(&[], &["status", "--watch", "--interval-ms", "100"], None);
    let connected = |text: &str| text.contains("\"connected\"").then_some(());
    watch.wait_stdout(DEADLINE, connected).expect("the status comes at once");
    a.stop();
    let gone = |text: &str| text.contains("is not running: waiting for it").then_some(text.len());
    let length = watch.wait_stdout(DEADLINE, gone).expect("it says that the daemon has gone");
    let _up = a.up();
    let back = |text: &str| text[length..].contains("\"connected\"").then_some(());
    watch.wait_stdout(DEADLINE, back).expect("it goes on");
    watch.signal(Signal::INT);
    let done = watch.done(DEADLINE);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_page_is_for_who_has_the_address_and_for_this_machine() {
    let lab = Lab::new();
    let (a, _, b, _) = lab.pair();
    let mut web = a.launch(&[], &["web"], None);
    let line = web.wait_stdout(DEADLINE, |text| text.lines().next().map(str::to_owned)).expect("an address");
    let said: Value = serde_json::from_str(&line).expect("one line of JSON");
    let url = said["url"].as_str().expect("an address");
    let (site, _) = url.split_once("/?token=").expect("with a token");
    let jar = a.folder().join("cookies").to_str().expect("a plain path").to_owned();
    let page = a.run(&["curl", "-sSLf", "-c", &jar, url]).ok();
    assert!(page.contains("<title>Hopmesh</title>"), "{page}");
    let state = format!("{site}/state.json");
    let seen = wait_until("the page shows who reaches whom", DEADLINE, || {
        let seen: Value =
            serde_json::from_str(&a.run(&["curl", "-sSf", "-b", &jar, &state]).ok()).expect("JSON");
        (seen["reach"][0]["kind"] == "direct" && seen["nodes"][1]["nat"].is_string()).then_some(seen)
    });
    assert_eq!((&seen["status"]["node"]["name"], &seen["reach"][0]["to"]), (&"a".into(), &"b".into()));
    for refused in [vec![url], vec!["-b", &jar, "-H", "Host: evil.example", &state], vec![&state]] {
        let done = a.run(&[&["curl", "-sSf"], &refused[..]].concat());
        assert_eq!(done.code, Some(22), "{refused:?}: {done:?}");
    }
    let port = site.rsplit_once(':').expect("a port").1;
    for address in a.underlay() {
        let elsewhere = std::net::SocketAddr::new(address, port.parse().expect("a number"));
        assert_eq!(
            b.run(&["curl", "-sS", &format!("http://{elsewhere}/")]).code,
            Some(7),
            "nobody listens there"
        );
    }
    web.signal(Signal::INT);
    assert_eq!(web.done(DEADLINE).code, Some(0));
}
