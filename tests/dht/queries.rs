//! Values, announcements, and the life of a client.

use std::collections::BTreeSet;
use std::net::UdpSocket;

use hopmesh::discovery::dht::{COMMANDS_MAX, Ended, Event};
use overlay::DhtRequest;
use wire::mailbox::{Slot, VALUE_LENGTH_MAX, rendezvous};
use wire::{NetworkSecret, NodeId};

use crate::network::{client, get, network, ping, put, until};

fn slot(day: u64) -> Slot {
    Slot::of_hint(&NetworkSecret::new(1, [7; 32]), day, &NodeId([1; 32]))
}

#[tokio::test]
async fn what_one_client_stores_the_other_finds_and_the_newer_value_wins() {
    let network = network();
    let (mut a, mut b) = (client(&network.bootstrap[..2]), client(&network.bootstrap[18..]));
    let seed = *slot(1).seed();
    assert_eq!(get(&mut b, seed).await, [], "nothing is there yet");
    assert!(put(&mut a, seed, b"first", 100).await > 10, "most nodes have it");
    assert_eq!(get(&mut b, seed).await, [(100, b"first".to_vec())]);
    assert!(put(&mut a, seed, b"first", 100).await > 10, "it is put again before the nodes forget it");
    let longest = vec![0xff; VALUE_LENGTH_MAX];
    assert!(put(&mut b, seed, &longest, 101).await > 10, "who has the seed may write");
    let values = get(&mut a, seed).await;
    assert_eq!(values.last(), Some(&(101, longest)));
    assert_eq!(put(&mut a, seed, b"old", 99).await, 0, "the nodes keep what is newer");
    assert_eq!(get(&mut b, seed).await.last().unwrap().0, 101);
    assert_eq!(get(&mut b, *slot(2).seed()).await, [], "another day is another key");
}

#[tokio::test]
async fn values_that_no_node_would_take_are_refused_here() {
    let network = network();
    let mut a = client(&network.bootstrap[..1]);
    let seed = *slot(3).seed();
    assert_eq!(put(&mut a, seed, &vec![0; VALUE_LENGTH_MAX + 1], 1).await, 0);
    assert_eq!(put(&mut a, seed, b"x", u64::MAX).await, 0, "BEP 44 counts to 2^63");
    assert_eq!(get(&mut a, seed).await, []);
}

#[tokio::test]
async fn members_that_announce_themselves_are_found_while_others_announce() {
    let network = network();
    let (mut a, mut b) = (client(&network.bootstrap[..1]), client(&network.bootstrap[5..6]));
    let info_hash = rendezvous(&NetworkSecret::new(1, [7; 32]), 1);
    // All at once: in the crate, a lookup takes an announcement's query under the same hash for its own.
    a.command(DhtRequest::Announce { info_hash, port: 41_820 }).unwrap();
    a.command(DhtRequest::Announce { info_hash, port: 41_820 }).unwrap();
    a.command(DhtRequest::Lookup { info_hash }).unwrap();
    let mut found = BTreeSet::new();
    let told = until(&mut a, |event| match event {
        Event::Peers { info_hash: of, addresses } if *of == info_hash => {
            assert!(addresses.iter().all(|address| found.insert(*address)), "each is told once");
            None
        }
        Event::Ended(Ended::Announce { announced, .. }) => {
            assert!(announced);
            None
        }
        Event::Ended(Ended::Lookup { addresses, .. }) => Some(*addresses),
        _ => None,
    });
    assert_eq!(told.await, 1);
    b.command(DhtRequest::Lookup { info_hash }).unwrap();
    let addresses = until(&mut b, |event| match event {
        Event::Peers { addresses, .. } => Some(addresses.clone()),
        _ => None,
    });
    let addresses: Vec<String> = addresses.await.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.1:41820"], "the address is what the nodes see, the port what was said");
}

#[tokio::test]
async fn a_client_tells_that_it_has_entered_and_whom_it_may_ask_for_its_address() {
    let network = network();
    let mut a = client(&network.bootstrap[..1]);
    let entered = |event: &Event| match event {
        Event::State(state) if state.bootstrapped => Some(state.clone()),
        _ => None,
    };
    let state = until(&mut a, entered).await;
    assert!(state.nodes > 0 && !state.contacts.is_empty() && state.contacts.len() <= 8, "{state:?}");
    let (ours, seen) = ping(&state.contacts[0].to_string());
    assert_eq!(seen, ours);
    a.command(DhtRequest::Refresh).unwrap();
    let seed = *slot(4).seed();
    assert!(put(&mut a, seed, b"x", 1).await > 10, "with a new socket all goes on");
}

#[tokio::test]
async fn an_island_answers_at_once_and_is_entered_when_the_first_node_comes() {
    // Nobody is at that port: the socket only keeps it free for a node that comes later.
    let reserved = UdpSocket::bind("127.0.0.1:0").unwrap();
    let entry = reserved.local_addr().unwrap();
    let mut a = client(&[entry.to_string()]);
    let seed = *slot(5).seed();
    assert_eq!(put(&mut a, seed, b"x", 1).await, 0);
    assert_eq!(get(&mut a, seed).await, []);
    drop(reserved);
    let mut builder = mainline::Dht::builder();
    builder.server_mode().no_bootstrap().port(entry.port()).bind_address([127, 0, 0, 1].into());
    let _node = builder.build().unwrap();
    until(&mut a, |event| matches!(event, Event::State(state) if state.bootstrapped).then_some(())).await;
}

#[tokio::test]
async fn too_many_commands_are_refused_and_all_others_end() {
    let network = network();
    let mut a = client(&network.bootstrap[..1]);
    let get = |n: usize| DhtRequest::Get { seed: [n as u8; 32] };
    let taken = (0..2 * COMMANDS_MAX).filter(|n| a.command(get(*n)).is_ok()).count();
    assert_eq!(taken, COMMANDS_MAX, "nobody has taken any yet");
    let mut ended = BTreeSet::new();
    until(&mut a, |event| {
        if let Event::Ended(Ended::Get { seed, .. }) = event {
            ended.insert(seed[0]);
        }
        (ended.len() == taken).then_some(())
    })
    .await;
}
