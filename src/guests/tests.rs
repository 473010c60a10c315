use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::mpsc::channel;

use boringtun::noise::TunnResult;
use overlay::HostedGuest;

use super::*;
use crate::io::clock;

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client, as its own implementation of the protocol would behave.
struct Client {
    secret: StaticSecret,
    tunnel: Tunn,
    address: Remote,
}

impl Client {
    fn new(number: u8, host: GuestKey) -> Self {
        let secret = StaticSecret::from([number; 32]);
        let tunnel = Tunn::new(secret.clone(), PublicKey::from(host.0), None, None, number.into(), None);
        let address = Remote::udp(SocketAddr::from(([192, 0, 2, number], 51_820)));
        Self { secret, tunnel, address }
    }

    fn key(&self) -> GuestKey {
        GuestKey(PublicKey::from(&self.secret).to_bytes())
    }

    /// What it sends for a packet, or to begin.
    fn say(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut room = [0; QUEUED_LENGTH_MAX];
        sent(self.tunnel.encapsulate(packet, &mut room))
    }

    /// What it reads in a message: a packet, or an answer to send.
    fn hear(&mut self, message: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut room = [0; QUEUED_LENGTH_MAX];
        match self.tunnel.decapsulate(None, message, &mut room) {
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
                (packet.to_vec(), None)
            }
            TunnResult::WriteToNetwork(answer) => (vec![], Some(answer.to_vec())),
            TunnResult::Done => (vec![], None),
            TunnResult::Err(error) => panic!("{error:?}"),
        }
    }
}

/// A host, and the thread behind its door.
struct Host {
    guests: Arc<Guests>,
    scratch: Scratch,
    sent: VecDeque<(Remote, Vec<u8>)>,
    by_thread: Receiver<(Remote, Vec<u8>)>,
    thread: Option<GuestThread>,
}

impl Host {
    fn new() -> Self {
        Self::which_remembers(&[], vec![])
    }

    /// With guests from the beginning, and where they were.
    fn which_remembers(clients: &[&Client], places: Vec<(GuestKey, Candidate)>) -> Self {
        let (guests, knocks) = Guests::new([9; 32], Arc::default());
        guests.set(&hosted(clients));
        let (sender, by_thread) = channel();
        let send = move |remote: Remote, bytes: &[u8]| drop(sender.send((remote, bytes.to_vec())));
        let thread = Some(GuestThread::start(guests.clone(), (knocks, places), send).unwrap());
        Self { guests, scratch: Scratch::default(), sent: VecDeque::new(), by_thread, thread }
    }

    fn with(clients: &[&Client]) -> Self {
        let host = Self::new();
        host.host(clients);
        host
    }

    fn host(&self, clients: &[&Client]) {
        self.guests.set(&hosted(clients));
    }

    /// What a worker does with a message: whose packet it was.
    fn hear(&mut self, message: &[u8], from: Remote) -> Option<(u32, Vec<u8>)> {
        let sent = &mut self.sent;
        let mut send = |remote: Remote, bytes: &[u8]| sent.push_back((remote, bytes.to_vec()));
        let (guest, length) = self.guests.take(message, from, &mut self.scratch, &mut send)?;
        Some((guest, self.scratch.opened(length).to_vec()))
    }

    fn say(&mut self, guest: u32, packet: &[u8]) {
        let sent = &mut self.sent;
        let mut send = |remote: Remote, bytes: &[u8]| sent.push_back((remote, bytes.to_vec()));
        self.guests.send(guest, packet, &mut self.scratch, &mut send);
    }

    /// Lets a client have a session, with a cookie if it is asked for one; what its packet is taken for.
    fn connect(&mut self, client: &mut Client, packet: &[u8]) -> Option<(u32, Vec<u8>)> {
        let (mut initiation, mut room) = (client.say(packet), [0; QUEUED_LENGTH_MAX]);
        let response = loop {
            assert!(self.hear(&initiation, client.address).is_none());
            let reply = match self.sent.pop_front() {
                Some((_, cookie)) => cookie,
                None => self.by_thread.recv().unwrap().1,
            };
            let (_, answer) = client.hear(&reply);
            match answer {
                Some(keepalive) => break keepalive,
                None => initiation = sent(client.tunnel.format_handshake_initiation(&mut room, true)),
            }
        };
        assert!(self.hear(&response, client.address).is_none());
        let queued = sent(client.tunnel.decapsulate(None, &[], &mut room));
        self.hear(&queued, client.address)
    }

