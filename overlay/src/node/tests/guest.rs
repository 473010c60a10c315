//! Guests: who gets an address, who may send from it, and who is gone.

use super::lab::{Lab, packet};
use super::service::{publish, web};
use crate::fastpath::{FromGuest, Outbound, from_guest};
use crate::{CommandError, DropReason, GuestRequest, GuestView};
use routing::range::AddressError;
use std::net::IpAddr;
use std::time::Duration;
use wire::credential::PREFIXES_MAX;
use wire::record::{GRANT_DELAY_S, key_of_guest};
use wire::{GuestKey, Name};

const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn request(text: &str, key: u8, address: Option<&str>) -> GuestRequest {
    GuestRequest {
        name: name(text),
        key: GuestKey([key; 32]),
        address: address.map(|address| address.parse().unwrap()),
    }
}

impl Lab {
    fn add_guest(&mut self, at: usize, guest: GuestRequest) -> Result<(), CommandError> {
        self.command(at, |node, now| node.add_guest(guest, now))
    }

    fn guest(&self, at: usize, guest: &str) -> Option<GuestView> {
        self.machines[at].node.guests().into_iter().find(|view| view.name.as_str() == guest)
    }

    fn guest_address(&self, at: usize, guest: &str) -> IpAddr {
        self.guest(at, guest).unwrap().addresses[0]
    }
}

/// `b` has the guest `phone`, and all have heard of it.
fn with_a_phone() -> Lab {
    let mut lab = Lab::with(&["b", "c"]);
    lab.add_guest(1, request("phone", 5, None)).unwrap();
    lab.run(2 * SECOND);
    lab
}

#[test]
fn a_guest_gets_addresses_and_everybody_knows_them() {
    let lab = with_a_phone();
    for at in 0..3 {
        let phone = lab.guest(at, "phone").unwrap();
        assert_eq!((phone.host, phone.host_name.as_str()), (lab.id(1), "b"));
        assert_eq!(phone.addresses, lab.guest(1, "phone").unwrap().addresses);
        assert!(phone.addresses[0].is_ipv4() && phone.addresses[1].is_ipv6(), "{phone:?}");
        let zone = lab.machines[at].node.zone();
        assert_eq!(zone.guest(&name("phone"), None).map(|guest| guest.host), Some(lab.id(1)));
        assert_eq!(zone.addresses[&phone.addresses[1]], name("phone"));
    }
    let hosted = &lab.machines[1].hosted[&0];
    assert_eq!(hosted.v4.map(IpAddr::V4), Some(lab.guest_address(0, "phone")));
    assert_eq!(lab.machines[0].hosted.len(), 0);
}

#[test]
fn packets_go_to_a_guest_and_come_from_it_and_from_nobody_else() {
    let mut lab = with_a_phone();
    let addresses = lab.guest(1, "phone").unwrap().addresses;
    for (own, guest) in lab.mesh(2).into_iter().zip(&addresses) {
        assert_eq!(lab.outbound(2, &packet(own, *guest, b"to phone")), Outbound::Sealed);
    }
    lab.run(SECOND);
    assert_eq!(lab.machines[1].for_guests.len(), 2);
    assert!(
        lab.machines[1].for_guests.iter().all(|(guest, bytes)| *guest == 0 && bytes.ends_with(b"to phone"))
    );

    let mut from_phone = packet(addresses[0], lab.mesh(2)[0], b"from phone");
    let tables = lab.machines[1].tables.clone();
    assert_eq!(from_guest(&tables, 0, &mut from_phone), Ok(FromGuest::Onward));
    assert_eq!(lab.outbound(1, &from_phone), Outbound::Sealed);
    let to_host = from_guest(&tables, 0, &mut packet(addresses[1], lab.mesh(1)[1], b"x"));
    assert!(matches!(to_host, Ok(FromGuest::Here(opened)) if opened.range == (0..41)), "is reached as well");
    lab.run(SECOND);
    assert_eq!(lab.received(2), [b"from phone"]);
    // Neither another guest's tunnel nor another member may use its address.
    assert_eq!(from_guest(&tables, 1, &mut from_phone), Err(DropReason::SourceCheck));
    assert_eq!(
        from_guest(&tables, 0, &mut packet(lab.mesh(1)[0], lab.mesh(2)[0], b"x")),
        Err(DropReason::SourceCheck)
    );
    let group = from_guest(&tables, 0, &mut packet(addresses[0], "224.0.0.251".parse().unwrap(), b"x"));
    assert_eq!(group, Err(DropReason::Multicast));
    let (to_a, to_phone) = (lab.mesh(0)[0], addresses[0]);
    lab.machines[2].tables = lab.machines[2].tables.lying(to_phone, to_a, to_a).into();
    let before = lab.drops(0, DropReason::SourceCheck);
    assert_eq!(lab.outbound(2, &packet(to_phone, to_a, b"I am the phone")), Outbound::Sealed);
    lab.run(SECOND);
    assert_eq!((lab.drops(0, DropReason::SourceCheck), lab.received(0).len()), (before + 1, 0));
}

