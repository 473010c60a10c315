//! Two machines, one invite, one ping: what the README promises, as a person would do it.

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use netns_tests::{
    DEADLINE, Lab, Machine, Up, captured_udp, cpu_seconds, hashed_transfer, iperf_tcp, peer, ping, wait_until,
};
use serde_json::Value;

#[test]
fn two_machines_become_one_network() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let founder = a.up();
    // `up` of a new network prints an invite by itself, so that the next command is on the other machine.
    let invite = founder.invite.clone().expect("`up` of a new network prints an invite");
    let joiner = b.join(&invite);
    assert_eq!(founder.network, joiner.network);
    assert_ne!(founder.id, joiner.id);
    assert_eq!((founder.name.as_str(), joiner.name.as_str()), ("a", "b"));
    assert_eq!(joiner.interface, "hm-home");
    for (from, to) in [(&a, &joiner), (&b, &founder)] {
        for address in to.addresses() {
            from.must_ping(address);
        }
        let told = from.json(&["ping", &to.name, "-c", "3"]);
        assert_eq!(
            (&told["node"], &told["sent"], &told["received"]),
            (&to.name.as_str().into(), &3.into(), &3.into())
        );
        for reply in told["replies"].as_array().unwrap() {
            assert_eq!(reply["path"]["kind"], "direct", "{told}");
            assert!(reply["rtt_ms"].as_f64().unwrap() < 1000.0, "{told}");
        }
    }
    // A node is also found by its mesh addresses and by the beginning of its id.
    for way in [joiner.v4.to_string(), joiner.v6.to_string(), joiner.id[..12].to_owned()] {
        assert_eq!(a.json(&["ping", &way, "-c", "1"])["node"], "b", "{way}");
    }
    for machine in [&a, &b] {
        let said = machine.stop();
        assert!(!said.stderr.contains(&invite[8..]), "an invite is a secret, not for logs: {}", said.stderr);
        let links = machine.run(&["ip", "-o", "link", "show"]).ok();
        assert!(!links.contains("hm-home"), "{links}");
    }
}

#[test]
fn a_status_has_every_promised_field() {
    let lab = Lab::new();
    let (a, founder, b, joiner) = lab.pair();
    a.must_ping(joiner.v4.into());
    let status = b.status();
    assert!(status["version"].is_string());
    assert_eq!(status["network"]["name"], "home");
    assert_eq!(status["network"]["id"], founder.network);
    for prefix in ["ipv4_range", "ipv6_prefix"] {
        assert!(status["network"][prefix].as_str().unwrap().contains('/'), "{status}");
    }
    assert_eq!(status["node"]["name"], "b");
    assert_eq!(status["node"]["id"], joiner.id);
    assert_eq!(
        status["node"]["addresses"],
        serde_json::json!([joiner.v4.to_string(), joiner.v6.to_string()])
    );
    assert_eq!(status["node"]["roles"], serde_json::json!(["member"]));
    assert!(a.status()["node"]["roles"].as_array().unwrap().contains(&"admin".into()));
    assert_eq!(status["interface"]["name"], "hm-home");
    wait_until("the interface takes what status says", DEADLINE, || {
        let mtu = b.run(&["cat", "/sys/class/net/hm-home/mtu"]).ok();
        (b.status()["interface"]["mtu"].as_u64() == mtu.trim().parse().ok()).then_some(())
    });
    let listen = status["listen"].as_array().unwrap();
    assert_eq!(listen, &[format!("0.0.0.0:{}", joiner.port), format!("[::]:{}", joiner.port)]);
    assert!(status["uptime_s"].is_u64(), "{status}");
    assert!(status["drops"].is_object(), "{status}");
    assert_eq!(status["problems"], serde_json::json!([]), "a healthy node has no problems");
    peer_has_every_field(&status, &founder, &a);
    assert_eq!(b.json(&["peers"])["peers"].as_array().unwrap().len(), 1);
    let peers = b.json(&["peers"]);
    assert_eq!(peers["peers"][0]["id"], founder.id);
}

