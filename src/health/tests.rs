//! Checks of real sockets, in quick succession.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use overlay::Sharing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use wire::service::Protocol;

use super::check::CheckFailure;
use super::*;

/// From check to check.
const QUICK: Duration = Duration::from_millis(10);
const LOCAL: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];

fn publication(name: &str, port: u16, health: &str) -> Publication {
    Publication {
        name: name.parse().unwrap(),
        version: None,
        protocol: Protocol::Tcp,
        port,
        labels: BTreeMap::new(),
        ttl_s: 60,
        sharing: Sharing::Owner,
        health: health.parse().unwrap(),
        target: None,
    }
}

fn verdict(name: &str, is_healthy: bool) -> Verdict {
    Verdict { identity: (name.parse().unwrap(), None), is_healthy }
}

/// The way to targets in a network without nodes.
fn reach() -> Reach {
    let zone = overlay::Zone::empty("home".parse().unwrap(), wire::NodeId([1; 32]));
    Reach::new(Arc::new(arc_swap::ArcSwap::from_pointee(zone)))
}

async fn at(health: &HealthCheck, addresses: &[SocketAddr]) -> Result<(), CheckFailure> {
    check(health, &Place::Own(addresses.to_vec()), &reach()).await
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Answers every connection with `answer` in two pieces, and tells what was asked.
async fn serve(answer: &'static [u8]) -> (SocketAddr, mpsc::Receiver<String>) {
    let (listener, address) = listener().await;
    let (asked, requests) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let _unread = asked.try_send(String::from_utf8(request[..length].to_vec()).unwrap());
            for piece in answer.chunks(answer.len().div_ceil(2).max(1)) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    (address, requests)
}

async fn http(answer: &'static [u8]) -> Result<(), CheckFailure> {
    let (address, _requests) = serve(answer).await;
    at(&"http:/healthz".parse().unwrap(), &[address]).await
}

#[tokio::test]
async fn a_good_status_is_from_200_to_399() {
    for good in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"HTTP/1.0 204 \r\nA: b\r\n\r\n", b"HTTP/1.1 399 x\r\n\r\n"]
    {
        assert!(http(good).await.is_ok(), "{good:?}");
    }
    for (bad, status) in [
        (&b"HTTP/1.1 400 no\r\n\r\n"[..], 400),
        (b"HTTP/1.1 503 no\r\n\r\n", 503),
        (b"HTTP/1.1 199 x\r\n\r\n", 199),
    ] {
        assert!(matches!(http(bad).await, Err(CheckFailure::Status(said)) if said == status), "{bad:?}");
    }
    for nonsense in [&b"SSH-2.0-OpenSSH\r\n"[..], b"", b"HTTP/1.1"] {
        assert!(matches!(http(nonsense).await, Err(CheckFailure::NoHttp)), "{nonsense:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let endless: &'static [u8] = Box::leak(vec![b'x'; 1 << 20].into_boxed_slice());
    assert!(matches!(http(endless).await, Err(CheckFailure::NoHttp)));
}

#[tokio::test]
async fn the_request_is_one_that_servers_understand() {
    let (address, mut requests) = serve(b"HTTP/1.1 200 OK\r\n\r\n").await;
    at(&"http:/up?x=1".parse().unwrap(), &[address]).await.unwrap();
    let request = requests.recv().await.unwrap();
    assert!(
        request.starts_with(&format!("GET /up?x=1 HTTP/1.1\r\nHost: {address}\r\nUser-Agent: hopmesh/")),
        "{request}"
    );
    assert!(request.ends_with("\r\nConnection: close\r\n\r\n"), "{request}");
}

#[tokio::test]
async fn the_second_address_is_tried_where_the_first_refuses() {
    let (closed, refused) = listener().await;
    drop(closed);
    let (_open, taken) = listener().await;
    let tcp = HealthCheck::Tcp;
    assert!(matches!(at(&tcp, &[refused]).await, Err(CheckFailure::Connection(_))));
    assert!(at(&tcp, &[refused, taken]).await.is_ok());
    assert!(at(&HealthCheck::None, &[refused]).await.is_ok());
}

#[tokio::test]
async fn who_does_not_answer_fails_after_the_timeout() {
    // Nobody accepts: the kernel completes the connection all the same, and the request is never answered.
    let (_listener, address) = listener().await;
    let outcome = at(&"http:/".parse().unwrap(), &[address]).await;
    assert!(matches!(outcome, Err(CheckFailure::Timeout)), "{outcome:?}");
}

#[test]
fn who_dies_is_noticed_within_the_promise() {
    let noticed = CHECK_INTERVAL * limits::FAILURES_MAX + limits::CHECK_TIMEOUT;
    assert!(noticed <= Duration::from_secs(12), "{noticed:?}");
}

#[tokio::test]
async fn a_service_that_stops_becomes_unhealthy_and_one_that_comes_back_healthy() {
    let (server, address) = listener().await;
    let web = publication("web", address.port(), "tcp");
    let mut checker = Checker::every(QUICK, reach());
    checker.keep([&web].into_iter(), &LOCAL);
    assert_eq!(checker.next().await, verdict("web", true));
    drop(server);
    while checker.next().await.is_healthy {}
    let _again = TcpListener::bind(address).await.unwrap();
    while !checker.next().await.is_healthy {}
}

#[tokio::test]
async fn what_is_not_kept_is_not_checked_any_more() {
    let (_server, address) = listener().await;
    let [web, db] = ["web", "db"].map(|name| publication(name, address.port(), "tcp"));
    let unchecked = publication("plain", 9, "none");
    let mut checker = Checker::every(QUICK, reach());
    checker.keep([&web, &db, &unchecked].into_iter(), &LOCAL);
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        seen.insert(checker.next().await.identity.0.to_string());
    }
    assert_eq!(seen, BTreeSet::from(["web".to_owned(), "db".to_owned()]));
    checker.keep([&db].into_iter(), &LOCAL);
    for _ in 0..5 {
        assert_eq!(checker.next().await, verdict("db", true));
    }
    checker.keep([].into_iter(), &LOCAL);
    assert!(timeout(QUICK * 20, checker.next()).await.is_err());
}

#[tokio::test]
async fn another_port_and_a_new_publication_are_checked_at_once() {
    let (closed, refused) = listener().await;
    drop(closed);
    let (_server, address) = listener().await;
    let mut checker = Checker::every(Duration::from_secs(3600), reach());
    checker.keep([&publication("web", refused.port(), "tcp")].into_iter(), &LOCAL);
    assert_eq!(checker.next().await, verdict("web", false));
    let web = publication("web", address.port(), "tcp");
    checker.keep([&web].into_iter(), &LOCAL);
    assert_eq!(checker.next().await, verdict("web", true));
    checker.forget(&verdict("web", true).identity);
    checker.keep([&web].into_iter(), &LOCAL);
    assert_eq!(checker.next().await, verdict("web", true));
}

#[tokio::test]
async fn of_what_is_passed_on_the_target_is_checked() {
    let (server, address) = listener().await;
    let (closed, refused) = listener().await;
    drop(closed);
    let [here, there] = [refused, address].map(|target| Publication {
        target: Some(target.to_string().parse().unwrap()),
        ..publication("printer", address.port(), "tcp")
    });
    let mut checker = Checker::every(QUICK, reach());
    checker.keep([&here].into_iter(), &LOCAL);
    assert_eq!(checker.next().await, verdict("printer", false), "whoever listens at our own port");
    checker.keep([&there].into_iter(), &LOCAL);
    while !checker.next().await.is_healthy {}
    drop(server);
    while checker.next().await.is_healthy {}
}

#[tokio::test]
async fn a_target_is_asked_by_its_own_name() {
    let (address, mut requests) = serve(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let target = format!("localhost:{}", address.port());
    let place = Place::Target(target.parse().unwrap());
    check(&"http:/".parse().unwrap(), &place, &reach()).await.unwrap();
    let request = requests.recv().await.unwrap();
    assert!(request.contains(&format!("\r\nHost: {target}\r\n")), "{request}");
}
