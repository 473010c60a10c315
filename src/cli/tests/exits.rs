//! `exit`: its arguments, its JSON, and what people read.

use std::sync::mpsc;

use serde_json::json;

use super::usage::some_answer;
use super::{FakeDaemon, hopmesh};
use crate::control::{Command, Reply};

fn exits() -> api::ExitsReply {
    let exit = |node: &str, state: api::ExitState, ipv6, is_chosen| api::Exit {
        node: node.to_owned(),
        id: format!("{node}0{node}1"),
        state: state.into(),
        ipv4: true,
        ipv6,
        is_chosen,
    };
    api::ExitsReply {
        exits: vec![
            exit("home-server", api::ExitState::Silent, true, true),
            exit("office", api::ExitState::Reached, false, false),
        ],
        allow_lan: true,
        is_offered: false,
    }
}

#[test]
fn exits_have_a_line_each() {
    let daemon = FakeDaemon::new(|_| Ok(Reply::Exits(exits())));
    let golden = "\
EXIT         FAMILIES   STATE            HERE
home-server  IPv4 IPv6  does not answer  used, local networks besides
office       IPv4       reached          -
";
    assert_eq!(daemon.run(&["exit", "list"]).out, golden);
    let listed = daemon.run(&["exit", "list", "--json"]).json();
    assert_eq!((&listed["allow_lan"], &listed["is_offered"]), (&json!(true), &json!(false)));
    assert_eq!(
        listed["exits"][0],
        json!({
            "node": "home-server", "id": "home-server0home-server1", "state": "silent", "ipv4": true, "ipv6": true,
            "is_chosen": true,
        })
    );
    let none = FakeDaemon::new(|_| Ok(Reply::Exits(<_>::default())));
    let said = none.run(&["exit", "list"]).out;
    assert!(said.starts_with("no exits: `hopmesh"), "{said}");
    let alone = FakeDaemon::new(|_| Ok(Reply::Exits(api::ExitsReply { is_offered: true, ..<_>::default() })));
    assert_eq!(alone.run(&["exit", "list"]).out, "this machine is an exit\nno other machine is\n");
}

#[test]
fn an_exit_is_used_or_none_is() {
    let daemon = FakeDaemon::new(|command| {
        let Command::UseExit { node, allow_lan } = command else { panic!("{command:?}") };
        let (node, id) = node.map_or_else(Default::default, |node| (node, "b0b1".to_owned()));
        Ok(Reply::ExitUsed(api::UseExitReply { node, id, allow_lan }))
    });
    let words = ["exit", "use", "b", "--allow-lan"];
    assert_eq!(
        daemon.run(&words).out,
        "all traffic of this machine leaves by b; local networks are reached besides\n"
    );
    let json = daemon.run(&["exit", "use", "b", "--json"]).json();
    assert_eq!(json, json!({ "node": "b", "id": "b0b1", "allow_lan": false }));
    assert_eq!(daemon.run(&["exit", "use", "none"]).out, "traffic of this machine leaves by no exit\n");
    assert_eq!(daemon.run(&["exit", "use", "none", "--json"]).json(), json!({ "node": null }));
    assert_eq!(daemon.run(&["exit", "use", "none", "--allow-lan"]).code, 2);
}

#[test]
fn none_is_used_without_a_daemon_too() {
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("never-there");
    let words = ["--state-dir", state.to_str().unwrap(), "exit", "use"];
    let done = hopmesh(&[&words[..], &["none"]].concat());
    assert_eq!((done.code, done.out.as_str()), (0, "traffic of this machine leaves by no exit\n"));
    assert!(!state.exists());
    let done = hopmesh(&[&words[..], &["b"]].concat());
    assert_eq!(done.code, 1);
    assert!(done.err.contains("no daemon is running"), "{}", done.err);
}

#[test]
fn arguments_become_these_commands() {
    let (tell, told) = mpsc::channel();
    let daemon = FakeDaemon::new(move |command| {
        let answer = some_answer(&command);
        tell.send(command).unwrap();
        Ok(answer)
    });
    for (arguments, command) in [
        (&["exit", "offer"][..], Command::OfferExit { is_offered: true }),
        (&["exit", "withdraw"], Command::OfferExit { is_offered: false }),
        (&["exit", "use", "b"], Command::UseExit { node: Some("b".to_owned()), allow_lan: false }),
        (&["exit", "use", "none"], Command::UseExit { node: None, allow_lan: false }),
        (&["exit", "list"], Command::Exits),
    ] {
        assert_eq!(daemon.run(arguments).code, 0, "{arguments:?}");
        assert_eq!(told.recv().unwrap(), command);
    }
}
