//! Two hundred names that nobody has, and messages that are none: the server stays, and none gets an answer with records.

use super::{Served, ask, hear, laptop, outcome, question, say};

/// Labels that are no host's.
const LABELS: [&[u8]; 50] = [
    b"\0",
    b"laptop\0",
    b"\0laptop",
    b"lap\0top",
    b".",
    b"..",
    b"laptop.",
    b".laptop",
    b"laptop.home.internal",
    b"a.b",
    b"../../etc/passwd",
    b"..\\..\\boot.ini",
    b"/etc/shadow",
    b"%00",
    b"%2e%2e%2f",
    b"\\000",
    b"\\046",
    b"\\",
    b"\"",
    b"'; DROP TABLE nodes; --",
    b"' OR '1'='1",
    b"$(reboot)",
    b"`reboot`",
    b"${jndi:ldap://x}",
    b"%s%s%s%n",
    b"<script>alert(1)</script>",
    b"\x1b[2J",
    b"\x1b]0;owned\x07",
    b"\x07\x08\x7f",
    b"\r\nSet-Cookie: a=b",
    b"\n",
    b"\t",
    b" ",
    b"laptop ",
    b" laptop",
    b"*",
    b"**",
    b"@",
    b"-",
    b"-laptop",
    b"laptop-",
    b"_",
    b"__proto__",
    b"\xff\xfe\xfd",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    "l\u{430}ptop".as_bytes(),
    "\u{202e}potpal".as_bytes(),
    "lap\u{200b}top".as_bytes(),
    "\u{1f480}".as_bytes(),
];

#[test]
fn two_hundred_evil_names_find_nothing() {
    let served = Served::new();
    let (socket, mut stream) = (served.udp(), served.tcp());
    let mut asked = 0;
    for label in LABELS {
        let below: [&[&[u8]]; 4] = [
            &[label, b"home", b"internal"],
            &[label, b"web", b"home", b"internal"],
            &[label, b"_http", b"_tcp", b"home", b"internal"],
            &[label],
        ];
        for labels in below {
            let question = question(asked, labels);
            say(&mut stream, &question);
            for answer in [ask(&socket, &question), hear(&mut stream)] {
                assert_eq!(answer[..2], asked.to_be_bytes());
                let expected = if labels.len() == 1 { 5 } else { 3 };
                assert_eq!(outcome(&answer), (expected, 0), "{:?}", shown(labels));
            }
            asked += 1;
        }
    }
    assert_eq!(asked, 200);
    assert_eq!(outcome(&ask(&socket, &laptop(9))), (0, 1));
    let counted = served.dns.counted();
    assert_eq!((counted.questions, counted.found, counted.not_found, counted.refused), (401, 1, 300, 100));
}

#[test]
fn long_names_and_long_chains_are_names_like_others() {
    let served = Served::new();
    let socket = served.udp();
    let longest = [b'x'; 63];
    let wide: [&[u8]; 5] = [&longest, &longest, &longest, b"home", b"internal"];
    assert_eq!(outcome(&ask(&socket, &question(1, &wide))), (3, 0));
    let mut chain: Vec<&[u8]> = vec![b"a"; 118];
    chain.extend([&b"home"[..], b"internal"]);
    assert_eq!(outcome(&ask(&socket, &question(2, &chain))), (3, 0));
    // One label more than a name has room for.
    let mut chain: Vec<&[u8]> = vec![b"a"; 128];
    assert_eq!(outcome(&ask(&socket, &question(3, &chain))), (1, 0));
    chain.truncate(126);
    assert_eq!(outcome(&ask(&socket, &question(4, &chain))), (5, 0));
}

#[test]
fn names_that_are_none_are_told_so() {
    let served = Served::new();
    let socket = served.udp();
    let too_long = [&[64][..], &[b'x'; 64], b"\0"].concat();
    let names: [&[u8]; 12] = [
        &too_long,
        b"\x80a\0",
        b"\xbf\0",
        b"\xc0",
        b"\xc0\x0c",
        b"\xc0\x0e\xc0\x0c",
        b"\x01a\xc0\x0c",
        b"\x01a\xc0\x0e",
        b"\xc0\0",
        b"\xff\xff",
        b"\x3fshort",
        b"\x06laptop\x04home\x08internal",
    ];
    for name in names {
        let header = &question(7, &[])[..12];
        let answer = ask(&socket, &[header, name, b"\0\x01\0\x01"].concat());
        assert_eq!((answer.len(), outcome(&answer)), (12, (1, 0)), "{name:?}");
    }
    assert_eq!(outcome(&ask(&socket, &laptop(8))), (0, 1));
}

/// Labels as people can read them.
fn shown(labels: &[&[u8]]) -> Vec<String> {
    labels.iter().map(|label| label.escape_ascii().to_string()).collect()
}