#[test]
fn a_wish_is_granted_if_it_is_free() {
    let mut lab = Lab::with(&["b", "c"]);
    lab.add_guest(1, request("phone", 5, Some("10.7.0.77"))).unwrap();
    assert_eq!(lab.machines[1].node.hosted_guests()[&0].v4, None, "nobody has given it yet");
    lab.run(2 * SECOND);
    assert_eq!(lab.guest_address(2, "phone").to_string(), "10.7.0.77");
    for (wish, at) in [("10.7.0.77", 2), ("10.7.0.1", 1), ("10.7.0.77", 1)] {
        let taken = lab.add_guest(at, request("tablet", 6, Some(wish))).unwrap_err();
        assert!(matches!(taken, CommandError::Address(AddressError::Taken { .. })), "{wish} at {at}");
    }
    let assigned = lab.command(0, |node, now| node.assign("c", "10.7.0.77".parse().unwrap(), now));
    assert!(matches!(assigned, Err(CommandError::Address(AddressError::Taken { .. }))));
    assert!(lab.add_guest(1, request("tablet", 6, Some("10.8.0.1"))).is_err());
    assert!(lab.add_guest(1, request("tablet", 6, Some("fd00::1"))).is_err());
    // The block that it gets now is not the wish's neighbourhood, and what is left of it is given next.
    lab.add_guest(1, request("tablet", 6, None)).unwrap();
    lab.run(2 * SECOND);
    let tablet = lab.guest_address(0, "tablet");
    lab.add_guest(1, request("watch", 7, Some("10.7.0.225"))).unwrap();
    assert_eq!(
        (tablet.to_string().as_str(), lab.guest_address(1, "watch").to_string().as_str()),
        ("10.7.0.224", "10.7.0.225")
    );
}

#[test]
fn of_two_wishes_for_one_address_one_is_granted() {
    let mut lab = Lab::with(&["b", "c"]);
    for (at, guest) in [(1, "phone"), (2, "tablet")] {
        lab.add_guest(at, request(guest, 5, Some("10.7.0.77"))).unwrap();
    }
    lab.run(2 * SECOND);
    // Each host has other guests to be given addresses for.
    for (at, guest) in [(1, "watch"), (2, "reader")] {
        lab.add_guest(at, request(guest, 6, None)).unwrap();
    }
    lab.run(2 * SECOND);
    for at in 0..3 {
        let granted = ["phone", "tablet"].map(|guest| lab.guest_address(at, guest).is_ipv4());
        assert!(granted[0] ^ granted[1], "{granted:?} at {at}");
    }
}

#[test]
fn wishes_are_granted_as_far_as_they_fit_a_credential() {
    let mut lab = Lab::with(&["b"]);
    let wishes = PREFIXES_MAX as u8 + 4;
    for number in 0..wishes {
        let wish = format!("10.7.0.{}", 60 + 4 * number);
        lab.add_guest(1, request(&format!("guest{number}"), number, Some(&wish))).unwrap();
    }
    lab.run(3 * SECOND);
    let granted = (0..wishes).filter(|number| lab.guest_address(0, &format!("guest{number}")).is_ipv4());
    assert_eq!(granted.count(), PREFIXES_MAX);
}

#[test]
fn names_and_keys_are_had_once() {
    let mut lab = with_a_phone();
    publish(&mut lab, 2, web()).unwrap();
    lab.run(SECOND);
    for taken in ["phone", "a", "c", "web"] {
        for at in [1, 2] {
            let error = lab.add_guest(at, request(taken, 6, None)).unwrap_err();
            assert_eq!(error, CommandError::NameTaken(name(taken)), "at {at}");
        }
    }
    let error = lab.add_guest(1, request("tablet", 5, None)).unwrap_err();
    assert_eq!(error, CommandError::GuestKeyTaken(name("phone")));
    let elsewhere = lab.command(0, |node, now| node.remove_guest(&name("phone"), now)).unwrap_err();
    assert_eq!(elsewhere.to_string(), "phone is a guest of b: remove it there");
    let unknown = lab.command(0, |node, now| node.remove_guest(&name("nobody"), now)).unwrap_err();
    assert!(unknown.to_string().contains("hopmesh guest list"));
}

