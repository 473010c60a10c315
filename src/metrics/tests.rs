//! The whole text, read as a scraper reads it; and the dashboard, held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use overlay::{
    DropReason, Drops, Event, Handshakes, Identity, Node, Params, PathView, PeerState, PeerView, Remote,
    View, found,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use wire::Name;

use super::{Fronted, Listener, Observed, PEERS_MAX, Tally, render, serve};
use crate::control::{Command, Reply, Request};
use crate::dns::Counted;
use crate::io::clock;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn node() -> Node {
    let identity = Identity::generate([1; 32]);
    let range = "10.7.0.0/24".parse().unwrap();
    let params = Params {
        network: found(name("home"), name("a"), range, &identity, clock::unix_s(), [2; 32]),
        identity,
        invites: vec![],
        records: vec![],
        contacts: vec![],
        publications: vec![],
        guests: vec![],
        leases: overlay::state::Leases::default(),
        rekey_after: Duration::from_secs(120),
        suites: vec![],
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

fn peer(view: &View, number: u64) -> PeerView {
    PeerView {
        node: view.own.node,
        name: name(&format!("peer-{number}")),
        addresses: vec![],
        state: PeerState::Connected,
        remote: None,
        path: PathView::Direct { remote: Remote::Circuit(7) },
        round_trip: Some(Duration::from_millis(25)),
        loss_per_mille: Some(100),
        mtu: Some(1420),
        rx_bytes: number,
        tx_bytes: 2,
        rx_packets: 3,
        tx_packets: 4,
        last_handshake: Some(Duration::from_secs(9)),
        clock_ahead_s: None,
        revision: None,
        revisions: None,
    }
}

/// The text of a node with some peers.
fn text(peers: u64) -> String {
    let (node, drops, mut tally) = (node(), Drops::default(), Tally::default());
    let mut view = node.view(clock::now());
    view.peers = (0..peers).map(|number| peer(&view, number)).collect();
    drops.count(DropReason::Gate);
    let direct = Remote::udp(([192, 0, 2, 1], 7).into());
    tally.note(&Event::Connected(view.own.node, name("b"), direct));
    tally.note(&Event::Moved(view.own.node, name("b"), Remote::Circuit(1)));
    tally.note(&Event::Lost(view.own.node, name("b")));
    render(&Observed {
        view: &view,
        drops: &drops,
        sent: node.sent(),
        handshakes: Handshakes { initiated: 5, answered: 6 },
        tally: &tally,
        dns: Some(Counted { questions: 8, forward_failed: 4, forward_unfit: 5, ..Counted::default() }),
        fronts: Fronted {
            fronts: 2,
            connections: 9,
            counted: crate::front::Counted { passed: 40, refused: 7, unreached: 1 },
        },
        services: 3,
        problems: 1,
        mtu: 1420,
        started_unix_s: 1_700_000_000,
    })
}

/// Families with their types, and samples with their values.
#[derive(Default)]
struct Scrape {
    families: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

/// Reads the text by the rules of the format; what breaks one is a failure of the test.
fn scraped(text: &str) -> Scrape {
    let mut scrape = Scrape::default();
    let (mut helped, mut current) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(words.ends_with('.'), "{line}");
            helped = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, helped, "help stands before the type");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(["counter", "gauge"].contains(&kind) && name.starts_with("hopmesh_"), "{line}");
            assert_eq!(scrape.families.insert(name.to_owned(), kind.to_owned()), None, "{name} comes twice");
            current = name.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert_eq!(name, current, "samples stand under their family: {line}");
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite());
            assert_eq!(scrape.samples.insert(series.to_owned(), value), None, "{series} comes twice");
        }
    }
    scrape
}

