//! The actor against a router made of a UDP socket on a loopback address of its own: NAT-PMP, whose bytes fit a screen.
//! A real router is asked in `netns-tests`.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const PORT: u16 = 41_000;

/// Each test has a router of its own, since the port is always the same.
static ROUTERS: AtomicU8 = AtomicU8::new(1);

/// A router that does nothing unless told to.
struct Router {
    socket: UdpSocket,
    network: Network,
}

/// What a mapping request asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    internal: u16,
    external: u16,
    lease_s: u32,
}

impl Router {
    async fn new() -> Self {
        let ip = Ipv4Addr::new(127, 53, 51, ROUTERS.fetch_add(1, Ordering::Relaxed));
        let socket = UdpSocket::bind((ip, crab_nat::GATEWAY_PORT)).await.unwrap();
        Self { socket, network: Network { gateway: ip, local: Ipv4Addr::LOCALHOST } }
    }

    fn actor(&self, lease_s: u64, protocols: &[Protocol]) -> PortMapping {
        let port = PORT.try_into().unwrap();
        let lease = Duration::from_secs(lease_s);
        let actor = PortMapping::start(Params { port, lease, protocols: protocols.to_vec() });
        actor.set_network(Some(self.network));
        actor
    }

    /// The next request to map a port, with the address where its sender is. Questions for the address outside are
    /// answered with `outside`.
    async fn asked(&self, outside: [u8; 4]) -> (Asked, SocketAddr) {
        let mut bytes = [0; 2000];
        loop {
            let received = timeout(PATIENCE, self.socket.recv_from(&mut bytes)).await;
            let (length, from) = received.expect("the router is asked").unwrap();
            match (&bytes[..length], outside) {
                ([0, 0], [a, b, c, d]) => {
                    self.socket.send_to(&[0, 128, 0, 0, 0, 0, 0, 9, a, b, c, d], from).await.unwrap();
                }
                ([0, 1, 0, 0, i, n, e, x, l1, l2, l3, l4], _) => {
                    let asked = Asked {
                        internal: u16::from_be_bytes([*i, *n]),
                        external: u16::from_be_bytes([*e, *x]),
                        lease_s: u32::from_be_bytes([*l1, *l2, *l3, *l4]),
                    };
                    return (asked, from);
                }
                // PCP: an older version is wanted.
                ([2, ..], _) => {
                    self.socket.send_to(&[0, 129, 0, 1, 0, 0, 0, 9], from).await.unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
    }

    async fn give(&self, to: SocketAddr, external: u16, lease_s: u32) {
        let mut bytes = vec![0, 129, 0, 0, 0, 0, 0, 9];
        bytes.extend(PORT.to_be_bytes());
        bytes.extend(external.to_be_bytes());
        bytes.extend(lease_s.to_be_bytes());
        self.socket.send_to(&bytes, to).await.unwrap();
    }

    async fn refuse(&self, to: SocketAddr) {
        // 2: not authorized.
        self.socket.send_to(&[0, 129, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0], to).await.unwrap();
    }
}

async fn event(actor: &mut PortMapping) -> Event {
    timeout(PATIENCE, actor.next_event()).await.expect("there is an event")
}

/// The next event that is no report.
async fn change(actor: &mut PortMapping) -> Event {
    loop {
        let event = event(actor).await;
        if !matches!(event, Event::State(_)) {
            return event;
        }
    }
}

async fn mapped(actor: &mut PortMapping) -> Mapping {
    let event = change(actor).await;
    let Event::Mapped(mapping) = event else { panic!("{event:?}") };
    mapping
}

/// The next report of a result.
async fn result(actor: &mut PortMapping) -> Report {
    loop {
        if let Event::State(report) = event(actor).await
            && report.outcome != Outcome::Asking
        {
            return report;
        }
    }
}

/// Closes the actor, and gives what the router hears of it.
async fn closed(actor: PortMapping, router: &Router) -> Asked {
    let ((), asked) = tokio::join!(actor.close(), async {
        let (asked, from) = router.asked([203, 0, 113, 9]).await;
        let deleted = [&[0, 129, 0, 0, 0, 0, 0, 9][..], &PORT.to_be_bytes(), &[0; 6]].concat();
        router.socket.send_to(&deleted, from).await.unwrap();
        asked
    });
    asked
}

#[tokio::test]
async fn a_mapping_is_asked_for_renewed_and_given_back() {
    let router = Router::new().await;
    let mut actor = router.actor(4, &[Protocol::NatPmp]);
    let (asked, from) = router.asked([203, 0, 113, 9]).await;
    assert_eq!(asked, Asked { internal: PORT, external: PORT, lease_s: 4 });
    let before = Instant::now();
    router.give(from, 5000, 4).await;
    let first = mapped(&mut actor).await;
    assert_eq!(first.external, "203.0.113.9:5000".parse().unwrap());
    assert_eq!(first.protocol, Protocol::NatPmp);
    assert!(first.expires.unwrap() >= before + Duration::from_secs(4));
    assert!(!first.is_behind_another_nat());

    // The port that we have is wished for, and another one is taken as well.
    let (asked, from) = router.asked([203, 0, 113, 9]).await;
    assert_eq!(asked.external, 5000);
    assert!(Instant::now() >= before + Duration::from_secs(2), "renewed before half its life");
    router.give(from, 5001, 7200).await;
    let second = mapped(&mut actor).await;
    assert_eq!(second.external.port(), 5001);
    assert!(second.expires > first.expires);

    assert_eq!(closed(actor, &router).await, Asked { internal: PORT, external: 0, lease_s: 0 });
}

#[tokio::test]
async fn the_protocols_are_tried_in_order() {
    let router = Router::new().await;
    let mut actor = router.actor(7200, &[Protocol::Pcp, Protocol::NatPmp]);
    let (_, from) = router.asked([100, 64, 0, 9]).await;
    router.give(from, 5000, 7200).await;
    let report = result(&mut actor).await;
    let Outcome::Mapped(mapping) = report.outcome else { panic!("{report}") };
    assert!(mapping.is_behind_another_nat());
    assert_eq!(report.answers.len(), 2);
    assert!(matches!(&report.answers[0], (Protocol::Pcp, Answer::Refused(_))), "{report:?}");
    assert_eq!(report.answers[1], (Protocol::NatPmp, Answer::Given));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_routers_words() {
    let router = Router::new().await;
    let mut actor = router.actor(7200, &[Protocol::NatPmp]);
    let (_, from) = router.asked([203, 0, 113, 9]).await;
    let before = Instant::now();
    router.refuse(from).await;
    let report = result(&mut actor).await;
    let Outcome::Failed { next_try } = report.outcome else { panic!("{report}") };
    assert!(next_try >= before + crate::reach::limits::RETRY_FIRST);
    assert!(
        report.to_string().contains("NAT-PMP says: ") && report.to_string().contains("authorized"),
        "{report}"
    );
    actor.close().await;
}

#[tokio::test]
async fn a_router_without_an_address_or_with_a_life_of_nothing_gives_nothing() {
    let router = Router::new().await;
    let mut actor = router.actor(7200, &[Protocol::NatPmp]);
    let (_, from) = router.asked([203, 0, 113, 9]).await;
    router.give(from, 5000, 0).await;
    let report = result(&mut actor).await;
    assert!(matches!(report.outcome, Outcome::Failed { .. }), "{report:?}");
    drop(actor);

    let mut actor = router.actor(7200, &[Protocol::NatPmp]);
    let ask = async {
        let mut bytes = [0; 2];
        let (_, from) = router.socket.recv_from(&mut bytes).await.unwrap();
        router.socket.send_to(&[0, 128, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0], from).await.unwrap();
        result(&mut actor).await
    };
    let report = timeout(PATIENCE, ask).await.unwrap();
    assert!(report.to_string().ends_with("it has no address outside"), "{report}");
}

#[tokio::test]
async fn nobody_there_is_silence() {
    let router = Router::new().await;
    let network = router.network;
    drop(router);
    let params = Params::new(PORT.try_into().unwrap());
    let mut actor = PortMapping::start(Params { protocols: vec![Protocol::Pcp, Protocol::NatPmp], ..params });
    actor.set_network(Some(network));
    let report = result(&mut actor).await;
    assert_eq!(report.answers, [(Protocol::Pcp, Answer::Silent), (Protocol::NatPmp, Answer::Silent)]);
    actor.set_network(None);
    assert_eq!(result(&mut actor).await.outcome, Outcome::NoGateway);
}

#[tokio::test]
async fn a_mapping_that_is_not_renewed_is_lost_and_asked_for_anew() {
    let router = Router::new().await;
    let mut actor = router.actor(4, &[Protocol::NatPmp]);
    let (_, from) = router.asked([203, 0, 113, 9]).await;
    router.give(from, 5000, 4).await;
    let first = mapped(&mut actor).await;
    let lost = tokio::join!(change(&mut actor), async {
        while Instant::now() < first.expires.unwrap() {
            let (asked, from) = router.asked([203, 0, 113, 9]).await;
            assert_eq!(asked.external, 5000);
            router.refuse(from).await;
        }
    });
    assert_eq!(lost.0, Event::Lost);
    let (asked, from) = router.asked([203, 0, 113, 9]).await;
    assert_eq!(asked.external, PORT, "a new beginning");
    router.give(from, 5002, 7200).await;
    assert_eq!(mapped(&mut actor).await.external.port(), 5002);
}

#[tokio::test]
async fn another_gateway_is_asked_at_once() {
    let (router, other) = (Router::new().await, Router::new().await);
    let mut actor = router.actor(7200, &[Protocol::NatPmp]);
    let (_, from) = router.asked([203, 0, 113, 9]).await;
    router.give(from, 5000, 7200).await;
    let _ = mapped(&mut actor).await;
    actor.set_network(Some(other.network));
    assert_eq!(change(&mut actor).await, Event::Lost);
    // It interrupts what is under way: the other router never answers, and the first is asked again.
    let _ = other.asked([203, 0, 113, 9]).await;
    actor.set_network(Some(router.network));
    let (_, from) = router.asked([203, 0, 113, 9]).await;
    router.give(from, 5003, 7200).await;
    assert_eq!(mapped(&mut actor).await.external.port(), 5003);
    actor.set_network(None);
    assert_eq!(change(&mut actor).await, Event::Lost);
}

#[tokio::test]
async fn an_answer_that_comes_while_closing_is_given_back() {
    let router = Router::new().await;
    let actor = router.actor(7200, &[Protocol::NatPmp]);
    let (_, from) = router.asked([203, 0, 113, 9]).await;
    let ((), asked) = tokio::join!(actor.close(), async {
        tokio::task::yield_now().await;
        router.give(from, 5000, 7200).await;
        loop {
            let (asked, from) = router.asked([203, 0, 113, 9]).await;
            // The question may have been repeated meanwhile.
            if asked.lease_s == 0 {
                let deleted = [&[0, 129, 0, 0, 0, 0, 0, 9][..], &PORT.to_be_bytes(), &[0; 6]].concat();
                router.socket.send_to(&deleted, from).await.unwrap();
                return asked;
            }
        }
    });
    assert_eq!(asked, Asked { internal: PORT, external: 0, lease_s: 0 });
}
