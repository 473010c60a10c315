//! The page's HTTP, byte by byte, over a real loopback port and a control socket with a script behind it.

mod browser;
mod door;
mod picture;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::door::Door;
use super::serve::{Shared, serve};
use crate::cli::Global;
use crate::cli::client::Daemon;
use crate::cli::context::Context;
use crate::cli::tests::services::zone;
use crate::cli::tests::{FakeDaemon, status};
use crate::control::{Command, Refusal, Reply, Targets};

const PATIENCE: Duration = Duration::from_secs(30);

/// This node is a. It reaches b directly, c over b, e not at all; d was revoked.
fn house() -> api::StatusReply {
    let mut house = status();
    let [c, b, _] = &mut house.peers[..] else { panic!("three peers") };
    c.set_state(api::PeerState::Connected);
    let hops = vec![b.name.clone()];
    c.path = Some(api::Path { kind: api::PathKind::Hop.into(), hops, rtt_ms: Some(12.5), ..<_>::default() });
    let e = api::Peer {
        name: "e".to_owned(),
        id: "e0".to_owned(),
        state: api::PeerState::Offline.into(),
        ..c.clone()
    };
    house.peers.push(api::Peer { path: None, ..e });
    house
}

fn mesh() -> api::MeshReply {
    let node = |name: &str, id: &str, links: &[(&str, &str, f64)]| api::MeshNode {
        name: name.to_owned(),
        id: id.to_owned(),
        is_hop: true,
        is_anchor: name == "b",
        nat: Some(api::NatProfile { words: format!("a NAT of {name}"), ..<_>::default() }),
        links: links
            .iter()
            .map(|(node, id, rtt_ms)| api::MeshLink {
                node: (*node).to_owned(),
                id: (*id).to_owned(),
                rtt_ms: *rtt_ms,
            })
            .collect(),
    };
    let [a, b, c] = [("a", "a0a1a2a3a4a5a6a7", 0.8), ("b", "b0b1b2b3b4b5b6b7", 0.8), ("c", "c0c1", 12.0)];
    let nodes = vec![node("a", a.1, &[b]), node("b", b.1, &[a, c]), node("c", c.1, &[("b", b.1, 12.0)])];
    api::MeshReply { nodes, left_out: 0 }
}

fn why(node: &str) -> api::WhyReply {
    api::WhyReply {
        node: node.to_owned(),
        id: node.to_owned(),
        reason: "both NATs are hard".to_owned(),
        advice: vec!["forward a port".to_owned()],
        ..<_>::default()
    }
}

fn script(command: Command) -> Result<Reply, Refusal> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else there will be is not for the page")]
    match command {
        Command::Status => Ok(Reply::Status(Box::new(house()))),
        Command::Mesh => Ok(Reply::Mesh(Box::new(mesh()))),
        Command::Services => Ok(Reply::Services(Arc::new(zone()), Targets::new())),
        Command::Why { node } => Ok(Reply::Why(Box::new(why(&node)))),
        command => panic!("the page only looks: {command:?}"),
    }
}

/// The page, served as long as this lives.
struct Site {
    port: u16,
    /// The address that works once, without the host.
    token: String,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    fn new(state_dir: &Path) -> Self {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let global = Global { state_dir: Some(state_dir.to_owned()), ..Global::default() };
        let thread = std::thread::spawn(move || {
            let mut out = vec![];
            let context = Context::new(global, &mut out);
            let (runtime, line) = Daemon::reach(&context).unwrap().stay(&context);
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let (door, url) = Door::new(listener.local_addr().unwrap());
                ready.send(url).unwrap();
                let ended = async {
                    let _dropped = ended.await;
                };
                serve(listener, Shared::new(door, line), ended).await;
            });
        });
        let url = is_ready.recv().unwrap();
        let (host, token) = url.strip_prefix("http://127.0.0.1:").unwrap().split_once('/').unwrap();
        Self { port: host.parse().unwrap(), token: format!("/{token}"), end: Some(end), thread: Some(thread) }
    }

    /// Sends these bytes and reads all that comes.
    fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Whoever sends too much may be cut off while it sends.
        let _cut_off = stream.write_all(bytes);
        let mut answer = vec![];
        let _reset = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn get(&self, path: &str, headers: &str) -> Answer {
        let host = format!("127.0.0.1:{}", self.port);
        Answer::of(&self.talk(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes()))
    }

    /// Uses the token up, and gives the header with the cookie.
    fn open(&self) -> String {
        let answer = self.get(&self.token, "");
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap();
        format!("Cookie: {}\r\n", cookie.split(';').next().unwrap())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.end.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

#[test]
fn the_token_opens_the_page_once_and_the_cookie_from_then_on() {
    let daemon = FakeDaemon::new(script);
    let site = Site::new(daemon.directory());
    assert_eq!(site.get("/", "").status, 403);
    let cookie = site.open();
    let again = site.get(&site.token, &cookie);
    assert_eq!(
        (again.status, again.body.as_str()),
        (403, "This address works once, and it was used: start `hopmesh web` again for a new one.\n")
    );
    for (path, kind, words) in [
        ("/", "text/html; charset=utf-8", "<title>Hopmesh</title>"),
        ("/page.css", "text/css; charset=utf-8", "prefers-color-scheme: dark"),
        ("/page.js", "text/javascript; charset=utf-8", "aria-pressed"),
        ("/state.json", "application/json", "\"reach\":["),
    ] {
        let answer = site.get(path, &cookie);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)));
        assert!(answer.body.contains(words), "{path}: {answer:?}");
        assert_eq!(site.get(path, "").status, 403, "{path}");
    }
}

