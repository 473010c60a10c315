//! Wall clocks that are wrong: who is told, and what is not done meanwhile.

use super::lab::{Lab, UNIX_S, any_member};
use crate::joiner::JoinError;
use crate::{CommandError, Event};
use std::time::Duration;
use wire::handshake::Refusal;

const SECOND: Duration = Duration::from_secs(1);
const DAY_S: u64 = 24 * 3600;

#[test]
fn a_wrong_clock_is_named_on_the_machine_that_is_refused() {
    for (days, refusal) in [(-2i64, Refusal::NotYetValid), (4 * 365, Refusal::Expired)] {
        let mut lab = Lab::with(&["b"]);
        let clock = UNIX_S.saturating_add_signed(days * DAY_S as i64);
        lab.machines[1].is_up = false;
        lab.command(0, |node, now| node.handle_wall_clock(clock, now));
        lab.restart(1);
        lab.run(SECOND);
        let refused = Event::RefusedBy("a".parse().unwrap(), refusal);
        assert!(lab.machines[1].events.contains(&refused), "{refusal:?}");
        let problems = lab.view(1).problems;
        assert!(problems.iter().any(|p| p.contains("set the clock that is wrong")), "{problems:?}");
        if days < 0 {
            // An admin whose clock is ahead renews what seems to end, and is right.
            lab.run(100 * SECOND);
        }
        assert!(!lab.connected(1, 0));
        lab.command(0, |node, now| node.handle_wall_clock(UNIX_S, now));
        // At once, however long they have been refused.
        lab.run(2 * SECOND);
        assert!(lab.connected(1, 0) && lab.view(1).problems.is_empty(), "healed: {:?}", lab.view(1).problems);
    }
}

#[test]
fn clocks_that_are_apart_are_told_before_anybody_is_refused() {
    // Who is ahead, who begins the handshakes, and what the first then says.
    for (ahead, begin, words) in [
        (&[0][..], &[1, 2][..], "2 hours behind this machine's"),
        (&[1, 2], &[0], "2 hours ahead of this machine's"),
    ] {
        let mut lab = Lab::with(&["b", "c"]);
        let set = |lab: &mut Lab, unix_s| {
            ahead.iter().for_each(|at| lab.command(*at, |node, now| node.handle_wall_clock(unix_s, now)));
        };
        set(&mut lab, UNIX_S + 7200);
        begin.iter().for_each(|at| lab.restart(*at));
        lab.run(SECOND);
        assert!(lab.connected(0, 1) && lab.connected(0, 2));
        let problems = lab.view(0).problems;
        assert!(
            problems.len() == 1 && problems[0].contains("b, c") && problems[0].contains(words),
            "{problems:?}"
        );
        set(&mut lab, UNIX_S);
        (0..3).for_each(|at| lab.restart(at));
        lab.run(SECOND);
        assert_eq!(lab.view(0).problems, [""; 0], "{words}");
    }
}

#[test]
fn an_admin_whose_clock_stands_before_its_credentials_signs_nothing() {
    let mut lab = Lab::with(&["b"]);
    let invite = lab.invite(0, &any_member());
    let before = lab.peer(0, 1).unwrap().addresses;
    lab.command(0, |node, now| node.handle_wall_clock(UNIX_S - 50 * 365 * DAY_S, now));
    let problems = lab.view(0).problems;
    assert!(problems[0].contains("50 years before the date of its own credentials"), "{problems:?}");
    let refused = lab.command(0, |node, now| node.invite(&any_member(), now).map(drop).unwrap_err());
    assert_eq!(refused, CommandError::Clock);
    let refused =
        lab.command(0, |node, now| node.assign("b", "10.7.0.77".parse().unwrap(), now)).unwrap_err();
    assert_eq!(refused, CommandError::Clock);
    let late = lab.apply(&invite, "late");
    lab.run(SECOND);
    assert_eq!(lab.refusal_of(late), JoinError::Refused(wire::enrolment::Refusal::Unable));
    lab.run(SECOND);
    assert_eq!(lab.peer(0, 1).unwrap().addresses, before);
    lab.command(0, |node, now| node.handle_wall_clock(UNIX_S, now));
    let again = lab.apply(&invite, "again");
    lab.run(SECOND);
    lab.move_in(again);
    assert_eq!(lab.view(0).problems, [""; 0], "the invite is as good as before");
}
