//! What `dig` makes of the answers.

use super::{Served, world};

#[test]
fn names_are_found_over_udp_and_tcp_with_and_without_edns() {
    let served = Served::new();
    for how in ["+notcp", "+tcp", "+noedns", "+tcp +noedns", "+bufsize=512", "+bufsize=4096"] {
        let found = |what: &str| served.found(&format!("{how} {what}"));
        assert_eq!(found("laptop.home.internal A"), ["10.77.0.1"], "{how}");
        assert_eq!(found("web.home.internal AAAA"), ["fd77::1", "fd77::2"], "{how}");
        let services = ["0 0 80 laptop.home.internal.", "1 0 8080 server.home.internal."];
        assert_eq!(found("_web._tcp.home.internal SRV"), services, "{how}");
        assert_eq!(found("v1-4.web.home.internal TXT"), ["\"version=1.4\" \"type=http\""], "{how}");
        assert_eq!(found("-x 10.77.0.3"), ["nas.home.internal."], "{how}");
        assert_eq!(found("-x fd77::2"), ["server.home.internal."], "{how}");
        let soa = "laptop.home.internal. hostmaster.home.internal. 7 86400 7200 3600000 1";
        assert_eq!(found("home.internal SOA"), [soa], "{how}");
    }
}

#[test]
fn negative_answers_say_how_long_they_may_be_kept() {
    let served = Served::new();
    for (asked, status) in [
        ("nobody.home.internal A", "NXDOMAIN"),
        ("laptop.home.internal TXT", "NOERROR"),
        ("idle.home.internal A", "NOERROR"),
        ("_tcp.home.internal A", "NOERROR"),
        ("-x 10.77.0.99", "NXDOMAIN"),
    ] {
        let printed = served.dig(asked);
        assert!(printed.contains(&format!("status: {status}")), "{printed}");
        assert!(printed.contains("ANSWER: 0, AUTHORITY: 1"), "{printed}");
        assert!(printed.contains("\t1\tIN\tSOA\t"), "{printed}");
        assert!(printed.contains("flags: qr aa rd;"), "{printed}");
    }
}

#[test]
fn what_is_not_ours_is_refused() {
    let served = Served::new();
    for asked in [
        "example.com A",
        "work.internal A",
        ". NS",
        "-x 192.0.2.1",
        "laptop.home.internal CH A",
        "version.bind CH TXT",
    ] {
        let printed = served.dig(asked);
        assert!(printed.contains("status: REFUSED"), "{printed}");
        assert!(printed.contains("ANSWER: 0, AUTHORITY: 0"), "{printed}");
    }
    assert!(served.dig("home.internal AXFR").contains("Transfer failed."));
    let counted = served.dns.counted();
    assert_eq!((counted.questions, counted.refused), (7, 7));
}

#[test]
fn odd_questions_are_understood() {
    let served = Served::new();
    assert!(served.dig("+opcode=NOTIFY laptop.home.internal A").contains("status: NOTIMP"));
    assert!(served.dig("+opcode=UPDATE home.internal SOA").contains("status: NOTIMP"));
    assert!(served.dig("+noednsneg +edns=1 laptop.home.internal A").contains("status: BADVERS"));
    assert_eq!(served.found("+notcp web.home.internal ANY"), ["\"RFC8482\" \"\""]);
    assert_eq!(
        served.found("+ednsopt=65001:c0ffee +subnet=192.0.2.0/24 laptop.home.internal A"),
        ["10.77.0.1"]
    );
    assert_eq!(served.found("+dnssec +cookie laptop.home.internal A"), ["10.77.0.1"]);
}

#[test]
fn the_case_of_the_question_is_kept() {
    let served = Served::new();
    let printed = served.dig("+noall +question +answer LaPtOp.HoMe.InTeRnAl A");
    assert_eq!(printed.matches("LaPtOp.HoMe.InTeRnAl.").count(), 2, "{printed}");
}

#[test]
fn an_answer_that_does_not_fit_is_cut_and_whole_over_tcp() {
    let served = Served::new();
    let mut zone = world::home();
    world::add_service(&mut zone, "many", (0..25).map(|port| world::instance("server", 1000 + port)));
    served.zone.store(zone.into());
    for how in ["+noedns", "+bufsize=512", "+bufsize=1232"] {
        let printed = served.dig(&format!("{how} +ignore many.home.internal SRV"));
        let is_cut = how != "+bufsize=1232";
        assert_eq!(printed.contains("flags: qr aa tc rd;"), is_cut, "{printed}");
        let size = printed.split("MSG SIZE  rcvd: ").nth(1).unwrap().trim().parse::<usize>().unwrap();
        assert!(size <= if is_cut { 512 } else { 1232 }, "{size}");
        // Without `+ignore`, dig goes on over TCP.
        assert_eq!(served.found(&format!("{how} many.home.internal SRV")).len(), 25);
    }
    assert!(served.dns.counted().truncated >= 4);
}

#[test]
fn a_zone_that_changes_is_answered_from_at_once() {
    let served = Served::new();
    assert!(served.found("new.home.internal A").is_empty());
    let mut zone = world::home();
    zone.serial = 8;
    world::add_node(&mut zone, "new", 99);
    served.zone.store(zone.into());
    assert_eq!(served.found("new.home.internal A"), ["10.77.0.99"]);
    assert!(served.found("home.internal SOA")[0].contains(" 8 "));
}