#[test]
fn every_answer_forbids_what_the_page_does_not_need() {
    let daemon = FakeDaemon::new(script);
    let site = Site::new(daemon.directory());
    let cookie = site.open();
    for (path, headers) in
        [("/", cookie.as_str()), ("/state.json", &cookie), ("/", ""), ("/nothing", &cookie)]
    {
        let answer = site.get(path, headers);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        let sources: Vec<_> =
            policy.split([' ', ';']).filter(|word| word.contains([':', '*', '/'])).collect();
        assert!(sources.is_empty(), "{sources:?} may be loaded from");
        for (name, value) in
            [("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("connection", "close")]
        {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn what_is_meant_for_others_comes_from_others_or_would_change_something_is_refused() {
    let daemon = FakeDaemon::new(script);
    let site = Site::new(daemon.directory());
    let cookie = site.open();
    let port = site.port;
    let ask =
        |method: &str, host: &str, more: &str| {
            Answer::of(&site.talk(
                format!("{method} /state.json HTTP/1.1\r\nHost: {host}\r\n{cookie}{more}\r\n").as_bytes(),
            ))
        };
    let ours = format!("127.0.0.1:{port}");
    assert_eq!(ask("GET", &ours, "").status, 200);
    assert_eq!(ask("GET", "evil.example", "").status, 421);
    assert_eq!(ask("GET", &format!("evil.example:{port}"), "").status, 421);
    assert_eq!(ask("GET", &ours, "Host: evil.example\r\n").status, 421);
    assert_eq!(ask("GET", &ours, "Origin: http://evil.example\r\n").status, 403);
    assert_eq!(ask("GET", &ours, "Sec-Fetch-Site: cross-site\r\n").status, 403);
    let refused = ask("POST", &ours, "Content-Length: 1000000000\r\n");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET")));
    let no_host = site.talk(format!("GET /state.json HTTP/1.0\r\n{cookie}\r\n").as_bytes());
    assert_eq!(Answer::of(&no_host).status, 421);
}

#[test]
fn what_is_too_long_or_no_request_is_refused_and_hurts_nobody() {
    let daemon = FakeDaemon::new(script);
    let site = Site::new(daemon.directory());
    let cookie = site.open();
    let long = site.get("/", &format!("{cookie}X: {}\r\n", "x".repeat(20_000)));
    assert_eq!(long.status, 431, "{long:?}");
    let many = site.get("/", &format!("{cookie}{}", "X: x\r\n".repeat(500)));
    assert_eq!(many.status, 431, "{many:?}");
    for garbage in [&b"\0\x01\x02\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n\r\n\r\n"] {
        assert!(!site.talk(&[garbage, b"\r\n"].concat()).contains("200 OK"));
    }
    assert_eq!(site.get("/", &cookie).status, 200);
}

#[test]
fn so_many_connections_that_say_nothing_are_borne_and_cut_off() {
    let daemon = FakeDaemon::new(script);
    let site = Site::new(daemon.directory());
    let cookie = site.open();
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(("127.0.0.1", site.port)).unwrap()).collect();
    let mut first = &silent[0];
    first.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(first.read(&mut [0; 1]).unwrap(), 0, "cut off without a word");
    assert_eq!(site.get("/", &cookie).status, 200);
}

#[test]
fn the_page_says_when_the_daemon_is_away_and_goes_on_when_it_is_back() {
    let daemon = FakeDaemon::new(script);
    let site = Site::new(daemon.directory());
    let cookie = site.open();
    let directory = daemon.stop();
    let answer = site.get("/state.json", &cookie);
    let error: Value = serde_json::from_str(&answer.body).unwrap();
    let sentence = "the daemon of network home is not running: waiting for it";
    assert_eq!((answer.status, error["error"].as_str()), (503, Some(sentence)));
    let _next = FakeDaemon::at(directory, script);
    assert_eq!(site.get("/state.json", &cookie).status, 200);
}
