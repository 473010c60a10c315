//! The users of an exit share its rate, in either direction, and an exit that nobody uses sleeps.

use super::lab::{Lab, packet};
use crate::limits::REKEY_AFTER;
use crate::{DropReason, ExitParams, HopParams};
use std::net::IpAddr;
use std::time::Duration;
use wire::record::RouteOffer;

const TICK: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const EXIT: usize = 1;
/// Bytes a second.
const RATE: u64 = 200_000;
const LENGTH: usize = 500;

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToTheInternet,
    Back,
}

fn site() -> IpAddr {
    "21.1.2.3".parse().unwrap()
}

/// A lab in which `b` is an exit with a rate, and all behind it use it.
fn lab(users: &[&str], rate_max: Option<u64>) -> Lab {
    let mut lab = Lab::with(&[&["b"], users].concat());
    let offer = RouteOffer::exit("0.0.0.0/0".parse().unwrap());
    lab.command(EXIT, |node, now| node.handle_offers(vec![offer], now));
    set_rate(&mut lab, rate_max);
    lab.run(SECOND);
    let exit = lab.id(EXIT);
    for user in 2..lab.machines.len() {
        lab.command(user, |node, _| node.handle_exit(Some(exit)));
    }
    lab
}

fn set_rate(lab: &mut Lab, rate_max: Option<u64>) {
    let exit = ExitParams { rate_max };
    lab.command(EXIT, |node, now| node.handle_settings(REKEY_AFTER, HopParams::default(), exit, now));
}

/// Lets one packet go, of a user or for it.
fn send(lab: &mut Lab, way: Way, user: usize) {
    let own = lab.machines[user].tables.own_addresses()[0];
    let payload = [7; LENGTH - 20];
    let (at, packet) = match way {
        Way::ToTheInternet => (user, packet(own, site(), &payload)),
        Way::Back => (EXIT, packet(site(), own, &payload)),
    };
    lab.outbound(at, &packet);
    lab.command(at, |_, _| ());
}

/// Bytes that came through of each user, or to it, since somebody looked.
fn take_arrived(lab: &mut Lab, way: Way) -> Vec<u64> {
    let users = 2..lab.machines.len();
    let to_all = |packets: Vec<Vec<u8>>| packets.iter().map(|packet| packet.len() as u64).sum();
    match way {
        Way::Back => users.map(|user| to_all(std::mem::take(&mut lab.machines[user].tun))).collect(),
        Way::ToTheInternet => {
            let packets = std::mem::take(&mut lab.machines[EXIT].tun);
            let of = |user: usize| {
                let IpAddr::V4(own) = lab.mesh(user)[0] else { panic!("the first is IPv4") };
                packets.iter().filter(|packet| packet[12..16] == own.octets()).cloned().collect()
            };
            users.map(|user| to_all(of(user))).collect()
        }
    }
}

/// Lets every user offer so many bytes a second, for so long; what was offered, and what came through.
fn load(lab: &mut Lab, way: Way, rates: &[u64], time: Duration) -> (Vec<u64>, Vec<u64>) {
    take_arrived(lab, way);
    let (mut offered, end) = (vec![0; rates.len()], lab.now + time);
    let mut due = vec![0; rates.len()];
    while lab.now < end {
        for (user, rate) in rates.iter().enumerate() {
            due[user] += rate * TICK.as_millis() as u64;
            while due[user] >= LENGTH as u64 * 1000 {
                due[user] -= LENGTH as u64 * 1000;
                offered[user] += LENGTH as u64;
                send(lab, way, user + 2);
            }
        }
        lab.run(TICK);
    }
    lab.run(SECOND / 10);
    (offered, take_arrived(lab, way))
}

/// Within so many per cent.
fn is_near(one: u64, other: u64, percent: u64) -> bool {
    one.abs_diff(other) * 100 <= other * percent
}

fn the_rate_is_shared(way: Way) {
    let mut lab = lab(&["c", "d", "e"], Some(RATE));
    let time = 4 * SECOND;
    let (offered, arrived) = load(&mut lab, way, &[10_000, 150_000, 1_500_000], time);
    assert_eq!(arrived[0], offered[0], "who takes little loses nothing");
    assert!(is_near(arrived[1], arrived[2], 10), "{arrived:?}");
    let (sum, all) = (arrived.iter().sum::<u64>(), RATE * time.as_secs());
    assert!(is_near(sum, all, 10), "{arrived:?}");
    assert!(lab.drops(EXIT, DropReason::ExitBudget) > 0);
}

#[test]
fn what_is_sent_to_the_internet_is_shared() {
    the_rate_is_shared(Way::ToTheInternet);
}

#[test]
fn what_comes_back_is_shared() {
    the_rate_is_shared(Way::Back);
}

