//! Invites altered by somebody who knows the format: the checksum is right, the content is not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netns_tests::{DEADLINE, Lab, Machine, refused, wait_until};
use ring::digest::{SHA256, digest};

const PREFIX: &str = "hopmesh1";
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Bytes of SHA-256 behind the content.
const CHECKSUM: usize = 4;

/// The content of an invite, without the checksum.
fn content(invite: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in invite.strip_prefix(PREFIX).expect("begins as documented").bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter).expect("base32");
        bits = bits << 5 | u32::try_from(value).expect("below 32");
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes.truncate(bytes.len() - CHECKSUM);
    bytes
}

/// An invite with this content and the checksum that belongs to it.
fn forge(content: &[u8]) -> String {
    let sum = digest(&SHA256, content);
    let (mut bits, mut count, mut text) = (0_u32, 0, PREFIX.to_owned());
    for byte in content.iter().chain(&sum.as_ref()[..CHECKSUM]) {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(ALPHABET[(bits >> count & 31) as usize]));
        }
    }
    if count > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - count) & 31) as usize]));
    }
    text
}

/// An invite's text, when it expires, and where in its content that and the role stand.
fn made(a: &Machine, expires: &str) -> (String, u64, usize) {
    let told = a.json(&["invite", "--expires", expires]);
    let text = told["invite"].as_str().expect("text").to_owned();
    let at = told["expires_unix"].as_u64().expect("a number");
    let needle = u32::try_from(at).expect("before 2106").to_be_bytes();
    let content = content(&text);
    let place = content.windows(4).position(|window| window == needle).expect("the expiry is in the invite");
    (text, at, place)
}

#[test]
fn what_is_forged_here_is_what_hopmesh_makes() {
    let lab = Lab::new();
    let a = lab.machine("a");
    a.up();
    let invite = a.invite(&[]);
    assert_eq!(forge(&content(&invite)), invite);
}

#[test]
fn a_forged_role_makes_no_admin() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    a.up();
    let (invite, _, place) = made(&a, "1h");
    let mut altered = content(&invite);
    assert_eq!(altered[place + 4], 0, "the role follows the expiry");
    altered[place + 4] = 1;
    let run = b.launch(&[], &["join", &forge(&altered), "--node-name", "b"], None);
    if run.wait_stdout(DEADLINE, |text| text.contains("\"addresses\"").then_some(())).is_some() {
        b.adopt(run);
        assert_eq!(b.status()["node"]["roles"], serde_json::json!(["member"]));
        b.refused(&["invite"], &["admin"]);
    } else {
        refused(run.done(DEADLINE), &["invite"]);
    }
}

#[test]
fn a_forged_expiry_gives_no_more_time() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    a.up();
    let (invite, expires, place) = made(&a, "1s");
    let over = UNIX_EPOCH + Duration::from_secs(expires + 1);
    wait_until("the invite is over", DEADLINE, || (SystemTime::now() > over).then_some(()));
    let mut altered = content(&invite);
    let later = u32::try_from(expires + 3600).expect("before 2106");
    altered[place..place + 4].copy_from_slice(&later.to_be_bytes());
    b.refused(&["join", &forge(&altered)], &["expired"]);
}

#[test]
fn whatever_is_altered_nobody_gets_more_than_was_given() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let founder = a.up();
    let invite = a.invite(&["--node-name", "b"]);
    let honest = content(&invite);
    // All at once, each in a state directory of its own: most wait for an answer that the issuer does not give.
    let runs: Vec<_> = (0..honest.len())
        .step_by(7)
        .map(|at| {
            let mut altered = honest.clone();
            altered[at] ^= 1;
            let folder = b.folder().join(format!("forged-{at}"));
            b.launch_at(&folder, &["join", &forge(&altered)])
        })
        .collect();
    let mut joined = Vec::new();
    for run in runs {
        let up = run.wait_stdout(DEADLINE, |text| {
            text.lines().find(|line| line.contains("\"addresses\"")).map(str::to_owned)
        });
        match up {
            Some(line) => joined.push((run, line)),
            None => drop(refused(run.done(DEADLINE), &["invite|network|answer|hm-home"])),
        }
    }
    // An altered address or name of the network still leads to the issuer, and that decides.
    assert!(joined.len() <= 1, "{} machines joined by one invite", joined.len());
    for (run, line) in joined {
        assert!(line.contains(&founder.network), "{line}");
        drop(run);
    }
    assert_eq!(a.status()["node"]["id"], founder.id);
    let c = lab.machine("c");
    c.join(&a.invite(&[]));
    c.must_ping(founder.v4.into());
}