#[test]
fn a_removed_guest_is_gone_everywhere_and_its_host_says_so_again() {
    let mut lab = with_a_phone();
    let address = lab.guest_address(1, "phone");
    lab.command(1, |node, now| node.remove_guest(&name("phone"), now)).unwrap();
    assert!(lab.machines[1].hosted.is_empty(), "at once");
    assert!(matches!(lab.outbound(1, &packet(lab.mesh(1)[0], address, b"x")), Outbound::Unreachable(..)));
    lab.run(2 * SECOND);
    assert!((0..3).all(|at| lab.guest(at, "phone").is_none()));
    lab.outbound(2, &packet(lab.mesh(2)[0], address, b"x"));
    lab.run(SECOND);
    assert_eq!((lab.machines[1].for_guests.len(), lab.drops(1, DropReason::Destination)), (0, 1));
    lab.restart(1);
    lab.run(3 * SECOND);
    assert!((0..3).all(|at| lab.guest(at, "phone").is_none()));
}

#[test]
fn guests_survive_restarts_and_go_with_their_host() {
    let mut lab = with_a_phone();
    let before = lab.guest(1, "phone");
    for at in [1, 2, 0] {
        lab.restart(at);
        lab.run(3 * SECOND);
    }
    for at in 0..3 {
        assert_eq!(lab.guest(at, "phone"), before, "at {at}");
    }
    assert_eq!(lab.machines[1].node.hosted_guests().len(), 1);
    lab.command(0, |node, now| node.revoke("b", now)).unwrap();
    lab.run(2 * SECOND);
    assert!(lab.guest(0, "phone").is_none() && lab.guest(2, "phone").is_none());
    assert!(lab.machines[1].hosted.is_empty(), "a revoked host lets nobody in");
    assert_eq!(lab.add_guest(1, request("tablet", 6, None)), Err(CommandError::Revoked));
    let record = key_of_guest(lab.id(1), &name("phone"));
    assert!([0, 2].iter().all(|at| lab.machines[*at].node.registry.get(&record).is_none()));
    let free = lab.command(0, |node, now| node.assign("c", before.unwrap().addresses[0], now));
    assert!(free.is_ok(), "its block is free again");
}

#[test]
fn many_guests_get_more_blocks_and_there_is_an_end() {
    let mut lab = Lab::with(&["b"]);
    for number in 0..40 {
        lab.add_guest(1, request(&format!("guest{number}"), number, None)).unwrap();
        lab.run(SECOND / 4);
    }
    lab.run(3 * SECOND);
    let addresses: std::collections::BTreeSet<IpAddr> =
        (0..40).map(|number| lab.guest_address(0, &format!("guest{number}"))).collect();
    assert!(addresses.len() == 40 && addresses.iter().all(IpAddr::is_ipv4), "{addresses:?}");
    for number in 40..64 {
        lab.add_guest(1, request(&format!("guest{number}"), number, None)).unwrap();
    }
    lab.run(3 * SECOND);
    let with_v4 = (0..64).filter(|number| lab.guest_address(0, &format!("guest{number}")).is_ipv4());
    assert_eq!(with_v4.count(), 64, "a quarter of a /24");
    lab.add_guest(1, request("one-more", 99, None)).unwrap();
    lab.run(3 * SECOND);
    assert!(lab.guest_address(0, "one-more").is_ipv6(), "and no more");
}

#[test]
fn another_admin_steps_in_for_one_that_is_away() {
    let mut lab = Lab::with_two_admins();
    let c = 2;
    lab.machines[0].is_up = false;
    lab.add_guest(c, request("phone", 5, None)).unwrap();
    lab.run(SECOND);
    assert!(lab.guest_address(c, "phone").is_ipv6(), "it waits for who signed c's credentials");
    lab.run(Duration::from_secs(GRANT_DELAY_S + 1));
    assert!(lab.guest_address(c, "phone").is_ipv4());
}