#[test]
fn each_direction_has_a_rate_of_its_own_and_who_rests_takes_no_part() {
    let mut lab = lab(&["c", "d", "e"], Some(RATE));
    for way in [Way::ToTheInternet, Way::Back] {
        // All have used it just now, and then one alone does.
        load(&mut lab, way, &[20_000; 3], SECOND);
        lab.run(2 * SECOND);
        let (_, arrived) = load(&mut lab, way, &[0, 400_000, 0], 2 * SECOND);
        assert!(is_near(arrived[1], 2 * RATE, 10), "{way:?}: {arrived:?}");
    }
    let both = [Way::ToTheInternet, Way::Back];
    both.iter().for_each(|way| drop(take_arrived(&mut lab, *way)));
    for _ in 0..2000 {
        both.iter().for_each(|way| send(&mut lab, *way, 2));
        lab.run(TICK);
    }
    lab.run(SECOND / 10);
    for way in both {
        let arrived = take_arrived(&mut lab, way);
        assert!(is_near(arrived[0], 2 * RATE, 10), "{way:?}: {arrived:?}");
    }
}

#[test]
fn a_superpacket_counts_whole_and_its_excess_is_owed() {
    let mut lab = lab(&["c"], Some(RATE));
    let own = lab.mesh(2)[0];
    // Five times what an interval has.
    let long = packet(site(), own, &vec![7; 50_000]);
    let tables = |lab: &Lab| lab.machines[EXIT].tables.clone();
    let share = |lab: &Lab| {
        let tables = tables(lab);
        let position = tables.routes.table.lookup(own).unwrap();
        tables.routes.share(position).unwrap().clone()
    };
    load(&mut lab, Way::Back, &[RATE * 2], SECOND / 2);
    assert!(share(&lab).got.take(long.len()), "something is left now");
    lab.run(SECOND / 10);
    assert!(share(&lab).got.left() < -20_000);
    assert!(!share(&lab).got.take(1));
    lab.run(SECOND / 2);
    assert!(share(&lab).got.take(1), "paid");
}

#[test]
fn without_a_rate_nobody_has_a_budget_and_another_rate_counts_at_once() {
    let mut lab = lab(&["c", "d"], None);
    for way in [Way::ToTheInternet, Way::Back] {
        assert!(lab.machines[EXIT].tables.routes.shares.is_empty());
        let (offered, arrived) = load(&mut lab, way, &[400_000, 400_000], SECOND);
        assert_eq!(arrived, offered);
        for rate in [RATE, RATE * 2, RATE / 2] {
            set_rate(&mut lab, Some(rate));
            let (_, arrived) = load(&mut lab, way, &[400_000, 400_000], 2 * SECOND);
            assert!(is_near(arrived.iter().sum(), 2 * rate, 10), "{way:?} at {rate}: {arrived:?}");
        }
        set_rate(&mut lab, None);
        let (offered, arrived) = load(&mut lab, way, &[400_000, 400_000], SECOND);
        assert_eq!(arrived, offered);
    }
}

#[test]
fn who_is_no_exit_and_what_stays_in_the_mesh_has_no_budget() {
    let mut lab = lab(&["c"], Some(RATE));
    assert!(!lab.machines[EXIT].tables.routes.shares.is_empty());
    for _ in 0..200 {
        lab.send(2, EXIT, &[7; 1000]);
        lab.send(EXIT, 2, &[7; 1000]);
    }
    lab.run(SECOND / 10);
    assert_eq!((lab.received(EXIT).len(), lab.received(2).len()), (200, 200));
    lab.command(EXIT, |node, now| node.handle_offers(vec![], now));
    assert!(lab.machines[EXIT].tables.routes.shares.is_empty());
}

#[test]
fn an_exit_that_nobody_uses_sleeps_and_wakes_for_either_direction() {
    let mut lab = lab(&["c"], Some(RATE));
    let wake_ups = |lab: &mut Lab| {
        let before = lab.machines[EXIT].wake_ups;
        lab.run(30 * SECOND);
        lab.machines[EXIT].wake_ups - before
    };
    lab.run(30 * SECOND);
    let idle = wake_ups(&mut lab);
    for way in [Way::Back, Way::ToTheInternet] {
        // More than what a budget at rest holds, and nothing that goes the other way.
        let (offered, arrived) = load(&mut lab, way, &[50_000], SECOND);
        assert_eq!(arrived, offered, "{way:?}");
        lab.run(2 * SECOND);
        let then = wake_ups(&mut lab);
        assert!(then < idle + 20, "{way:?}: {then} times in 30 s, and {idle} before");
    }
}

#[test]
fn a_notice_that_is_lost_keeps_nobody_out() {
    let mut lab = lab(&["c"], Some(RATE));
    let position = lab.machines[EXIT].tables.routes.table.lookup(lab.mesh(2)[0]).unwrap();
    let share = lab.machines[EXIT].tables.routes.share(position).unwrap().clone();
    while share.got.take(LENGTH) {}
    assert!(share.got.tell(), "and the Node does not hear of it");
    send(&mut lab, Way::Back, 2);
    assert_eq!(lab.drops(EXIT, DropReason::ExitBudget), 1);
    lab.run(6 * SECOND);
    let (offered, arrived) = load(&mut lab, Way::Back, &[50_000], SECOND);
    assert_eq!(arrived, offered);
}
