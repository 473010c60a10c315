//! The server as such: connections, addresses that change, ports that are taken, and the end.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};

use super::{Served, ask, hear, laptop, outcome, say};

#[test]
fn a_connection_carries_many_questions() {
    let served = Served::new();
    let mut stream = served.tcp();
    for id in 0..50 {
        say(&mut stream, &laptop(id));
    }
    for id in 0..50 {
        let answer = hear(&mut stream);
        assert_eq!((u16::from_be_bytes([answer[0], answer[1]]), outcome(&answer)), (id, (0, 1)));
    }
}

#[test]
fn a_connection_that_is_silent_or_makes_no_sense_is_closed() {
    let served = Served::new();
    let mut silent = served.tcp();
    for nonsense in [&b"\0\x03abc"[..], b"\xff\xff", b"\0\0"] {
        let mut stream = served.tcp();
        std::io::Write::write_all(&mut stream, nonsense).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "{nonsense:?}");
    }
    // Ten seconds.
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn one_source_has_so_many_connections_and_no_more() {
    let served = Served::new();
    let mut held: Vec<_> = (0..8).map(|_| served.tcp()).collect();
    for stream in &mut held {
        say(stream, &laptop(1));
        assert_eq!(outcome(&hear(stream)), (0, 1));
    }
    assert_eq!(served.tcp().read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(served.dns.counted().connections_refused, 1);
    // UDP is none the worse, and one that ends makes room.
    assert_eq!(outcome(&ask(&served.udp(), &laptop(2))), (0, 1));
    held.pop();
    let answered = std::iter::repeat_with(|| {
        let mut stream = served.tcp();
        let length = u16::try_from(laptop(3).len()).unwrap().to_be_bytes();
        let question = [&length[..], &laptop(3)].concat();
        // Until the server has seen the other one's end, it closes this one.
        std::io::Write::write_all(&mut stream, &question).is_ok() && stream.read_exact(&mut [0; 2]).is_ok()
    });
    assert!(answered.into_iter().take(10_000).any(|answered| answered));
}

#[test]
fn a_port_that_is_taken_is_a_problem_and_not_the_end() {
    let mut served = Served::new();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    served.dns.rebind([served.address, taken]);
    assert_eq!(served.dns.addresses(), [served.address]);
    let [problem] = served.dns.problems() else { panic!("one problem") };
    assert!(problem.to_string().contains(&format!(
        "another program has the port. See who with `ss -lnp sport = :{}`",
        taken.port()
    )));
    assert_eq!(outcome(&ask(&served.udp(), &laptop(1))), (0, 1));
    drop(other);
    served.dns.rebind([served.address, taken]);
    assert!(served.dns.problems().is_empty());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(taken).unwrap();
    assert_eq!(outcome(&ask(&client, &laptop(1))), (0, 1));
}

#[test]
fn addresses_change_without_interrupting_those_that_stay() {
    let mut served = Served::new();
    let mut stream = served.tcp();
    let first = served.address;
    served.dns.rebind([first, "[::1]:0".parse().unwrap()]);
    let second = served.dns.addresses().into_iter().find(|address| *address != first).unwrap();
    let client = UdpSocket::bind("[::1]:0").unwrap();
    client.connect(second).unwrap();
    assert_eq!(outcome(&ask(&client, &laptop(1))), (0, 1));
    say(&mut stream, &laptop(2));
    assert_eq!(outcome(&hear(&mut stream)), (0, 1));
    served.dns.rebind([second]);
    // The connection at the address that went is closed, and the port is free, which nobody tells us.
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    assert!(std::iter::repeat_with(|| UdpSocket::bind(first)).take(10_000).any(|bound| bound.is_ok()));
    assert_eq!(outcome(&ask(&client, &laptop(3))), (0, 1));
    assert_eq!(served.dns.addresses(), [second]);
}

#[test]
fn the_end_frees_the_port() {
    let served = Served::new();
    let address = served.address;
    served.dns.shutdown();
    UdpSocket::bind(address).unwrap();
    TcpListener::bind(address).unwrap();
}
