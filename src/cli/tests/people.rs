//! What people read.

use super::super::Global;
use super::super::context::Context;
use super::super::lifecycle::{announce, show};
use super::super::observe::status_lines;
use super::golden::{pong, ready};
use super::{FakeDaemon, hopmesh, status};
use crate::control::{Command, Refusal, RefusalKind, Reply};
use crate::daemon::{Progress, Ready};

#[test]
fn status_says_first_what_is_wrong() {
    let daemon = FakeDaemon::new(|_| Ok(Reply::Status(Box::new(status()))));
    let done = daemon.run(&["status"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let golden = "\
! UDP is blocked: open port 41641

network    home  10.7.0.0/16  fd12::/48  id 0011223344  epoch 3
node       a  admin  id a0a1a2a3a4
addresses  10.7.0.1  fd12::1
interface  hm-home  MTU 1420
listening  0.0.0.0:41641  [::]:41641
names      names under home.internal are resolved by systemd-resolved
exit       all traffic leaves by b (reached), local networks besides
records    812  1/4 of all services
up         2 h 5 min  version 0.1.0
passed on  printer 2 to 192.168.1.9:80, printer 2 to 192.168.1.9:80, 2 more; 12 connections, 28 refused
peers      1 connected, 1 offline, 1 revoked
drops      30 no route, 2 replay

NAME  ADDRESS   STATE      PATH                      RTT     LOSS
b     10.7.0.2  connected  direct 203.0.113.5:41641  0.8 ms  1.5 %
c     10.7.0.3  offline    none                      -       -
d     10.7.0.4  revoked    none                      -       -
";
    assert_eq!(done.out, golden);
}

/// A network of eight others with IPv6 paths and names of a dozen letters, of which one is off.
fn ordinary() -> api::StatusReply {
    let mut reply = status();
    reply.problems.clear();
    reply.held = None;
    reply.exit = None;
    reply.fronts.clear();
    reply.network.as_mut().unwrap().ipv6_prefix = "fd12:3456:789a::/48".to_owned();
    reply.node.as_mut().unwrap().addresses[1] = "fd12:3456:789a:7c3f:19b2:ee01:a2b3:4c5d".to_owned();
    let connected = reply.peers[1].clone();
    reply.peers = (2..10)
        .map(|n| api::Peer {
            name: format!("living-room-{n}"),
            addresses: vec![format!("10.107.134.{}", 100 + n)],
            path: Some(api::Path {
                remote: Some(format!("[2001:db8:8a2e:370:7334:1:2:{n}]:41641")),
                ..connected.path.clone().unwrap()
            }),
            ..connected.clone()
        })
        .collect();
    reply.peers[7].set_state(api::PeerState::Offline);
    reply.peers[7].path = None;
    reply
}

#[test]
fn an_ordinary_network_is_seen_whole_on_one_screen() {
    let golden = "\
network    home  10.7.0.0/16  fd12:3456:789a::/48  id 0011223344  epoch 3
node       a  admin  id a0a1a2a3a4
addresses  10.7.0.1  fd12:3456:789a:7c3f:19b2:ee01:a2b3:4c5d
interface  hm-home  MTU 1420
listening  0.0.0.0:41641  [::]:41641
names      names under home.internal are resolved by systemd-resolved
up         2 h 5 min  version 0.1.0
peers      7 connected, 1 offline
drops      30 no route, 2 replay

NAME           ADDRESS         STATE      PATH                     RTT     LOSS
living-room-2  10.107.134.102  connected  direct [2001:db8:8a2e:…  0.8 ms  1.5 %
living-room-3  10.107.134.103  connected  direct [2001:db8:8a2e:…  0.8 ms  1.5 %
living-room-4  10.107.134.104  connected  direct [2001:db8:8a2e:…  0.8 ms  1.5 %
living-room-5  10.107.134.105  connected  direct [2001:db8:8a2e:…  0.8 ms  1.5 %
living-room-6  10.107.134.106  connected  direct [2001:db8:8a2e:…  0.8 ms  1.5 %
living-room-7  10.107.134.107  connected  direct [2001:db8:8a2e:…  0.8 ms  1.5 %
living-room-8  10.107.134.108  connected  direct [2001:db8:8a2e:…  0.8 ms  1.5 %
living-room-9  10.107.134.109  offline    none                     -       -
";
    assert_eq!(status_lines(&ordinary(), "hopmesh").join("\n") + "\n", golden);
}

#[test]
fn what_is_wrong_stands_first_and_each_says_what_to_do() {
    let mut reply = ordinary();
    reply.problems = [
        "No peer answers: see whether this machine is on a network that lets UDP out; `hopmesh netcheck` and `hopmesh why NODE` say more. After more than 400 days away, or 16 revocations, only `hopmesh leave` and a new invite help.",
        "State cannot be written: no space is left to write /var/lib/hopmesh/home/records.state: free some; the state before is kept. It is tried again every few seconds; until then a restart forgets what is new.",
        "The configuration has another listen.port: it counts when the node is started again.",
        "The host does not ask us for names: the system bus (unix:path=/run/dbus/system_bus_socket) does not answer: no such file; start dbus.",
        "This machine has IPv6 switched off: the mesh is reached by IPv4 only. To have both, `sysctl net.ipv6.conf.all.disable_ipv6=0` and start the node again.",
    ]
    .map(str::to_owned)
    .into();
    let golden = "\
! No peer answers: see whether this machine is on a network that lets UDP out;
  `hopmesh netcheck` and `hopmesh why NODE` say more. After more than 400 days
  away, or 16 revocations, only `hopmesh leave` and a new invite help.
! State cannot be written: no space is left to write
  /var/lib/hopmesh/home/records.state: free some; the state before is kept. It
  is tried again every few seconds; until then a restart forgets what is new.
! and 3 more: `hopmesh --network lab status --json` has all

network    home  10.7.0.0/16  fd12:3456:789a::/48  id 0011223344  epoch 3
";
    let lines = status_lines(&reply, "hopmesh --network lab");
    let shown = lines.join("\n") + "\n";
    assert!(shown.starts_with(golden), "{shown}");
    assert!(lines.len() < 24 && lines.iter().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(shown.ends_with("and 5 more: `hopmesh --network lab peers`\n"), "{shown}");
}

#[test]
fn a_status_fits_a_screen_whatever_the_network() {
    let mut reply = status();
    reply.guests = vec![api::Guest::default(); 50];
    reply.peers = vec![reply.peers[0].clone(); 500];
    reply.problems = vec!["something: do something".to_owned(); 50];
    reply.drops = (0..50).map(|n| (format!("reason {n}"), n)).collect();
    let lines = status_lines(&reply, "hopmesh");
    assert!(lines.len() < 24, "{} lines", lines.len());
    let shown = lines.join("\n");
    for words in
        ["! and 46 more: `hopmesh status --json` has all", "and 499 more: `hopmesh peers`", "49 reason 49, "]
    {
        assert!(shown.contains(words), "no {words:?} in\n{shown}");
    }
    // A daemon that says nothing at all is no reason to fail.
    assert!(!status_lines(&api::StatusReply::default(), "").is_empty());
    // A path is worth more than the width of the screen.
    reply.peers[0].name = "a".repeat(63);
    assert!(status_lines(&reply, "hopmesh").iter().any(|line| line.contains(" none ")));
}

#[test]
fn peers_show_everything() {
    let daemon = FakeDaemon::new(|_| Ok(Reply::Status(Box::new(status()))));
    let out = daemon.run(&["peers"]).out;
    let golden = "\
NAME  ID          STATE      PATH                      RTT     LOSS   MTU   RECEIVED  SENT   LAST HANDSHAKE  ADDRESSES
c     c0c1        offline    none                      -       -      -     0 B       0 B    -               10.7.0.3 fd12::3
b     b0b1b2b3b4  connected  direct 203.0.113.5:41641  0.8 ms  1.5 %  1440  1.2 MB    812 B  1 min 1 s ago   10.7.0.2 fd12::2
d     d0d1        revoked    none                      -       -      -     0 B       0 B    -               10.7.0.4 fd12::4
";
    assert_eq!(out, golden);
    let alone = FakeDaemon::new(|_| Ok(Reply::Status(<_>::default())));
    assert!(alone.run(&["peers"]).out.starts_with("no peers yet: `hopmesh --state-dir "));
}

#[test]
fn names_cannot_command_the_terminal() {
    let daemon = FakeDaemon::new(|_| {
        let mut reply = status();
        reply.peers[0].name = "evil\x1b]0;owned\x07\nb".to_owned();
        reply.problems = vec!["\x1b[2Jnothing\u{202e}".to_owned()];
        Ok(Reply::Status(Box::new(reply)))
    });
    for command in ["status", "peers"] {
        let out = daemon.run(&[command]).out;
        assert!(out.contains("evil]0;ownedb "), "{out}");
        assert!(!out.contains(|c: char| c != '\n' && c.is_control()), "{out:?}");
        assert!(!out.contains('\u{202e}'));
    }
    let daemon = FakeDaemon::new(|_| Err(Refusal::new(RefusalKind::NotFound, "no\x1b[1m node\n is")));
    assert_eq!(daemon.run(&["revoke", "b"]).err, "hopmesh: no[1m node is\n");
}

#[test]
fn ping_prints_a_line_a_reply_and_a_summary() {
    let mut sent = 0;
    let daemon = FakeDaemon::new(move |_| {
        sent += 1;
        match sent {
            1 => Ok(Reply::Ping(pong())),
            2 => Err(Refusal::new(RefusalKind::Timeout, "no answer")),
            _ => {
                let kind = api::PathKind::Hop.into();
                let path = api::Path { kind, hops: vec!["c".to_owned()], ..api::Path::default() };
                Ok(Reply::Ping(api::PingReply { rtt_ms: 2.4, path: Some(path), ..pong() }))
            }
        }
    });
    let done = daemon.run(&["ping", "b", "-c3", "--interval-ms=0"]);
    let golden = "\
from b 10.7.0.2: sequence 1, direct 203.0.113.5:41641, 0.8 ms
no answer from b: sequence 2 within 3 s
from b 10.7.0.2: sequence 3, via c, 2.4 ms
3 sent, 2 received, 33.3 % lost, time least 0.8 ms, mean 1.6 ms, most 2.4 ms
";
    assert_eq!((done.code, done.out.as_str()), (0, golden));
    let silent = FakeDaemon::new(|_| Err(Refusal::new(RefusalKind::Timeout, "no answer")));
    let done = silent.run(&["ping", "b", "-c1"]);
    assert_eq!(done.code, 1);
    assert!(
        done.out.ends_with("1 sent, 0 received: nothing answered, see `hopmesh status`\n"),
        "{}",
        done.out
    );
}

#[test]
fn an_admins_commands_answer_in_one_line() {
    let daemon = FakeDaemon::new(move |command| match command {
        Command::Invite { .. } => Ok(Reply::Invite(api::InviteReply {
            invite: "hopmesh1x".to_owned(),
            ..api::InviteReply::default()
        })),
        Command::Assign { node, address } => Ok(Reply::Assigned(api::AssignReply {
            node,
            address: address.to_string(),
            ..api::AssignReply::default()
        })),
        Command::Delegate { node, services } => Ok(Reply::Delegated(api::DelegateReply {
            node,
            id: "b0".to_owned(),
            services: services.iter().map(ToString::to_string).collect(),
        })),
        Command::Revoke { node } => Ok(Reply::Revoked(api::RevokeReply { node, id: "b0".to_owned() })),
        Command::Down | Command::Leave { .. } => Ok(Reply::Done),
        Command::Status
        | Command::Ping { .. }
        | Command::Netcheck
        | Command::Why { .. }
        | Command::Mesh
        | Command::Publish { .. }
        | Command::Unpublish { .. }
        | Command::AddGuest { .. }
        | Command::Guests
        | Command::RemoveGuest { .. }
        | Command::Services
        | Command::Zone
        | Command::Find { .. }
        | Command::Watch
        | Command::AdvertiseRoute { .. }
        | Command::WithdrawRoute { .. }
        | Command::ApproveRoute { .. }
        | Command::Routes
        | Command::OfferExit { .. }
        | Command::UseExit { .. }
        | Command::Exits
        | Command::Metrics
        | Command::Reload => Err(Refusal::new(RefusalKind::Internal, "not asked for")),
    });
    for (arguments, said) in [
        (&["invite"][..], "hopmesh1x\n"),
        (&["assign", "b", "10.7.0.9"], "b has 10.7.0.9\n"),
        (&["delegate", "b", "web", "db"], "b owns web, db\n"),
        (&["delegate", "b"], "b has no service names of its own any more\n"),
        (&["revoke", "b"], "b is no member any more (id b0); the others are given a new network secret\n"),
        (&["down"], "network home is down\n"),
        (&["leave"], "network home is left: this machine is no member any more\n"),
    ] {
        let done = daemon.run(arguments);
        assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, said, ""), "{arguments:?}");
    }
}

#[test]
fn up_prints_who_we_are_and_the_invite_as_text_and_code() {
    let print = |ready: &Ready| {
        let mut out = Vec::new();
        announce(&mut Context::new(Global::default(), &mut out), ready).unwrap();
        String::from_utf8(out).unwrap()
    };
    let said = print(&ready());
    for line in ["network    home  id 0011", "addresses  10.7.0.1  fd12::1", "hopmesh join hopmesh1abc"] {
        assert!(said.lines().any(|said| said == line), "no {line:?} in\n{said}");
    }
    assert!(said.contains('█'), "{said}");
    let said = print(&Ready { invite: None, ..ready() });
    assert!(!said.contains('█') && !said.contains("join"), "{said}");
}

#[test]
fn steps_on_the_way_are_lines_for_people_only() {
    let mut err = Vec::new();
    let step = Progress::Asking { remote: "203.0.113.5:41820".parse().unwrap() };
    show(&step, true, &mut err);
    assert_eq!(err, b"");
    show(&step, false, &mut err);
    show(&Progress::Creating { network: "a\x1bb".to_owned() }, false, &mut err);
    assert_eq!(String::from_utf8(err).unwrap(), "asking 203.0.113.5:41820 …\ncreating the network ab\n");
}

#[test]
fn version_and_completions_are_plain() {
    assert_eq!(hopmesh(&["version"]).out, format!("hopmesh {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = hopmesh(&["completions", shell]);
        assert_eq!(done.code, 0);
        assert!(done.out.contains("hopmesh") && done.out.contains("invite"), "{shell}");
    }
}
