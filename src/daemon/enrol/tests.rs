//! An enrolment over loopback, with a Node in a thread as the issuer.

use super::*;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use overlay::fastpath::SlowInput;
use overlay::{InviteRequest, Node, Output, Params, found};
use wire::Candidate;
use wire::handshake::Suite;
use wire::invite::InviteRole;

/// How often the issuer looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The founder of a network, at a socket of loopback.
struct Issuer {
    invite: Invite,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Issuer {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(LOOK)).unwrap();
        let mut node = node();
        let candidate = Candidate::new(socket.local_addr().unwrap()).unwrap();
        node.handle_candidates(vec![candidate], clock::now());
        let life = Duration::from_secs(3600);
        let request =
            InviteRequest { name: None, address: None, role: InviteRole::Member, life, services: vec![] };
        let invite = node.invite(&request, clock::now()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Relaxed) {
                    answer(&mut node, &socket);
                }
            }
        });
        Self { invite, stop, thread: Some(thread) }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn node() -> Node {
    let identity = Identity::generate([1; 32]);
    let range = "10.7.0.0/24".parse().unwrap();
    let network = found(name("home"), name("a"), range, &identity, clock::unix_s(), [2; 32]);
    let params = Params {
        identity,
        network,
        invites: vec![],
        records: vec![],
        contacts: vec![],
        publications: vec![],
        guests: vec![],
        leases: overlay::state::Leases::default(),
        rekey_after: Duration::from_secs(120),
        suites: vec![Suite::ChaCha20Poly1305],
        revisions: wire::Revisions::OURS,
        seed: [3; 32],
        hop: overlay::HopParams::default(),
        exit: overlay::ExitParams::default(),
        full_replication_max: 1000,
        streams: overlay::DialStreams::Never,
        mtu_max: overlay::MTU_MAX,
        unix_s: clock::unix_s(),
    };
    Node::new(params, clock::now())
}

/// Takes one datagram, if there is one, and does what the Node wants.
fn answer(node: &mut Node, socket: &UdpSocket) {
    let mut bytes = [0; 2048];
    if let Ok((length, remote)) = socket.recv_from(&mut bytes) {
        node.handle_slow(SlowInput::Datagram(bytes[..length].to_vec()), remote.into(), clock::now());
    }
    loop {
        match node.poll_output(clock::now()) {
            Output::Transmit { remote, bytes, .. } => {
                socket.send_to(&bytes, remote.address().unwrap()).unwrap();
            }
            Output::Persist { ticket, .. } => node.handle_persisted(ticket, true, clock::now()),
            Output::Wait(..) => return,
            Output::TransmitWhole { .. }
            | Output::InterfaceMtu(_)
            | Output::Dial(_)
            | Output::CloseStream(_)
            | Output::OpenSockets { .. }
            | Output::CloseSockets { .. }
            | Output::Publish(_)
            | Output::Zone(_)
            | Output::Routes(_)
            | Output::Found { .. }
            | Output::Release(_)
            | Output::Unreachable { .. }
            | Output::PingDone { .. }
            | Output::Addresses(_)
            | Output::Guests(_)
            | Output::Beacon(_)
            | Output::Dht(_)
            | Output::Event(_) => {}
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn whoever_joins_is_told_who_is_asked_and_who_answers() {
    let issuer = Issuer::new();
    let there = issuer.invite.addresses[0].socket_address();
    // Nobody reads there: an address of the invite that does not answer.
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut invite = issuer.invite.clone();
    invite.addresses.insert(0, Candidate::new(deaf.local_addr().unwrap()).unwrap());
    let udp = Udp::bind(0).unwrap();
    let mut told = vec![];
    let ways = Ways { udp: &udp, lan: &Asker::default(), tcp: false, dht: None };
    let identity = Identity::generate([7; 32]);
    let Joined { network, contacts, .. } =
        block_on(enrol(ways, invite, identity, (name("b"), true), &mut |step| {
            told.push(step.clone());
        }))
        .unwrap();
    assert_eq!((network.name, contacts[0].node), (name("home"), issuer.invite.issuer));
    // A machine that is very busy may take long enough to be told so.
    told.retain(|step| !matches!(step, Progress::StillWaiting { .. }));
    assert_eq!(
        told,
        [
            Progress::Asking { remote: deaf.local_addr().unwrap() },
            Progress::Asking { remote: there },
            Progress::Answered { remote: there },
        ]
    );
}

#[test]
fn an_invite_without_addresses_says_what_to_do() {
    let issuer = Issuer::new();
    let mut invite = issuer.invite.clone();
    invite.addresses.clear();
    let udp = Udp::bind(0).unwrap();
    let mut told = 0;
    let identity = Identity::generate([7; 32]);
    let ways = Ways { udp: &udp, lan: &Asker::default(), tcp: false, dht: None };
    let Err(error) = block_on(enrol(ways, invite, identity, (name("b"), true), &mut |_| told += 1)) else {
        panic!("joined by nobody")
    };
    assert!(error.to_string().contains("names no address"), "{error}");
    assert_eq!(told, 0);
}
