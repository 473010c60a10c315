//! The lab itself, without Hopmesh: what the other tests take for granted.

use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use netns_tests::{Lab, Underlay, captured_udp, hashed_transfer, iperf_tcp, ping};

#[test]
fn machines_reach_each_other_also_after_roaming() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let before = b.underlay();
    for &to in &before {
        a.must_ping(to);
    }
    b.roam();
    for to in b.underlay() {
        a.must_ping(to);
    }
    for to in before {
        assert_eq!(ping(&a, to, 1).received, 0, "{to} was given up");
    }
    hashed_transfer(&a, &b, b.underlay6().unwrap().into(), 1_000_000);
    let told = iperf_tcp(&a, &b, b.underlay4().unwrap().into(), &["-n", "1M"]);
    assert!(told["end"]["sum_received"]["bytes"].as_u64().unwrap() > 0, "{told}");
}

#[test]
fn a_machine_of_one_family_has_no_other() {
    let lab = Lab::new();
    let (a, b) = (lab.machine_on("a", Underlay::V4), lab.machine_on("b", Underlay::V6));
    assert_eq!((a.underlay6(), b.underlay4()), (None, None));
    let routes = b.run(&["ip", "-4", "route", "show", "dev", "eth0"]).ok();
    assert_eq!(routes, "");
}

#[test]
fn a_capture_sees_datagrams() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let inbox = b.enter(|| UdpSocket::bind("[::]:7").unwrap());
    let capture = a.capture("udp port 7");
    for to in b.underlay() {
        a.enter(|| {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            UdpSocket::bind(any).unwrap().send_to(b"seen", (to, 7)).unwrap()
        });
        let mut buffer = [0; 8];
        assert_eq!(inbox.recv(&mut buffer).unwrap(), 4);
    }
    assert_eq!(captured_udp(&capture.stop()), [b"seen", b"seen"]);
}

#[test]
fn nothing_is_left_even_after_a_panic() {
    let (mut namespace, mut folder, mut pid) = (String::new(), String::new(), 0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let lab = Lab::new();
        let a = lab.machine("a");
        let sleeper = a.start(&["sleep", "1000"]);
        namespace = a.namespace().to_owned();
        folder = a.folder().display().to_string();
        pid = sleeper.pid();
        assert!(Path::new("/run/netns").join(&namespace).exists());
        panic!("on purpose");
    }));
    assert!(result.is_err());
    assert!(!Path::new("/run/netns").join(&namespace).exists(), "{namespace} is left");
    assert!(!Path::new(&folder).exists(), "{folder} is left");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is left");
}