fn peer_has_every_field(status: &Value, founder: &Up, a: &Machine) {
    let found = peer(status, "a");
    assert_eq!(found["id"], founder.id);
    assert_eq!(found["addresses"], serde_json::json!([founder.v4.to_string(), founder.v6.to_string()]));
    assert_eq!(found["state"], "connected");
    assert_eq!(found["path"]["kind"], "direct");
    let remote: std::net::SocketAddr =
        found["path"]["remote"].as_str().expect("a path").parse().expect("IP:PORT");
    assert!(a.underlay().contains(&remote.ip()), "{remote} is not an address of a");
    assert_eq!(remote.port(), founder.port);
    assert!(found["path"]["rtt_ms"].as_f64().is_none_or(|rtt| rtt < 1000.0), "{found}");
    // Three pings of 84 bytes at least came in and were answered.
    assert!(found["rx_bytes"].as_u64().expect("a number") >= 84, "{found}");
    assert!(found["tx_bytes"].as_u64().expect("a number") >= 84, "{found}");
    assert!(found["last_handshake_s"].as_f64().expect("a handshake was") < 60.0, "{found}");
}

#[test]
fn people_read_the_same_without_json() {
    let lab = Lab::new();
    let (a, founder, _b, joiner) = lab.pair();
    a.must_ping(joiner.v4.into());
    let binary = netns_tests::hopmesh().display().to_string();
    let state = a.state_dir().display().to_string();
    let said = |args: &[&str]| a.run(&[&[binary.as_str(), "--state-dir", &state], args].concat()).ok();
    let status = said(&["status"]);
    for word in ["home", "a", &founder.v4.to_string(), &founder.v6.to_string(), "hm-home", "b", "direct"] {
        assert!(status.contains(word), "no {word} in\n{status}");
    }
    assert!(said(&["peers"]).contains(&joiner.v4.to_string()));
    assert!(said(&["ping", "b", "-c", "1"]).contains("direct"));
    assert!(said(&["version"]).contains("0.1.0"));
}

#[test]
fn a_gigabyte_crosses_the_mesh() {
    let lab = Lab::new();
    let (a, _founder, b, joiner) = lab.pair();
    let told = iperf_tcp(&a, &b, joiner.v4.into(), &["-n", "1G"]);
    let sum = |end: &str| told["end"][end]["bytes"].as_u64().unwrap();
    // iperf3 counts at the receiver until the sender says it is done, when some bytes are still on their way.
    assert!(sum("sum_sent") >= 1 << 30 && sum("sum_received") >= 1_000_000_000, "{}", told["end"]);
    let counted = peer(&b.status(), "a")["rx_bytes"].as_u64().unwrap();
    assert!(counted >= 1_000_000_000, "status counts {counted} bytes");
}

#[test]
fn what_arrives_is_what_was_sent() {
    let lab = Lab::new();
    let (a, founder, b, joiner) = lab.pair();
    hashed_transfer(&a, &b, joiner.v4.into(), 120_000_000);
    hashed_transfer(&b, &a, founder.v6.into(), 80_000_000);
}

#[test]
fn a_path_narrower_than_the_mesh_stalls_nobody() {
    let lab = Lab::new();
    let (a, founder, b, joiner) = lab.pair();
    for machine in [&a, &b] {
        machine.ip("link set eth0 mtu 1280");
    }
    hashed_transfer(&a, &b, joiner.v4.into(), 5_000_000);
    hashed_transfer(&b, &a, founder.v6.into(), 5_000_000);
}

/// How often each worker of a daemon has run, by its name.
fn runs_of_workers(daemon: u32) -> Vec<(String, u64)> {
    let threads = std::fs::read_dir(format!("/proc/{daemon}/task")).expect("it runs");
    let runs = threads.flatten().map(|thread| {
        let read = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let runs = read("schedstat").split_whitespace().last().and_then(|count| count.parse().ok());
        (read("comm").trim().to_owned(), runs.unwrap_or(0))
    });
    let mut workers: Vec<_> = runs.filter(|(name, _)| name.starts_with("worker-")).collect();
    workers.sort();
    workers
}

