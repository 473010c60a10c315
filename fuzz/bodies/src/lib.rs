//! What every parser promises about any bytes, as one function for each: it panics when a promise is broken.
//!
//! cargo-fuzz calls these with bytes of its own (`fuzz/fuzz_targets`), and an ordinary test replays the corpus and
//! its damaged variants with them (`tests/replay.rs`). Beyond "no panic" the promise is mostly: what is accepted
//! encodes back to the very same bytes, so that nothing has two encodings. Cutting and joining packets promise that each undoes
//! the other.

pub mod corpus;
mod credential;
mod datagram;
mod hint;
mod merge;
mod message;
mod packet;
mod plain;
mod record;
mod split;
mod text;
pub mod world;

mod state;

/// A body: takes any bytes, returns when all promises hold, and says whether the bytes were accepted as something.
pub type Body = fn(&[u8]) -> bool;

/// Every target by the name of its file in `fuzz/fuzz_targets` and its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Body); 17] = [
    ("bep5", hint::bep5),
    ("chain", credential::chain),
    ("claims", credential::claims),
    ("configuration", text::configuration),
    ("content", record::content),
    ("control", message::control),
    ("datagram", datagram::datagram),
    ("enrolment", message::enrolment),
    ("handshake", message::handshake),
    ("hint", hint::hint),
    ("invite", text::invite),
    ("merge", merge::merge),
    ("name", text::name),
    ("packet", packet::packet),
    ("record", record::record),
    ("split", split::split),
    ("state", state::state),
];

/// The body of a target.
///
/// # Panics
/// When there is no such target.
#[must_use]
pub fn body(target: &str) -> Body {
    TARGETS.iter().find(|(name, _)| *name == target).expect("targets are listed in TARGETS").1
}
