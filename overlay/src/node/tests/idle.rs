//! A node that has nothing to do does next to nothing.

use super::lab::Lab;
use std::time::Duration;

const TEN_MINUTES: Duration = Duration::from_secs(600);

#[test]
fn an_idle_node_seldom_wakes_and_seldom_sends() {
    let mut lab = Lab::with(&["b", "c", "d", "e"]);
    lab.run(TEN_MINUTES);
    lab.sent.clear();
    let before = lab.machines[0].wake_ups;
    lab.run(TEN_MINUTES);
    let wake_ups = lab.machines[0].wake_ups - before;
    let a = lab.machines[0].remote;
    let sent: usize = lab.sent.iter().filter(|f| f.from == a).map(|f| f.bytes.len()).sum();
    // A look at each of four peers' traffic every 1.5 s, a probe every 25 s, the review every 5 s, five rekeys, links every 30 s.
    assert!(wake_ups < 4 * (400 + 24 + 10) + 120 + 20 + 20, "{wake_ups}");
    // Rekeys are most of it: an initiation has 1232 bytes, and a member wants to see a cookie in a second one.
    assert!(sent < 4 * 12 * 600, "{sent} bytes in ten minutes to four peers");
    assert!((1..5).all(|peer| lab.connected(0, peer)));
}

#[test]
fn a_node_whose_peers_are_gone_asks_ever_more_seldom() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.machines[1].is_up = false;
    lab.machines[2].is_up = false;
    lab.run(TEN_MINUTES);
    lab.sent.clear();
    let before = lab.machines[0].wake_ups;
    lab.run(TEN_MINUTES);
    assert!(lab.sent.len() <= 2 * 20, "{} initiations", lab.sent.len());
    assert!(lab.machines[0].wake_ups - before <= 2 * 20 + 120, "{}", lab.machines[0].wake_ups - before);
}

#[test]
fn a_lonely_founder_only_looks_at_its_credentials() {
    let mut lab = Lab::new();
    lab.run(TEN_MINUTES);
    assert!(lab.sent.is_empty());
    assert!(lab.machines[0].wake_ups <= 122, "{}", lab.machines[0].wake_ups);
}
