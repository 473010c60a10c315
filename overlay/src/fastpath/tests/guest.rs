//! What is for a guest fits its tunnel and is whole; what comes from one says how long answers may be.

use super::mtu::{partial, size_of, syn};
use super::*;
use crate::GuestRequest;
use wire::GuestKey;

/// The segment sizes for packets of [`GUEST_MTU`] bytes, IPv4 and IPv6.
const SIZES: [u16; 2] = [GUEST_MTU - 40, GUEST_MTU - 60];

fn verifies(packet: &[u8]) -> bool {
    let parsed = Packet::parse(packet).unwrap();
    Transport::of(&parsed, packet).unwrap().verifies(&parsed, packet)
}

fn given(offload: Offload, packet: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![];
    for_guest(offload, &mut packet.to_vec(), |part| all.push(part.to_vec())).unwrap();
    all
}

#[test]
fn a_superpacket_reaches_a_guest_in_packets_that_fit_with_checksums() {
    let pair = Pair::new();
    for family in [0, 1] {
        let payload: Vec<u8> = (0..5000).map(|n| (n % 251) as u8).collect();
        let whole = tcp(pair.a[family], pair.b[family], &payload);
        let parts = given(left_out(&whole, Some(1400)), &partial(&whole));
        assert!(parts.len() >= 5 && parts.iter().all(|part| part.len() <= GUEST_MTU.into()));
        assert!(parts.iter().all(|part| verifies(part)));
        let headers = whole.len() - payload.len();
        let carried: Vec<u8> = parts.iter().flat_map(|part| part[headers..].to_vec()).collect();
        assert_eq!(carried, payload);
        let one = tcp(pair.a[family], pair.b[family], b"x");
        assert_eq!(
            given(left_out(&one, None), &partial(&one)),
            [one],
            "a checksum that was left out is made"
        );
    }
}

#[test]
fn both_ends_of_a_connection_hear_what_a_guests_tunnel_takes() {
    let mut lab = Lab::with(&["b"]);
    let phone = GuestRequest { name: "phone".parse().unwrap(), key: GuestKey([5; 32]), address: None };
    lab.command(1, |node, now| node.add_guest(phone, now)).unwrap();
    lab.run(2 * SECOND);
    let guest = lab.machines[1].node.guests().remove(0).addresses;
    let tables = lab.machines[1].tables.clone();
    for ((family, size), own) in SIZES.into_iter().enumerate().zip(lab.mesh(0)) {
        let mut from = syn(guest[family], own, 1460);
        assert_eq!(from_guest(&tables, 0, &mut from), Ok(FromGuest::Onward));
        let to = given(Offload::NONE, &syn(own, guest[family], 1460)).remove(0);
        let short = given(Offload::NONE, &syn(own, guest[family], 500)).remove(0);
        assert_eq!([&from, &to, &short].map(|syn| size_of(syn)), [size, size, 500]);
        assert!([&from, &to, &short].iter().all(|syn| verifies(syn)));
    }
}
