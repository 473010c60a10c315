//! Arguments: what parses to what, and which mistakes end with which code.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::{CommandFactory, Parser};
use overlay::Zone;
use wire::NodeId;

use super::super::{Cli, Command as Parsed};
use super::{FakeDaemon, hopmesh};
use crate::control::{Command, Reply, Role};

/// Every command with the arguments it needs.
const COMMANDS: [&[&str]; 34] = [
    &["up"],
    &["invite"],
    &["join", "hopmesh1x"],
    &["down"],
    &["leave"],
    &["status"],
    &["peers"],
    &["top"],
    &["ping", "b"],
    &["netcheck"],
    &["why", "b"],
    &["doctor"],
    &["bug-report"],
    &["assign", "b", "10.7.0.9"],
    &["delegate", "b", "web"],
    &["revoke", "b"],
    &["guest", "list"],
    &["route", "list"],
    &["exit", "list"],
    &["publish", "web", "--port", "80"],
    &["unpublish", "web"],
    &["services"],
    &["resolve", "web"],
    &["watch"],
    &["web"],
    &["metrics"],
    &["reload"],
    &["restore-host"],
    &["close-exit"],
    &["dht-node"],
    &["service", "install"],
    &["version"],
    &["completions", "bash"],
    &["man", "man1"],
];

/// What becomes a daemon, or needs none; these are not run here, `service` least of all.
const WITHOUT_DAEMON: [&str; 12] = [
    "doctor",
    "bug-report",
    "up",
    "join",
    "leave",
    "restore-host",
    "close-exit",
    "dht-node",
    "service",
    "version",
    "completions",
    "man",
];

