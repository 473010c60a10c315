//! A printer that runs nothing of ours behind a name: a node beside it passes on what comes by the mesh, and nothing else.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use netns_tests::{DEADLINE, Lab, Machine, Underlay, Up, wait_until};
use serde_json::Value;

/// Where the printer listens, which is not where others find it.
const PRINTS: u16 = 9100;
/// Where others find it.
const PORT: u16 = 631;
/// Where others find what it says of itself.
const SNMP: u16 = 161;
/// And where it takes these datagrams.
const AGENT: u16 = 1161;

/// A printer with IPv4 alone: it takes a page to its end before it says a word, and gives datagrams back.
fn printer(lab: &Lab) -> (Machine, Ipv4Addr) {
    let printer = lab.machine_on("printer", Underlay::V4);
    let own = printer.underlay4().expect("it has IPv4");
    let (pages, agent) = printer.enter(|| {
        let pages = TcpListener::bind((own, PRINTS)).expect("the port is free");
        (pages, UdpSocket::bind((own, AGENT)).expect("the port is free"))
    });
    std::thread::spawn(move || {
        for page in pages.incoming().flatten() {
            std::thread::spawn(move || print(page));
        }
    });
    std::thread::spawn(move || {
        let mut datagram = [0; 2048];
        while let Ok((length, from)) = agent.recv_from(&mut datagram) {
            let _lost = agent.send_to(&datagram[..length], from);
        }
    });
    (printer, own)
}

fn print(mut stream: TcpStream) -> io::Result<()> {
    let mut page = Vec::new();
    stream.read_to_end(&mut page)?;
    stream.write_all(&[b"printed ", &page[..]].concat())
}

