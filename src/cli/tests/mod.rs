//! The command line from arguments to exit code, against a real control socket with a script behind it.

mod diagnosis;
mod doctor;
mod exits;
mod golden;
mod guest;
mod live;
mod people;
mod routes;
pub(super) mod services;
mod usage;

use std::path::Path;
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::control::{self, Command, REQUESTS_MAX, Refusal, Reply, Socket};

/// What a command did.
#[derive(Debug)]
pub(super) struct Done {
    code: u8,
    out: String,
    err: String,
}

impl Done {
    /// The only line of the output, as JSON.
    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }
}

/// Runs `hopmesh` with these arguments.
fn hopmesh(arguments: &[&str]) -> Done {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["hopmesh"].iter().chain(arguments).map(Into::into);
    let code = super::run(arguments, &mut out, &mut err);
    Done { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

/// A control socket that answers as it is told to.
pub(super) struct FakeDaemon {
    directory: Option<tempfile::TempDir>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeDaemon {
    pub(super) fn new(script: impl FnMut(Command) -> Result<Reply, Refusal> + Send + 'static) -> Self {
        Self::at(tempfile::tempdir().unwrap(), script)
    }

    /// In a directory that another has left.
    pub(super) fn at(
        directory: tempfile::TempDir,
        mut script: impl FnMut(Command) -> Result<Reply, Refusal> + Send + 'static,
    ) -> Self {
        let path = directory.path().join("control.sock");
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, is_bound) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let socket = Socket::bind(&path).unwrap();
                bound.send(()).unwrap();
                let (sender, mut requests) = mpsc::channel::<control::Request>(REQUESTS_MAX);
                let answers = async {
                    while let Some(request) = requests.recv().await {
                        let _caller_is_gone = request.reply.send(script(request.command));
                    }
                };
                let stopped = async {
                    let _dropped = stopped.await;
                };
                tokio::join!(control::serve(socket, sender, stopped), answers);
            });
        });
        is_bound.recv().unwrap();
        Self { directory: Some(directory), stop: Some(stop), thread: Some(thread) }
    }

    /// Where its socket is.
    pub(super) fn directory(&self) -> &Path {
        self.directory.as_ref().expect("it is given away by `stop` alone").path()
    }

    /// Ends it, and leaves the directory to another.
    pub(super) fn stop(mut self) -> tempfile::TempDir {
        self.directory.take().expect("it is given away here alone")
    }

    /// Runs `hopmesh` with these arguments against this daemon.
    pub(super) fn run(&self, arguments: &[&str]) -> Done {
        let state_dir = self.directory().to_str().unwrap();
        hopmesh(&[&["--state-dir", state_dir], arguments].concat())
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// A printer that is passed on.
fn front() -> api::Front {
    api::Front {
        name: "printer".to_owned(),
        version: Some("2".to_owned()),
        protocol: api::Protocol::Tcp.into(),
        port: 631,
        to: "192.168.1.9:80".to_owned(),
        connections: 3,
        passed: 40,
        refused: 7,
        unreached: 0,
    }
}

fn exit() -> api::Exit {
    let state = api::ExitState::Reached.into();
    api::Exit {
        node: "b".to_owned(),
        id: "b0b1b2".to_owned(),
        state,
        ipv4: true,
        ipv6: false,
        is_chosen: true,
    }
}

/// A node with three peers and one of everything.
pub(super) fn status() -> api::StatusReply {
    let text = str::to_owned;
    let direct = api::Path {
        kind: api::PathKind::Direct.into(),
        remote: Some(text("203.0.113.5:41641")),
        rtt_ms: Some(0.812_345),
        loss_per_mille: Some(15),
        mtu: Some(1440),
        ..api::Path::default()
    };
    let peer = |name, id, last, state: api::PeerState, path| api::Peer {
        name: text(name),
        id: text(id),
        addresses: vec![format!("10.7.0.{last}"), format!("fd12::{last}")],
        state: state.into(),
        path,
        ..api::Peer::default()
    };
    let none = api::Path { kind: api::PathKind::None.into(), ..api::Path::default() };
    api::StatusReply {
        exit: Some(exit()),
        allow_lan: true,
        is_exit: false,
        version: text("0.1.0"),
        network: Some(api::Network {
            name: text("home"),
            id: text("00112233445566778899aabbccddeeff"),
            ipv4_range: text("10.7.0.0/16"),
            ipv6_prefix: text("fd12::/48"),
            epoch: 3,
        }),
        node: Some(api::Node {
            name: text("a"),
            id: text("a0a1a2a3a4a5a6a7"),
            addresses: vec![text("10.7.0.1"), text("fd12::1")],
            roles: vec![text("admin")],
        }),
        interface: Some(api::Interface { name: text("hm-home"), mtu: 1420 }),
        listen: vec![text("0.0.0.0:41641"), text("[::]:41641")],
        uptime_s: 7500,
        peers: vec![
            peer("c", "c0c1", 3, api::PeerState::Offline, Some(none)),
            api::Peer {
                rx_bytes: 1_250_000,
                tx_bytes: 812,
                rx_packets: 900,
                tx_packets: 8,
                last_handshake_s: Some(61.5),
                ..peer("b", "b0b1b2b3b4b5b6b7", 2, api::PeerState::Connected, Some(direct))
            },
            peer("d", "d0d1", 4, api::PeerState::Revoked, None),
        ],
        drops: [("replay", 2), ("no route", 30)].map(|(reason, count)| (text(reason), count)).into(),
        names: Some(api::Names {
            domain: text("home.internal"),
            listen: vec![text("10.7.0.1:53")],
            host: text("names under home.internal are resolved by systemd-resolved"),
        }),
        held: Some(api::Held {
            records: 812,
            shared_out: 790,
            full_replication_max: 1000,
            parts: 4,
            is_complete: true,
        }),
        guests: vec![],
        fronts: vec![front(); 4],
        problems: vec![text("UDP is blocked: open port 41641")],
    }
}