#[test]
fn several_workers_share_the_flows_and_lose_nothing() {
    let lab = Lab::new();
    let [a, b] = ["a", "b"].map(|name| lab.machine(name));
    [&a, &b].into_iter().for_each(|machine| machine.configure("[interface]\nworkers = 3\n"));
    let founder = a.up();
    let joiner = b.join(&a.invite(&[]));
    a.must_ping(joiner.v4.into());
    let before = runs_of_workers(a.pid());
    assert_eq!(
        before.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["worker-0", "worker-1", "worker-2"]
    );
    let inbox = b.enter(|| UdpSocket::bind((joiner.v4, 0)).unwrap());
    inbox.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let address = inbox.local_addr().unwrap();
    for flow in 0..64u8 {
        let outbox = a.enter(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        outbox.send_to(&[flow], address).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(inbox.recv(&mut buffer).expect("it comes"), 1);
        assert_eq!(buffer[0], flow);
    }
    for ((name, runs), (_, before)) in runs_of_workers(a.pid()).iter().zip(&before) {
        assert!(*runs > before + 5, "{name} has read no flow of 64: {before} to {runs}");
    }
    hashed_transfer(&a, &b, joiner.v4.into(), 60_000_000);
    hashed_transfer(&b, &a, founder.v6.into(), 60_000_000);
    // Stopped, all end, and with them the interface.
    assert_eq!(a.stop().code, Some(0));
    assert_ne!(a.run(&["ip", "link", "show", "hm-home"]).code, Some(0));
}

#[test]
fn packets_of_every_size_pass() {
    let lab = Lab::new();
    let (a, _founder, b, joiner) = lab.pair();
    let mtu = usize::try_from(b.status()["interface"]["mtu"].as_u64().unwrap()).unwrap();
    for (target, overhead) in [(IpAddr::from(joiner.v4), 28), (IpAddr::from(joiner.v6), 48)] {
        let inbox = b.enter(|| UdpSocket::bind((target, 0)).unwrap());
        inbox.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let address = inbox.local_addr().unwrap();
        let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let outbox = a.enter(|| UdpSocket::bind(any).unwrap());
        // Beyond the MTU the kernel fragments, and both fragments must get through.
        let sizes = [0, 1, 2, 17, mtu / 2, mtu - overhead - 1, mtu - overhead, mtu, 3000, 20_000, 65_000];
        let mut buffer = vec![0; 65_536];
        for size in sizes {
            let sent: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            outbox.send_to(&sent, address).unwrap();
            let received =
                inbox.recv(&mut buffer).unwrap_or_else(|error| panic!("{size} to {target}: {error}"));
            assert!(buffer[..received] == sent, "{size} bytes to {target} came as {received} others");
        }
    }
}

#[test]
fn nobody_on_the_wire_reads_along() {
    const MARK: &[u8] = b"the cat sat on the mat and nobody but us may know";
    let lab = Lab::new();
    let (a, founder, b, joiner) = lab.pair();
    a.must_ping(joiner.v4.into());
    let capture = b.capture("ip or ip6");
    for target in joiner.addresses() {
        let inbox = b.enter(|| UdpSocket::bind((target, 0)).unwrap());
        inbox.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let address = inbox.local_addr().unwrap();
        let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        a.enter(|| UdpSocket::bind(any).unwrap().send_to(&MARK.repeat(20), address).unwrap());
        let mut buffer = [0; 2048];
        assert_eq!(inbox.recv(&mut buffer).unwrap(), MARK.len() * 20);
    }
    let seen = capture.stop();
    let holds = |wire: &[u8], what: &[u8]| wire.windows(what.len()).any(|window| window == what);
    let carried = captured_udp(&seen);
    assert!(
        carried.iter().any(|datagram| datagram.len() > MARK.len() * 20),
        "the capture missed the datagrams"
    );
    assert!(!holds(&seen, MARK), "plain text on the wire");
    for secret in founder.addresses() {
        let inside = match secret {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        assert!(!carried.iter().any(|datagram| holds(datagram, &inside)), "{secret} on the wire");
    }
    // The same search finds the same bytes when they do cross the wire.
    let control = b.capture("udp port 9");
    let bare = (b.underlay()[0], 9);
    let inbox = b.enter(|| UdpSocket::bind(bare).unwrap());
    a.enter(|| UdpSocket::bind("0.0.0.0:0").unwrap().send_to(MARK, bare).unwrap());
    inbox.recv(&mut [0; 2048]).unwrap();
    assert!(holds(&control.stop(), MARK));
}

#[test]
fn a_machine_that_leaves_is_gone() {
    let lab = Lab::new();
    let (a, founder, b, joiner) = lab.pair();
    a.must_ping(joiner.v4.into());
    let said = b.json(&["leave"]);
    assert_eq!(said["ok"], true);
    assert_eq!(b.ended(Duration::from_secs(10)).code, Some(0));
    assert_eq!(ping(&b, founder.v4.into(), 1).received, 0);
    wait_until("a sees that b is away", Duration::from_secs(30), || {
        let status = a.status();
        let peers = status["peers"].as_array().unwrap();
        let gone = |peer: &&Value| peer["name"] == "b" && peer["state"] == "connected";
        (!peers.iter().any(|peer| gone(&peer))).then_some(())
    });
    // With its membership it gave up what it knew of the network; a new invite makes it a new node.
    let again = b.join(&a.invite(&["--node-name", "b2"]).clone());
    assert_ne!(again.id, joiner.id);
    a.must_ping(again.v4.into());
}

#[test]
fn a_machine_is_in_two_networks_at_once() {
    let lab = Lab::new();
    let (a, _founder, b, joiner) = lab.pair();
    let second = |machine: &Machine, args: &[&str]| {
        let run =
            machine.launch_at(&machine.folder().join("office"), &[&["--network", "office"], args].concat());
        let up = run.wait_stdout(DEADLINE, |text| text.lines().find_map(Up::parse));
        (up.unwrap_or_else(|| panic!("{}", run.stderr())), run)
    };
    let (office_a, _a) = second(&a, &["up"]);
    let invite = office_a.invite.clone().expect("a new network");
    let (office_b, _b) = second(&b, &["join", &invite]);
    assert_eq!((office_a.interface.as_str(), office_b.interface.as_str()), ("hm-office", "hm-office"));
    a.must_ping(office_b.v4.into());
    a.must_ping(office_b.v6.into());
    a.must_ping(joiner.v4.into());
}

#[test]
fn default_paths_are_those_of_the_manual() {
    let lab = Lab::new();
    let a = lab.machine("a");
    // Over the folders of the real machine lie empty ones, which go away with the shell.
    let script = "mount -t tmpfs none /var/lib && mount -t tmpfs none /run || exit 9
        $1 --json up > /run/said & pid=$!
        until grep -q addresses /run/said; do kill -0 $pid || exit 8; sleep 0.05; done
        $1 status && test -S /run/hopmesh/home.sock && test -d /var/lib/hopmesh/home && $1 down && wait $pid";
    let binary = netns_tests::hopmesh().display().to_string();
    let done = a.run(&["timeout", "30", "unshare", "-m", "sh", "-c", script, "sh", &binary]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[test]
fn an_idle_node_sleeps() {
    let lab = Lab::new();
    let (a, _founder, b, joiner) = lab.pair();
    a.must_ping(joiner.v4.into());
    let used = || [a.pid(), b.pid()].map(cpu_seconds).iter().sum::<f64>();
    let before = used();
    let start = Instant::now();
    wait_until("some seconds are over", Duration::from_secs(10), || {
        (start.elapsed() > Duration::from_secs(4)).then_some(())
    });
    let used = used() - before;
    // They need a quarter of that, and what runs beside them costs them something; who never sleeps needs ten times as much.
    assert!(used < 0.4, "two idle nodes used {used} s of CPU in 4 s");
}

#[test]
fn nobody_has_to_listen_to_a_node() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    // The reader of its output goes away after the first line, as `hopmesh up | head -1` does.
    let script = "$1 --state-dir $2 --json up --node-name a 2>&1 | head -n 1";
    let (binary, state) = (netns_tests::hopmesh().display().to_string(), a.state_dir().display().to_string());
    let _running = a.start(&["sh", "-c", script, "sh", &binary, &state]);
    wait_until("a is up", DEADLINE, || (a.hopmesh(&["status"]).code == Some(0)).then_some(()));
    let joined = b.join(&a.invite(&[]));
    a.must_ping(joined.v4.into());
    b.kill();
    b.up();
    a.must_ping(joined.v4.into());
    assert_eq!(a.json(&["down"])["ok"], true);
}

#[test]
fn down_stops_a_node_and_up_brings_it_back() {
    let lab = Lab::new();
    let (a, _founder, b, joiner) = lab.pair();
    assert_eq!(b.json(&["down"])["ok"], true);
    assert_eq!(b.ended(Duration::from_secs(10)).code, Some(0));
    let again = b.up();
    assert_eq!((again.id, again.v4, again.v6), (joiner.id, joiner.v4, joiner.v6));
    assert_eq!(again.invite, None, "only a new network comes with an invite");
    a.must_ping(again.v4.into());
}