    /// What the thread sends next.
    fn answer(&self) -> (Remote, Vec<u8>) {
        self.by_thread.recv_timeout(PATIENCE).expect("it sends something")
    }

    /// Lets a client begin, without a cookie, until it is answered.
    fn await_answer(&mut self, client: &mut Client, otherwise: &str) {
        let deadline = clock::now() + PATIENCE;
        loop {
            assert_eq!(self.hear(&begin(client), client.address), None);
            if self.by_thread.recv_timeout(PATIENCE / 100).is_ok() {
                return;
            }
            assert!(clock::now() < deadline, "{otherwise}");
        }
    }

    fn refused(&self) -> u64 {
        self.guests.drops.of(DropReason::Guest)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.thread.take().into_iter().for_each(GuestThread::stop);
    }
}

fn hosted(clients: &[&Client]) -> HostedGuests {
    let hosted = |client: &&Client| HostedGuest {
        name: "phone".parse().unwrap(),
        key: client.key(),
        v4: None,
        v6: Ipv6Addr::LOCALHOST,
    };
    (0..).zip(clients.iter().map(hosted)).collect()
}

/// Any number of places.
fn addresses() -> impl Iterator<Item = Remote> {
    (0xc633_6401u32..).map(|ip| Remote::udp(SocketAddr::from((ip.to_be_bytes(), 9))))
}

/// An initiation.
fn begin(client: &mut Client) -> Vec<u8> {
    sent(client.tunnel.format_handshake_initiation(&mut [0; QUEUED_LENGTH_MAX], true))
}

/// The message that a tunnel wants sent.
fn sent(result: TunnResult<'_>) -> Vec<u8> {
    let TunnResult::WriteToNetwork(message) = result else { panic!("{result:?}") };
    message.to_vec()
}

fn packet(text: &[u8]) -> Vec<u8> {
    let length = (20 + text.len() as u16).to_be_bytes();
    let head = [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 253, 0, 0, 10, 7, 0, 1, 10, 7, 0, 2];
    [&head[..], text].concat()
}

fn key_of_door() -> GuestKey {
    GuestKey(PublicKey::from(&StaticSecret::from([9; 32])).to_bytes())
}

#[test]
fn packets_go_both_ways_and_each_guest_has_its_own_tunnel() {
    let (mut phone, mut tablet) = (Client::new(1, key_of_door()), Client::new(2, key_of_door()));
    let mut host = Host::with(&[&phone, &tablet]);
    assert_eq!(host.guests.public_key(), key_of_door());
    for (number, client) in [(0, &mut phone), (1, &mut tablet)] {
        let text = packet(&[number; 100]);
        assert_eq!(host.connect(client, &text), Some((number.into(), text)));
        let state = host.guests.state(number.into());
        assert_eq!((state.remote, state.rx_bytes), (Some(client.address), 120));
        assert!(state.last_handshake.is_some());
    }
    host.say(1, &packet(b"to tablet"));
    let (to, message) = host.sent.pop_front().unwrap();
    assert_eq!((to, tablet.hear(&message).0), (tablet.address, packet(b"to tablet")));
    assert_eq!(host.refused(), 0);
}

#[test]
fn a_guest_that_moves_is_followed_by_what_it_authenticates_only() {
    let mut phone = Client::new(1, key_of_door());
    let mut host = Host::with(&[&phone]);
    host.connect(&mut phone, &packet(b"here"));
    let (home, elsewhere) = (phone.address, Remote::udp(SocketAddr::from(([203, 0, 113, 1], 9))));
    let mut forged = phone.say(&packet(b"forged"));
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(host.hear(&forged, elsewhere), None);
    assert_eq!((host.guests.state(0).remote, host.refused()), (Some(home), 1));
    let message = phone.say(&packet(b"moved"));
    assert_eq!(host.hear(&message, elsewhere), Some((0, packet(b"moved"))));
    assert_eq!(host.guests.state(0).remote, Some(elsewhere));
    assert_eq!(host.hear(&message, home), None, "a replay moves nothing");
    assert_eq!((host.guests.state(0).remote, host.refused()), (Some(elsewhere), 2));
    // Who has caught an initiation on its way can send it from anywhere, first.
    let initiation = begin(&mut phone);
    assert_eq!(host.hear(&initiation, home), None);
    assert_eq!(host.answer().0, home);
    assert_eq!(host.guests.state(0).remote, Some(elsewhere), "a handshake that begins moves nothing");
    // What was written down before a restart counts no more once it was heard.
    let mut begun = 0;
    host.guests.at(0).unwrap().begin(home, &mut [0; QUEUED_LENGTH_MAX], &mut |_, _| begun += 1);
    assert_eq!((begun, host.guests.state(0).remote), (0, Some(elsewhere)));
}