#[test]
fn everything_is_told_as_it_is() {
    let scrape = scraped(&text(2));
    for (series, value) in [
        ("hopmesh_start_time_seconds", 1_700_000_000.0),
        ("hopmesh_node_info{network=\"home\",node=\"a\"}", 1.0),
        ("hopmesh_problems", 1.0),
        ("hopmesh_peers{state=\"connected\"}", 2.0),
        ("hopmesh_peers{state=\"revoked\"}", 0.0),
        ("hopmesh_paths{kind=\"hop\"}", 2.0),
        ("hopmesh_peer_round_trip_seconds{peer=\"peer-1\"}", 0.025),
        ("hopmesh_peer_loss_ratio{peer=\"peer-1\"}", 0.1),
        ("hopmesh_peer_received_bytes_total{peer=\"peer-1\"}", 1.0),
        ("hopmesh_peer_sent_packets_total{peer=\"peer-0\"}", 4.0),
        ("hopmesh_connects_total{kind=\"direct\"}", 1.0),
        ("hopmesh_path_changes_total{kind=\"hop\"}", 1.0),
        ("hopmesh_path_changes_total{kind=\"direct\"}", 0.0),
        ("hopmesh_disconnects_total{reason=\"silent\"}", 1.0),
        ("hopmesh_handshakes_total{outcome=\"initiated\"}", 5.0),
        ("hopmesh_handshakes_total{outcome=\"answered\"}", 6.0),
        ("hopmesh_drops_total{reason=\"gate\"}", 1.0),
        ("hopmesh_dns_questions_total", 8.0),
        ("hopmesh_dns_forwarded_total{outcome=\"failed\"}", 4.0),
        ("hopmesh_dns_forward_unfit_total", 5.0),
        ("hopmesh_fronts", 2.0),
        ("hopmesh_front_connections", 9.0),
        ("hopmesh_front_connections_total{outcome=\"refused\"}", 7.0),
        ("hopmesh_services", 3.0),
        ("hopmesh_interface_mtu_bytes", 1420.0),
    ] {
        assert_eq!(scrape.samples.get(series), Some(&value), "{series}");
    }
}

#[test]
fn every_reason_of_a_drop_has_a_series_from_the_start() {
    let scrape = scraped(&text(0));
    for (reason, _) in Drops::default().all() {
        assert!(
            scrape.samples.contains_key(&format!("hopmesh_drops_total{{reason=\"{reason}\"}}")),
            "{reason}"
        );
    }
}

#[test]
fn peers_beyond_the_most_are_those_with_the_least_traffic() {
    let scrape = scraped(&text(PEERS_MAX as u64 + 5));
    let of_peers = |number: usize| {
        let series = format!("hopmesh_peer_received_bytes_total{{peer=\"peer-{number}\"}}");
        scrape.samples.contains_key(&series)
    };
    assert!(!of_peers(4) && of_peers(5) && of_peers(PEERS_MAX + 4));
    assert_eq!(scrape.samples["hopmesh_peers{state=\"connected\"}"], PEERS_MAX as f64 + 5.0);
}

/// The names of ours in a query of Prometheus.
fn names_in(query: &str) -> Vec<&str> {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("hopmesh_")).collect()
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../docs/grafana/hopmesh.json")).unwrap();
    let scrape = scraped(&text(2));
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && panel["title"].is_string(), "{panel}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            let names = names_in(query);
            assert!(!names.is_empty(), "{query}");
            for name in names {
                let kind = scrape.families.get(name).unwrap_or_else(|| panic!("nobody exports {name}"));
                let is_rate = query.contains("rate(") || query.contains("increase(");
                assert_eq!(is_rate, kind == "counter", "counters are asked for their rate: {query}");
                asked.insert(name.to_owned());
            }
        }
    }
    for important in ["hopmesh_drops_total", "hopmesh_paths", "hopmesh_problems", "hopmesh_peers"] {
        assert!(asked.contains(important), "{important} is nowhere");
    }
}

/// A control thread that has one text; the port, and what ends it.
async fn exporter() -> (SocketAddr, oneshot::Sender<()>) {
    let (requests, mut requested) = mpsc::channel::<Request>(4);
    tokio::spawn(async move {
        while let Some(request) = requested.recv().await {
            assert_eq!(request.command, Command::Metrics);
            let _gone = request.reply.send(Ok(Reply::Metrics("hopmesh_problems 0\n".to_owned())));
        }
    });
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.address();
    let (running, end) = oneshot::channel::<()>();
    tokio::spawn(serve(listener, requests, async move {
        let _dropped = end.await;
    }));
    (address, running)
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_scrape_over_http_is_the_same_text() {
    let (address, _running) = exporter().await;
    let said = ask(address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(said.contains("content-type: text/plain; version=0.0.4"), "{said}");
    assert!(said.ends_with("\r\n\r\nhopmesh_problems 0\n"), "{said}");
}

#[tokio::test]
async fn what_is_not_meant_for_us_gets_nothing() {
    let (address, running) = exporter().await;
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n"), "404"),
        (format!("POST /metrics HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n"), "405"),
        (format!("GET /metrics HTTP/1.1\r\nHost: evil.example:{}\r\n\r\n", address.port()), "421"),
        ("GET /metrics HTTP/1.1\r\n\r\n".to_owned(), "421"),
    ] {
        let said = ask(address, &request).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {said}");
        assert!(!said.contains("hopmesh_problems"), "{said}");
    }
    drop(running);
    let is_closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_closed).await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let (address, _running) = exporter().await;
    let error = Listener::bind(address).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("[metrics]"), "{error}");
}
