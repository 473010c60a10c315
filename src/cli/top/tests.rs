//! What `top` shows, to the character.

use std::time::{Duration, Instant};

use api::{PeerState, StatusReply};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::model::{Model, Wish};
use super::picture::draw;
use crate::cli::tests::status;
use crate::io::clock;

const SECOND: Duration = Duration::from_secs(1);

/// The lines of a screen of this size, without blanks at their ends.
fn picture(model: &Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

/// The status of the other tests, and the one of two seconds later.
fn two_looks() -> [StatusReply; 2] {
    let before = status();
    let mut after = before.clone();
    let b = &mut after.peers[1];
    b.rx_bytes += 2_500_000;
    b.tx_bytes += 30_000;
    b.rx_packets += 25_000;
    b.tx_packets += 400;
    let via =
        api::Path { kind: api::PathKind::Hop.into(), hops: vec!["b".to_owned()], ..api::Path::default() };
    after.peers[0].path = Some(api::Path { rtt_ms: Some(12.44), ..via });
    after.peers[0].set_state(PeerState::Connected);
    [before, after]
}

fn shown() -> (Model, Instant) {
    let (mut model, begin) = (Model::new(), clock::now());
    let [before, after] = two_looks();
    model.handle_answer(Ok(before), begin);
    model.handle_answer(Ok(after), begin + 2 * SECOND);
    (model, begin + 2 * SECOND)
}

fn press(model: &mut Model, code: KeyCode) -> Wish {
    model.handle_key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn names(model: &Model) -> Vec<&str> {
    model.rows.iter().map(|row| row.name.as_str()).collect()
}

#[test]
fn a_screen_of_24_lines_of_80() {
    let (model, _) = shown();
    let lines = picture(&model, 80, 24);
    let golden = "\
! UDP is blocked: open port 41641
home  a  10.7.0.1  up 2 h 5 min  3 peers, 2 connected
in 1.2 MB/s, 12.5k packets/s   out 15.0 kB/s, 200 packets/s

NAME▲      PATH                    RTT   LOSS     IN/s    OUT/s  PKT IN  PKT OUT
b          direct 203.0.113.5:  0.8 ms  1.5 %   1.2 MB  15.0 kB   12.5k      200
c          via b               12.4 ms      -      0 B      0 B       0        0
d          revoked                   -      -      0 B      0 B       0        0";
    assert_eq!(lines[..8].join("\n"), golden);
    assert!(lines[8..23].iter().all(String::is_empty), "{lines:?}");
    assert_eq!(lines[23], "q quits   ← → column   r turns the order   ↑ ↓ scroll");
}

#[test]
fn wide_screens_show_whole_paths_and_narrow_ones_what_matters_most() {
    let (model, _) = shown();
    assert!(picture(&model, 120, 24)[5].starts_with("b          direct 203.0.113.5:41641  "));
    for (width, heading) in [
        (60, "NAME▲      PATH                 RTT   LOSS     IN/s    OUT/s"),
        (45, "NAME▲      PATH                 IN/s    OUT/s"),
        (23, "NAME▲      PATH"),
        (9, "NAME▲"),
    ] {
        let lines = picture(&model, width, 24);
        assert!(lines.contains(&heading.to_owned()), "{width}: {lines:#?}");
    }
    assert_eq!(
        picture(&model, 45, 4)[..2],
        ["NAME▲      PATH                 IN/s    OUT/s", "b          direct 203.0.113   1.2 MB  15.0 kB"]
    );
    for (width, height) in [(1, 1), (3, 2), (1, 40), (500, 1)] {
        picture(&model, width, height);
    }
}

#[test]
fn before_the_first_answer_and_while_the_daemon_is_away_it_says_so() {
    let mut model = Model::new();
    assert_eq!(picture(&model, 40, 10)[0], "asking the daemon …");
    let (full, now) = shown();
    assert!(full.rows[0].rates.is_some());
    model = full;
    model.handle_answer(Err("the daemon of network home\x1b[2J is not running".to_owned()), now + SECOND);
    let lines = picture(&model, 80, 24);
    assert_eq!(lines[0], "! the daemon of network home[2J is not running");
    assert!(lines[5].contains("direct 203.0.113.5:  0.8 ms  1.5 %        -        -"), "{lines:#?}");
    // Another daemon counts from nothing: there is no rate until its second answer.
    model.handle_answer(Ok(status()), now + 2 * SECOND);
    assert!(model.away.is_none() && model.rows.iter().all(|row| row.rates.is_none()));
}

#[test]
fn counters_that_fall_and_looks_without_time_between_give_no_rate() {
    let [before, after] = two_looks();
    let (mut model, now) = (Model::new(), clock::now());
    model.handle_answer(Ok(after.clone()), now);
    model.handle_answer(Ok(before), now + SECOND);
    assert_eq!(model.rows.iter().map(|row| row.rates.is_some()).collect::<Vec<_>>(), [false, true, true]);
    model.handle_answer(Ok(after), now + SECOND);
    assert!(model.rows.iter().all(|row| row.rates.is_none()));
}

#[test]
fn left_and_right_choose_the_order_and_r_turns_it() {
    let (mut model, _) = shown();
    assert_eq!(names(&model), ["b", "c", "d"]);
    press(&mut model, KeyCode::Char('r'));
    assert_eq!(names(&model), ["d", "c", "b"]);
    press(&mut model, KeyCode::Right);
    assert_eq!(
        (names(&model), model.is_descending),
        (vec!["b", "c", "d"], false),
        "who is not reached comes last"
    );
    press(&mut model, KeyCode::Right);
    assert_eq!(
        (names(&model), model.is_descending),
        (vec!["c", "b", "d"], true),
        "by round trip, largest first"
    );
    assert!(picture(&model, 80, 24)[4].contains("RTT▼"));
    for _ in 0..3 {
        press(&mut model, KeyCode::Left);
    }
    assert!(picture(&model, 80, 24)[4].ends_with("PKT OUT▼"), "the columns are a ring");
    assert_eq!(names(&model), ["b", "c", "d"]);
}

#[test]
fn scrolling_ends_at_the_last_peer() {
    let (mut model, now) = shown();
    let mut many = status();
    many.peers = (0..40)
        .map(|n| api::Peer { name: format!("p{n:02}"), id: n.to_string(), ..api::Peer::default() })
        .collect();
    model.handle_answer(Ok(many), now + SECOND);
    press(&mut model, KeyCode::PageDown);
    press(&mut model, KeyCode::Down);
    assert!(picture(&model, 80, 24)[5].starts_with("p11 "), "{:#?}", picture(&model, 80, 24));
    press(&mut model, KeyCode::End);
    press(&mut model, KeyCode::Down);
    assert!(picture(&model, 80, 24)[5].starts_with("p39 "));
    press(&mut model, KeyCode::Home);
    press(&mut model, KeyCode::Up);
    assert!(picture(&model, 80, 24)[5].starts_with("p00 "));
}

#[test]
fn q_escape_and_control_c_quit_and_nothing_else_does() {
    let (mut model, _) = shown();
    for code in [KeyCode::Char('q'), KeyCode::Esc] {
        assert_eq!(press(&mut model, code), Wish::Quit);
    }
    assert_eq!(model.handle_key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Wish::Quit);
    for code in [KeyCode::Char('c'), KeyCode::Enter, KeyCode::F(1), KeyCode::Tab] {
        assert_eq!(press(&mut model, code), Wish::Stay);
    }
}