#[test]
fn who_is_removed_is_gone_and_who_stays_keeps_the_session() {
    let (mut phone, mut tablet) = (Client::new(1, key_of_door()), Client::new(2, key_of_door()));
    let mut host = Host::with(&[&phone, &tablet]);
    host.connect(&mut phone, &packet(b"x"));
    host.connect(&mut tablet, &packet(b"x"));
    host.host(&[&phone]);
    let message = tablet.say(&packet(b"still here"));
    assert_eq!((host.hear(&message, tablet.address), host.refused()), (None, 1));
    let message = phone.say(&packet(b"still here"));
    assert!(host.hear(&message, phone.address).is_some());
    host.say(1, &packet(b"to tablet"));
    assert!(host.sent.is_empty());
    assert_eq!(host.guests.drops.of(DropReason::GuestOffline), 1);
    // Another one in its place is another one.
    let mut watch = Client::new(3, key_of_door());
    host.host(&[&phone, &watch]);
    let message = tablet.say(&packet(b"still here"));
    assert_eq!(host.hear(&message, tablet.address), None);
    host.connect(&mut watch, &packet(b"x"));
    host.host(&[&phone, &tablet]);
    let message = watch.say(&packet(b"still here"));
    assert_eq!(host.hear(&message, watch.address), None);
}

#[test]
fn strangers_get_no_answer_and_a_flood_is_asked_for_cookies() {
    let (mut phone, mut stranger) = (Client::new(1, key_of_door()), Client::new(7, key_of_door()));
    let mut host = Host::with(&[&phone]);
    // It knows the host's key, and is nobody's guest.
    let initiation = stranger.say(&[]);
    assert_eq!(host.hear(&initiation, stranger.address), None);
    // Its MAC is wrong, or it is no message.
    let mut lost = Client::new(7, GuestKey([4; 32]));
    for bytes in [lost.say(&[]), vec![1, 0, 0, 0], vec![4; 40], initiation[..147].to_vec()] {
        assert_eq!(host.hear(&bytes, stranger.address), None);
    }
    let (mut cookies, mut froms) = (0, addresses());
    while cookies < 10 {
        host.hear(&initiation, froms.next().unwrap());
        cookies += host.sent.drain(..).filter(|(_, reply)| reply.len() == 64).count();
    }
    assert_eq!(host.by_thread.try_iter().count(), 0, "the thread has answered nothing of it");
    // A guest shows its cookie, and gets in.
    let mut initiation = phone.say(&packet(b"me"));
    assert_eq!(host.hear(&initiation, phone.address), None);
    if let Some((_, cookie)) = host.sent.pop_front() {
        phone.hear(&cookie);
        let mut room = [0; QUEUED_LENGTH_MAX];
        initiation = sent(phone.tunnel.format_handshake_initiation(&mut room, true));
        assert_eq!(host.hear(&initiation, phone.address), None);
        assert!(host.sent.is_empty(), "it is not asked again");
    }
    assert_eq!(host.by_thread.recv().unwrap().0, phone.address);
}

#[test]
fn a_flood_from_one_place_costs_a_counter_and_nobody_else_a_cookie() {
    let (mut phone, mut stranger) = (Client::new(1, key_of_door()), Client::new(7, key_of_door()));
    let mut host = Host::with(&[&phone]);
    let initiation = stranger.say(&[]);
    (0..10_000).for_each(|_| drop(host.hear(&initiation, stranger.address)));
    assert!(host.sent.is_empty(), "no cookie either");
    assert!(host.refused() > 9_000, "{}", host.refused());
    assert_eq!(host.hear(&phone.say(&packet(b"me")), phone.address), None);
    assert!(host.sent.is_empty(), "not even under a flood from elsewhere");
    assert_eq!(host.by_thread.recv().unwrap().0, phone.address);
}

