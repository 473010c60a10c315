//! What only the Node does: handshakes and credentials.

use crate::pair::{Pair, memberships};
use divan::Bencher;
use divan::counter::ItemsCount;
use wire::Chain;
use wire::handshake::Suite;

/// From the initiation until both nodes are connected, know each other's records and are silent: both sides' work.
#[divan::bench]
fn handshake(bencher: Bencher) {
    bencher
        .counter(ItemsCount::new(1usize))
        .with_inputs(|| Pair::strangers(Suite::Aes256Gcm))
        .bench_local_refs(Pair::connect);
}

/// Credentials of the founder (one signature) and of a member (two).
#[divan::bench(args = [1, 2])]
fn verify_chain(bencher: Bencher, signatures: usize) {
    let memberships = memberships();
    let (_, network) = &memberships[signatures - 1];
    let (id, bytes) = (network.id(), network.chain.encode());
    assert_eq!(Chain::verify(&bytes, &id).as_ref(), Ok(&network.chain));
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| Chain::verify(divan::black_box(&bytes), &id));
}