fn connect(from: &Machine, to: SocketAddr) -> io::Result<TcpStream> {
    let stream = from.enter(|| TcpStream::connect_timeout(&to, DEADLINE))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Has a page printed: everything is sent, and its end, before the answer comes.
fn prints(from: &Machine, to: SocketAddr) -> io::Result<String> {
    let mut stream = connect(from, to)?;
    stream.write_all(b"a page")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Sends a datagram, and gives what comes back, or that nobody is there.
fn echo(from: &Machine, to: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr = if to.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let socket = from.enter(|| UdpSocket::bind((any, 0)))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.send(b"toner?")?;
    let mut datagram = vec![0; 64];
    let length = socket.recv(&mut datagram)?;
    datagram.truncate(length);
    Ok(datagram)
}

fn at(up: &Up, port: u16) -> [SocketAddr; 2] {
    up.addresses().map(|address| SocketAddr::new(address, port))
}

fn resolved(machine: &Machine, name: &str) -> Option<Value> {
    let done = machine.hopmesh(&["resolve", name]);
    (done.code == Some(0)).then(|| serde_json::from_str(&done.stdout).expect("JSON"))
}

/// What `dig` finds at the machine's own server.
fn dig(machine: &Machine, server: Ipv4Addr, name: &str, kind: &str) -> Vec<IpAddr> {
    let at = format!("@{server}");
    let done = machine.run(&["dig", "+short", "+time=1", "+tries=1", &at, name, kind]);
    done.stdout.lines().filter_map(|line| line.parse().ok()).collect()
}

/// A machine of the office can send to the node's mesh addresses, as whoever knows them can, and nothing that is passed on
/// takes what it sends.
fn nothing_is_open_to_the_office(office: &Machine, a: &Machine, up: &Up) {
    let (v4, v6) = (a.underlay4().expect("it has both"), a.underlay6().expect("it has both"));
    office.ip(&format!("route add {} via {v4}\nroute add {} via {v6}", up.v4, up.v6));
    for address in up.addresses() {
        // A program that listens at the mesh address alone is reached from there, which is how Linux is.
        let plain = a.enter(|| TcpListener::bind((address, 0)).expect("an own address"));
        let open = plain.local_addr().expect("bound");
        connect(office, open).expect("the way is there");
        let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
        assert!(connect(office, (address, PORT).into()).is_err_and(refused), "{address}");
        assert!(echo(office, (address, SNMP).into()).is_err_and(refused), "{address}");
    }
}

#[test]
fn a_printer_that_runs_nothing_has_a_name_for_members_alone() {
    let lab = Lab::new();
    let (printer, own) = printer(&lab);
    let (a, up, b, joined) = lab.pair();
    let to = format!("{own}:{PRINTS}");
    let port = PORT.to_string();
    let publish = ["publish", "printer", "--port", &port, "--to"];
    let said = a.json(&[&publish[..], &[&to]].concat());
    assert_eq!(said["to"], to.as_str());
    let lost = format!("{own}:9");
    let _ = a.json(&["publish", "scanner", "--port", "6566", "--to", &lost]);
    let refused = |arguments: &[&str], words: &str| {
        let done = a.hopmesh(arguments);
        assert!(done.code != Some(0) && done.stderr.contains(words), "{done:?}");
    };
    refused(&[&publish[..], &[&format!("{}:80", joined.v4)]].concat(), "is a machine of the network");
    refused(&[&publish[..], &["224.0.0.251:5353"]].concat(), "is no machine's address");
    refused(&["publish", "other", "--port", &port, "--to", &to], &format!("ss -lnp sport = :{PORT}"));

    let found = wait_until("the printer is found", DEADLINE, || resolved(&b, "printer"));
    assert_eq!(found["instances"][0]["port"], PORT);
    let name = "printer.home.internal";
    let mut addresses = dig(&b, joined.v4, name, "A");
    addresses.extend(dig(&b, joined.v4, name, "AAAA"));
    assert_eq!(addresses, up.addresses());
    for from in [&b, &a] {
        for place in at(&up, PORT) {
            assert_eq!(prints(from, place).expect("it prints"), "printed a page", "{place}");
        }
    }
    assert!(resolved(&b, "scanner").is_none(), "what was never seen well is nowhere");
    let error = prints(&b, at(&up, 6566)[0]).expect_err("nobody listens there");
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");

    let instance = |of: &Machine| of.json(&["services"])["services"][0]["instances"][0].clone();
    assert_eq!(instance(&a)["to"], to.as_str());
    assert_eq!((&instance(&b)["node"], &instance(&b)["to"]), (&"a".into(), &Value::Null));
    assert_eq!(a.status()["fronts"][0]["passed"], 4);
    assert!(a.status()["fronts"][1]["unreached"].as_u64() > Some(0));

    // What was published is there again, with what the configuration declares; and at another address.
    a.stop();
    a.configure(&format!(
        "[[service]]\nname = 'snmp'\nport = {SNMP}\nprotocol = 'udp'\nto = '{own}:{AGENT}'\n"
    ));
    let up = a.up();
    b.must_ping(up.v4.into());
    for place in at(&up, SNMP) {
        assert_eq!(echo(&b, place).expect("it answers"), b"toner?", "{place}");
    }
    nothing_is_open_to_the_office(&lab.machine("office"), &a, &up);
    let [x, y, z, _] = up.v4.octets();
    let moved = Up { v4: Ipv4Addr::new(x, y, z, 201), ..up };
    let _ = a.json(&["assign", "a", &moved.v4.to_string()]);
    wait_until("it prints at its new address", DEADLINE, || prints(&b, at(&moved, PORT)[0]).ok());

    let mut open = connect(&b, at(&moved, PORT)[1]).expect("it is still there");
    open.set_read_timeout(Some(Duration::from_millis(10))).expect("not zero");
    assert_eq!(open.read(&mut [0]).expect_err("no page, no word").kind(), ErrorKind::WouldBlock);
    open.set_read_timeout(Some(DEADLINE)).expect("not zero");
    let _ = a.json(&["unpublish", "printer"]);
    assert_eq!(open.read(&mut [0]).expect_err("it is cut off").kind(), ErrorKind::ConnectionReset);
    for place in at(&moved, PORT) {
        let error = connect(&b, place).expect_err("nobody listens any more");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{place}");
    }
    drop(printer);
}