#[test]
fn without_guests_there_is_no_door() {
    let mut host = Host::new();
    let mut client = Client::new(1, key_of_door());
    let initiation = client.say(&[]);
    assert_eq!((host.hear(&initiation, client.address), host.refused()), (None, 1));
    assert!(host.sent.is_empty());
}

#[test]
fn a_packet_for_a_guest_without_a_session_waits_for_it() {
    let mut phone = Client::new(1, key_of_door());
    let mut host = Host::with(&[&phone]);
    host.say(0, &packet(b"nobody knows where it is"));
    assert!(host.sent.is_empty());
    host.connect(&mut phone, &packet(b"here"));
    // Its session is new, the host's own handshake is not needed: it goes at once.
    host.say(0, &packet(b"now"));
    assert_eq!(phone.hear(&host.sent.pop_front().unwrap().1).0, packet(b"now"));
}

#[test]
fn two_hundred_guests_come_at_once() {
    let mut clients: Vec<Client> = (0..200).map(|number| Client::new(number, key_of_door())).collect();
    let mut host = Host::with(&clients.iter().collect::<Vec<_>>());
    for number in 0..200 {
        let text = packet(&[number]);
        let client = &mut clients[usize::from(number)];
        assert_eq!(host.connect(client, &text), Some((number.into(), text)));
    }
    for number in 0..200 {
        host.say(number.into(), &packet(&[number]));
        let (to, message) = host.sent.pop_front().unwrap();
        let client = &mut clients[usize::from(number)];
        assert_eq!((to, client.hear(&message).0), (client.address, packet(&[number])));
    }
}

#[test]
fn after_a_restart_the_host_begins_where_its_guests_were() {
    let mut phone = Client::new(1, key_of_door());
    let places = {
        let mut host = Host::with(&[&phone]);
        host.connect(&mut phone, &packet(b"here"));
        host.guests.places()
    };
    assert_eq!(places, [(phone.key(), phone.address.candidate().unwrap())]);
    let mut host = Host::which_remembers(&[&phone], places.clone());
    let (to, initiation) = host.answer();
    assert_eq!(to, phone.address);
    host.say(0, &packet(b"waits"));
    let (_, response) = phone.hear(&initiation);
    assert!(host.hear(&response.unwrap(), phone.address).is_none());
    let said = [host.answer(), host.answer()].map(|(_, message)| phone.hear(&message).0);
    assert_eq!(said, [vec![], packet(b"waits")], "a keepalive, and what had waited");
    let message = phone.say(&packet(b"again"));
    assert_eq!(host.hear(&message, phone.address), Some((0, packet(b"again"))));
    host.say(0, &packet(b"me too"));
    assert_eq!(phone.hear(&host.sent.pop_front().unwrap().1).0, packet(b"me too"));
    // What it begins with is lost, and then the guest begins: what waits comes with its session.
    let mut host = Host::which_remembers(&[&phone], places);
    let _lost = host.answer();
    host.say(0, &packet(b"waits"));
    let initiation = begin(&mut phone);
    assert_eq!(host.hear(&initiation, phone.address), None);
    let (_, keepalive) = phone.hear(&host.answer().1);
    assert_eq!(host.hear(&keepalive.unwrap(), phone.address), None);
    assert_eq!(phone.hear(&host.sent.pop_front().unwrap().1).0, packet(b"waits"));
}

#[test]
fn what_a_host_begins_with_is_sent_again_when_it_is_lost() {
    let phone = Client::new(1, key_of_door());
    let place = (phone.key(), phone.address.candidate().unwrap());
    let host = Host::which_remembers(&[&phone], vec![place]);
    let (first, again) = (host.answer(), host.answer());
    assert_eq!([first.0, again.0], [phone.address; 2]);
    assert_eq!([first.1.len(), again.1.len()], [148; 2]);
}

#[test]
fn a_second_later_all_is_permitted_again() {
    let mut phone = Client::new(1, key_of_door());
    let mut host = Host::with(&[&phone]);
    // Its MAC is of no door, so that it counts for its address and not for the load.
    let foreign = Client::new(7, GuestKey([4; 32])).say(&[]);
    (0..1000).for_each(|_| drop(host.hear(&foreign, phone.address)));
    host.await_answer(&mut phone, "its address has no budget any more");
    let (stranger, mut froms) = (Client::new(7, key_of_door()).say(&[]), addresses());
    while host.sent.is_empty() {
        host.hear(&stranger, froms.next().unwrap());
    }
    host.await_answer(&mut phone, "the load is never over");
}
