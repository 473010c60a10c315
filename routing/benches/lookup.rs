//! Look-up in the route table: what each packet pays, twice.

use divan::{Bencher, black_box, counter::ItemsCount};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use routing::RouteTable;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses asked for in one go; enough that the branch predictor learns nothing by heart.
const QUESTIONS: usize = 1024;

fn main() {
    divan::main();
}

/// The `i`th address of a network: scattered over a /8, as assignment by several admins leaves them.
fn ipv4(i: usize) -> Ipv4Addr {
    let scattered = (i as u32).wrapping_mul(0x9e37_79b1) >> 8;
    Ipv4Addr::from(10 << 24 | scattered)
}

/// The `i`th node's IPv6 address: a hash inside the network's /48.
fn ipv6(i: usize) -> Ipv6Addr {
    let hash = (i as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) >> 48;
    Ipv6Addr::from(0xfd07_0707_0707 << 80 | hash)
}

/// A table of `prefixes` routes, half of each family, as nodes with one address of each have.
fn table(prefixes: usize) -> RouteTable<usize> {
    let ipv4 = (0..prefixes / 2).map(|i| (IpNet::from(Ipv4Net::from(ipv4(i))), i));
    let ipv6 = (0..prefixes / 2).map(|i| (IpNet::from(Ipv6Net::from(ipv6(i))), i));
    ipv4.chain(ipv6).collect()
}

fn ask(bencher: Bencher, prefixes: usize, address: impl Fn(usize) -> IpAddr) {
    let table = table(prefixes);
    let questions: Vec<IpAddr> = (0..QUESTIONS).map(|i| address(i * 7919 % (prefixes / 2))).collect();
    assert!(questions.iter().all(|address| table.lookup(*address).is_some()));
    bencher.counter(ItemsCount::new(QUESTIONS)).bench_local(|| {
        for address in &questions {
            black_box(table.lookup(black_box(*address)));
        }
    });
}

#[divan::bench(args = [10, 1000, 100_000])]
fn lookup_ipv4(bencher: Bencher, prefixes: usize) {
    ask(bencher, prefixes, |i| ipv4(i).into());
}

#[divan::bench(args = [10, 1000, 100_000])]
fn lookup_ipv6(bencher: Bencher, prefixes: usize) {
    ask(bencher, prefixes, |i| ipv6(i).into());
}

#[divan::bench(args = [10, 1000, 100_000])]
fn build(bencher: Bencher, prefixes: usize) {
    bencher.counter(ItemsCount::new(prefixes)).bench_local(|| table(black_box(prefixes)));
}