fn parse(arguments: &[&str]) -> Cli {
    Cli::try_parse_from([&["hopmesh"], arguments].concat()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_parser_is_sound_and_knows_these_commands_and_no_others() {
    Cli::command().debug_assert();
    let known: Vec<_> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    assert_eq!(known, COMMANDS.map(|words| words[0]));
}

#[test]
fn global_arguments_stand_before_and_after_every_command() {
    let globals = ["--network", "Lab", "--state-dir", "/tmp/x", "--config", "c.toml", "--json"];
    for words in COMMANDS {
        for arguments in [[&globals, words].concat(), [words, &globals].concat()] {
            let global = parse(&arguments).global;
            assert_eq!(global.network.as_deref(), Some("lab"), "{arguments:?}");
            assert_eq!(global.state_dir.as_deref(), Some(Path::new("/tmp/x")));
            assert_eq!(global.config.as_deref(), Some(Path::new("c.toml")));
            assert!(global.json);
        }
        let global = parse(words).global;
        assert_eq!((global.network, global.state_dir, global.config, global.json), (None, None, None, false));
    }
}

#[test]
fn every_command_helps_with_an_example() {
    for words in COMMANDS {
        let done = hopmesh(&[words[0], "--help"]);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{words:?}");
        assert!(done.out.contains(&format!("Example:\n  hopmesh {}", words[0])), "{}", done.out);
        assert!(done.out.contains("--json"), "{}", done.out);
    }
    let done = hopmesh(&["--help"]);
    assert_eq!(done.code, 0);
    assert!(done.out.contains("hopmesh join INVITE"), "{}", done.out);
    assert_eq!(hopmesh(&["--version"]).out, format!("hopmesh {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn mistakes_in_the_arguments_end_with_2() {
    for arguments in [
        &[][..],
        &["fly"],
        &["dht-node", "--listen", "192.0.2.1"],
        &["dht-node", "--listen", "[::1]:6881"],
        &["dht-node", "--bootstrap", "host"],
        &["status", "--fast"],
        &["status", "--interval-ms", "500"],
        &["status", "--watch", "--interval-ms", "5"],
        &["top", "--interval-ms", "0"],
        &["--network", "a.b", "status"],
        &["--network", "../etc", "status"],
        &["up", "--node-name", "my laptop"],
        &["invite", "--expires", "1w"],
        &["invite", "--expires", "0s"],
        &["invite", "--role", "king"],
        &["invite", "--address", "10.7.0"],
        &["invite", "--node-name", "-x"],
        &["join"],
        &["join", "x", "--node-name", "é"],
        &["ping"],
        &["ping", "b", "-c", "0"],
        &["ping", "b", "-c", "x"],
        &["ping", "b c"],
        &["why"],
        &["why", "b c"],
        &["netcheck", "b"],
        &["assign", "b"],
        &["assign", "b", "300.1.1.1"],
        &["revoke", ""],
        &["route"],
        &["route", "advertise", "192.168.9.1/24"],
        &["route", "advertise", "192.168.9.0/24", "--snat", "--no-snat"],
        &["route", "approve", "192.168.9.0/24"],
        &["delegate"],
        &["delegate", "b", "a.b"],
        &["invite", "--service", "a b"],
        &["publish", "web"],
        &["publish", "web", "--port", "0"],
        &["publish", "web", "--port", "65536"],
        &["publish", "web.home", "--port", "80"],
        &["publish", "web", "--port", "80", "--protocol", "sctp"],
        &["publish", "web", "--port", "80", "--version", "a b"],
        &["publish", "web", "--port", "80", "--label", "zone"],
        &["publish", "web", "--port", "80", "--label", "a=1", "--label", "a=2"],
        &["publish", "web", "--port", "80", "--health", "http:up"],
        &["publish", "web", "--port", "80", "--ttl", "2s"],
        &["publish", "web", "--port", "80", "--with", "a b"],
        &["unpublish"],
        &["services", "web"],
        &["resolve"],
        &["resolve", "web", "--label", "=x"],
        &["watch", "web", "db"],
        &["web", "--port", "0"],
        &["completions", "tcsh9"],
    ] {
        let done = hopmesh(arguments);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{arguments:?}: {done:?}");
        assert!(!done.err.is_empty());
    }
    let done = hopmesh(&["invite", "--expires", "1w", "--json"]);
    let first = done.err.lines().next().unwrap();
    assert!(first.starts_with("hopmesh: invalid value '1w' for '--expires <TIME>'"), "{first}");
    assert_eq!(format!("hopmesh: {}", done.json()["error"].as_str().unwrap()), first);
    assert!(done.err.contains("--help"), "{}", done.err);
}

#[test]
fn no_daemon_is_a_clear_failure_of_every_command_that_needs_one() {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = directory.path().to_str().unwrap();
    for words in COMMANDS {
        if WITHOUT_DAEMON.contains(&words[0]) {
            continue;
        }
        let done = hopmesh(&[&["--state-dir", state_dir, "--json"], words].concat());
        let sentence = format!(
            "no daemon is running for network home: start it with `hopmesh --state-dir {state_dir} up`"
        );
        assert_eq!(
            (done.code, done.err.as_str()),
            (1, format!("hopmesh: {sentence}\n").as_str()),
            "{words:?}"
        );
        assert_eq!(done.json(), serde_json::json!({ "error": sentence }));
    }
}

#[test]
fn a_configuration_that_is_missing_or_wrong_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    let state_dir = directory.path().join("state");
    let up =
        || hopmesh(&["--config", path.to_str().unwrap(), "--state-dir", state_dir.to_str().unwrap(), "up"]);
    let done = up();
    assert_eq!(done.code, 1);
    assert!(done.err.starts_with(&format!("hopmesh: cannot read configuration {}", path.display())));
    std::fs::write(&path, "[listen]\nprot = 5\n").unwrap();
    let done = up();
    assert_eq!(done.code, 1);
    assert!(
        done.err.starts_with(&format!("hopmesh: in configuration {}: line 2", path.display())),
        "{done:?}"
    );
    assert!(!state_dir.exists(), "nothing was touched");
}

/// Any answer of the right kind.
pub(super) fn some_answer(command: &Command) -> Reply {
    match command {
        Command::Invite { .. } => Reply::Invite(<_>::default()),
        Command::Ping { .. } => Reply::Ping(<_>::default()),
        Command::Assign { .. } => Reply::Assigned(<_>::default()),
        Command::Revoke { .. } => Reply::Revoked(<_>::default()),
        Command::Delegate { .. } => Reply::Delegated(<_>::default()),
        Command::Netcheck => Reply::Netcheck(<_>::default()),
        Command::Why { .. } => Reply::Why(<_>::default()),
        Command::Mesh => Reply::Mesh(<_>::default()),
        Command::Status => Reply::Status(<_>::default()),
        Command::Metrics => Reply::Metrics(<_>::default()),
        Command::Reload => Reply::Reloaded(<_>::default()),
        Command::Services => {
            Reply::Services(Arc::new(Zone::empty("home".parse().unwrap(), NodeId([1; 32]))), <_>::default())
        }
        Command::Zone => Reply::Zone(Arc::new(Zone::empty("home".parse().unwrap(), NodeId([1; 32])))),
        Command::Publish { .. } => Reply::Published(<_>::default()),
        Command::Unpublish { .. } => Reply::Unpublished(<_>::default()),
        Command::AddGuest { .. } => Reply::GuestAdded(<_>::default()),
        Command::Guests => Reply::Guests(<_>::default()),
        Command::RemoveGuest { .. } => Reply::GuestRemoved(<_>::default()),
        Command::Find { .. } => panic!("the zone knows all"),
        Command::Watch => panic!("it would not end"),
        Command::AdvertiseRoute { .. } => Reply::Advertised(<_>::default()),
        Command::ApproveRoute { .. } => Reply::Approved("b".to_owned(), "b0".to_owned()),
        Command::Routes => Reply::Routes(<_>::default()),
        Command::Exits => Reply::Exits(<_>::default()),
        Command::UseExit { .. } => Reply::ExitUsed(<_>::default()),
        Command::Down | Command::Leave { .. } | Command::WithdrawRoute { .. } | Command::OfferExit { .. } => {
            Reply::Done
        }
    }
}

#[test]
fn arguments_reach_the_daemon() {
    let (sender, asked) = mpsc::channel();
    let daemon = FakeDaemon::new(move |command| {
        sender.send(command.clone()).unwrap();
        Ok(some_answer(&command))
    });
    let node = || "b".to_owned();
    let plain = Command::Invite {
        node_name: None,
        address: None,
        role: Role::Member,
        expires: Duration::from_secs(3600),
        services: vec![],
    };
    let full = Command::Invite {
        node_name: Some("web-1".parse().unwrap()),
        address: Some("10.7.0.9".parse().unwrap()),
        role: Role::Admin,
        expires: Duration::from_secs(7 * 86_400),
        services: vec!["web".parse().unwrap()],
    };
    let address = "fd12::9".parse().unwrap();
    let full_words = [
        "invite",
        "--node-name",
        "Web-1",
        "--address",
        "10.7.0.9",
        "--role",
        "admin",
        "--expires",
        "7d",
        "--service",
        "Web",
    ];
    for (words, command) in [
        (&["invite"][..], plain),
        (&full_words, full),
        (&["ping", "b", "-c", "1"], Command::Ping { node: node(), timeout: Duration::from_secs(3) }),
        (&["assign", "b", "fd12::9"], Command::Assign { node: node(), address }),
        (&["revoke", "b"], Command::Revoke { node: node() }),
        (
            &["delegate", "b", "Web", "db"],
            Command::Delegate {
                node: node(),
                services: ["web", "db"].map(|name| name.parse().unwrap()).to_vec(),
            },
        ),
        (&["status"], Command::Status),
        (&["peers"], Command::Status),
        (&["netcheck"], Command::Netcheck),
        (&["why", "b"], Command::Why { node: node() }),
        (&["services"], Command::Services),
        (&["unpublish", "web"], Command::Unpublish { name: "web".parse().unwrap(), version: None }),
        (&["down"], Command::Down),
        (&["leave"], Command::Leave { force: false }),
        (&["leave", "--force"], Command::Leave { force: true }),
    ] {
        assert_eq!(daemon.run(words).code, 0, "{words:?}");
        assert_eq!(asked.recv().unwrap(), command);
    }
    daemon.run(&["ping", "b", "--interval-ms", "0"]);
    assert_eq!(asked.try_iter().count(), 4, "four pings unless told otherwise");
    assert!(matches!(parse(&["up", "--node-name", "A"]).command, Parsed::Up(_)));
}
