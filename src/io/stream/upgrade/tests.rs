//! What is ours, what is not, and that nothing is kept waiting or kept in memory for what is not.

use super::*;

/// The one of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const PROOF: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn remote() -> SocketAddr {
    "[2001:db8::1]:443".parse().unwrap()
}

#[test]
fn our_request_is_one_and_gets_the_proof_of_the_standard() {
    let request = request(remote(), KEY);
    assert!(request.contains("\r\nHost: [2001:db8::1]:443\r\n"), "{request}");
    let verdict = judge(request.as_bytes());
    assert_eq!(verdict, Verdict::Switch(PROOF.to_owned()));
    assert!(is_our_answer(response(&verdict).as_bytes(), KEY));
}

#[test]
fn what_proxies_make_of_our_request_is_taken_too() {
    let head = format!(
        "GET /hopmesh HTTP/1.1\r\nhost: example.net\r\nVia: 1.1 proxy\r\nCONNECTION: keep-alive, Upgrade\r\n\
         upgrade: WebSocket\r\nsec-websocket-protocol: chat\r\nsec-websocket-protocol: other, hopmesh\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    );
    assert_eq!(judge(head.as_bytes()), Verdict::Switch(PROOF.to_owned()));
}

#[test]
fn another_path_or_no_http_at_all_is_not_found() {
    let right = request(remote(), KEY);
    for (from, to) in
        [("/hopmesh ", "/ "), ("/hopmesh ", "/hopmesh/ "), ("/hopmesh ", "/hopmesh?x "), ("HTTP/1.1", "HTTP")]
    {
        assert_eq!(judge(right.replacen(from, to, 1).as_bytes()), Verdict::NotFound, "{to}");
    }
    let many = "X: y\r\n".repeat(HEADERS_MAX);
    assert_eq!(judge(right.replacen("Host", &format!("{many}Host"), 1).as_bytes()), Verdict::NotFound);
    for garbage in [&b""[..], b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", &[0xff; 4096]] {
        assert_eq!(judge(garbage), Verdict::NotFound);
    }
}

#[test]
fn everything_else_on_the_path_must_be_an_upgrade() {
    let right = request(remote(), KEY);
    for (from, to) in [
        ("GET", "POST"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Connection: Upgrade", "Connection: close"),
        ("Version: 13", "Version: 8"),
        ("Protocol: hopmesh", "Protocol: hop"),
        ("Sec-WebSocket-Protocol: hopmesh\r\n", ""),
        (KEY, "AAAA"),
        (KEY, "no Base64"),
        ("Sec-WebSocket-Key", "X"),
        ("Host:", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHost:"),
    ] {
        let head = right.replacen(from, to, 1);
        assert_ne!(head, right, "{from}");
        assert_eq!(judge(head.as_bytes()), Verdict::UpgradeRequired, "{to}");
    }
}

#[test]
fn an_answer_that_is_not_a_nodes_is_none() {
    let right = response(&Verdict::Switch(PROOF.to_owned()));
    for (from, to) in [
        ("101", "200"),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Connection: Upgrade", "Connection: close"),
        (PROOF, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("Protocol: hopmesh", "Protocol: chat"),
        ("Sec-WebSocket-Protocol: hopmesh\r\n", ""),
    ] {
        let head = right.replacen(from, to, 1);
        assert_ne!(head, right, "{from}");
        assert!(!is_our_answer(head.as_bytes(), KEY), "{to}");
    }
    assert!(!is_our_answer(response(&Verdict::NotFound).as_bytes(), KEY));
}

/// What `answer` makes of `bytes`, and what it says, when they come in pieces.
async fn answered(bytes: &[u8], piece: usize) -> (Result<Vec<u8>, UpgradeError>, String) {
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let (mut incoming, mut outgoing) = tokio::io::split(theirs);
    let send = async {
        for piece in bytes.chunks(piece) {
            if outgoing.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _closed = outgoing.shutdown().await;
    };
    let both = async { tokio::join!(answer(&mut ours), send).0 };
    let result = both.await;
    drop(ours);
    let mut said = String::new();
    incoming.read_to_string(&mut said).await.unwrap();
    (result, said)
}

#[tokio::test]
async fn a_head_may_come_in_pieces_and_with_the_first_datagram() {
    for piece in [1, 3, 1000] {
        let mut bytes = request(remote(), KEY).into_bytes();
        bytes.extend_from_slice(b"\x82\x00\r\n\r\n");
        let (rest, said) = answered(&bytes, piece).await;
        let rest = rest.unwrap();
        assert!(b"\x82\x00\r\n\r\n".starts_with(&rest), "{rest:?}");
        assert!(said.starts_with("HTTP/1.1 101 "), "{said}");
        assert!(piece != 1000 || rest.len() == 6);
    }
}

#[tokio::test]
async fn refusals_are_said_at_once_and_briefly() {
    let wrong_path = request(remote(), KEY).replacen("/hopmesh", "/", 1);
    let wrong_protocol = request(remote(), KEY).replacen("Protocol: hopmesh", "Protocol: x", 1);
    let long = format!("GET /hopmesh HTTP/1.1\r\nX: {}", "x".repeat(HEAD_LENGTH_MAX));
    for (bytes, status) in [
        (wrong_path.as_bytes(), "404"),
        (wrong_protocol.as_bytes(), "426"),
        (long.as_bytes(), "404"),
        // A TLS client's greeting, without an empty line: nothing more is waited for.
        (b"\x16\x03\x01\x02\x00\x01", "404"),
        (b"SSH-2.0-x", "404"),
    ] {
        let (result, said) = answered(bytes, 1000).await;
        assert!(matches!(result, Err(UpgradeError::Refused)));
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")) && said.len() < 200, "{said}");
        assert!(said.ends_with("\r\n\r\n"));
    }
}

#[tokio::test]
async fn a_head_that_breaks_off_gets_nothing() {
    let (result, said) = answered(b"GET /hopmesh HTTP/1.1\r\n", 7).await;
    assert!(matches!(result, Err(UpgradeError::Io(_))));
    assert_eq!(said, "");
}
