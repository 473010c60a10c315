//! The corpus is real, complete, and harmless however it is damaged.
//!
//! After a change of the formats: `HOPMESH_WRITE_CORPUS=1 cargo test -p hopmesh-fuzz-bodies`. Inputs that a fuzzer found
//! stay beside the written ones and are replayed like them.

#![expect(clippy::disallowed_methods, reason = "a test reads its inputs from files")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use fuzz_bodies::corpus::corpus;
use fuzz_bodies::{Body, TARGETS, body};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn names_in(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(fuzz().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs a body and says which input it broke on.
fn run(body: Body, what: &str, bytes: &[u8]) {
    let outcome = std::panic::catch_unwind(|| body(bytes));
    assert!(outcome.is_ok(), "{what} breaks a promise: {bytes:02x?}");
}

#[test]
fn the_corpus_is_what_the_code_writes() {
    let writes = std::env::var_os("HOPMESH_WRITE_CORPUS").is_some();
    for (target, name, bytes) in corpus() {
        let path = fuzz().join("corpus").join(target).join(name);
        if writes {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        let read = std::fs::read(&path).unwrap_or_else(|e| panic!("{target}/{name}: {e}"));
        assert!(read == bytes, "{target}/{name} is not what the code writes: write the corpus anew");
    }
}

#[test]
fn the_corpus_reaches_what_lies_behind_the_parsers() {
    for (target, name, bytes) in corpus() {
        assert_eq!(body(target)(&bytes), !name.starts_with("refused-"), "{target}/{name}");
    }
}

#[test]
fn every_body_has_a_target_and_a_corpus() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names_in("corpus"), known);
    let files: BTreeSet<String> = known.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names_in("fuzz_targets"), files);
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &known {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "fuzz/Cargo.toml has no {name}");
        let source = std::fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(source.contains(&format!("body(\"{name}\")")), "{name}.rs runs another body");
    }
}

#[test]
fn the_corpus_and_all_its_damaged_variants_keep_the_promises() {
    for (target, body) in TARGETS {
        for name in names_in(&format!("corpus/{target}")) {
            let what = format!("{target}/{name}");
            let bytes = std::fs::read(fuzz().join("corpus").join(target).join(&name)).unwrap();
            run(body, &what, &bytes);
            for length in 0..bytes.len() {
                run(body, &format!("{what} cut to {length}"), &bytes[..length]);
            }
            for at in 0..bytes.len() {
                for flip in [0x01, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    run(body, &format!("{what} with byte {at} flipped by {flip:#x}"), &damaged);
                }
            }
            run(body, &format!("{what} and a byte"), &[&bytes[..], &[0]].concat());
        }
    }
}

#[test]
fn trains_of_any_packets_keep_the_promises() {
    let mut state = 7u64;
    let mut dice = |sides: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    };
    let trains: Vec<Vec<u8>> =
        corpus().into_iter().filter(|(target, ..)| *target == "merge").map(|(.., bytes)| bytes).collect();
    let mut joined = 0;
    for _ in 0..4000 {
        let mut bytes = Vec::new();
        for _ in 0..1 + dice(40) {
            if bytes.is_empty() || dice(6) == 0 {
                // The first packet of a train: its flags, its length, itself.
                let train = &trains[dice(trains.len() as u64) as usize];
                bytes.extend(&train[..3 + usize::from(u16::from_le_bytes([train[1], train[2]]))]);
            }
            // The next one: mostly right, sometimes with its checksums left out or something changed.
            let flags = if dice(3) == 0 { dice(16) as u8 | 8 } else { 14 };
            let changes: Vec<u8> = match dice(4) {
                0 => vec![dice(60) as u8, 1 << dice(8)],
                _ => vec![],
            };
            bytes.extend([flags, changes.len() as u8, 0]);
            bytes.extend(changes);
        }
        joined += u32::from(body("merge")(&bytes));
    }
    assert!(joined > 2000, "{joined} of 4000 were joined: the others show nothing");
}

#[test]
fn datagrams_and_packets_of_every_length_keep_the_promises() {
    for first in [0x45, 0x60, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8] {
        let mut state = 1u32;
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(65_507)
        .collect();
        bytes[..4].copy_from_slice(&[first, 1, 0, 0]);
        for length in 0..=bytes.len() {
            body("datagram")(&bytes[..length]);
            body("packet")(&bytes[..length]);
        }
    }
}
