//! Which names leave this machine.

use hickory_proto::rr::{DNSClass, Name, RecordType};

use crate::dns::authority::Authority;
use crate::dns::message::parse_question_of;

/// A question about a name that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dns) enum Foreign {
    /// It may be passed on; the question itself ends here, in bytes from the start of the message.
    Passes(usize),
    /// It stays here, and there is no such name.
    Stays,
}

/// Last labels of names that mean nothing to the resolvers of others: this machine (RFC 6761), its links (RFC 6762), insides
/// (`internal` is reserved for them), nothing, and what is no DNS (RFC 7686, RFC 9476).
const STAYING: [&[u8]; 6] = [b"localhost", b"local", b"internal", b"invalid", b"onion", b"alt"];

/// Whether `request` asks about a name that is not ours, and whether that may be passed on; `None` where it is ours, or no
/// question that is answered at all.
///
/// Names of one label stay here: they are machines' and come of a search list that was forgotten. Only a validator asks about
/// them in earnest, for the keys of a top-level domain. Reverse names pass, but for those of our own ranges: the host's
/// resolver may know the addresses of its office, and is the one to keep them from the internet (RFC 6303).
pub(in crate::dns) fn foreign(request: &[u8], authority: &Authority) -> Option<Foreign> {
    let (question, end) = parse_question_of(request)?;
    let is_answered = question.query_class == DNSClass::IN
        && ![RecordType::AXFR, RecordType::IXFR].contains(&question.query_type);
    if !is_answered || authority.is_ours(&question.name) {
        return None;
    }
    let is_key = [RecordType::DS, RecordType::DNSKEY].contains(&question.query_type);
    Some(if may_leave(&question.name, is_key) { Foreign::Passes(end) } else { Foreign::Stays })
}

fn may_leave(name: &Name, is_key: bool) -> bool {
    let Some(last) = name.iter().next_back() else { return true };
    let stays = STAYING.iter().any(|staying| last.eq_ignore_ascii_case(staying));
    !stays && (name.iter().len() > 1 || is_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_names_stay_and_others_leave() {
        let leaves = |text: &str| may_leave(&Name::from_ascii(text).unwrap(), false);
        for outer in
            ["example.org.", "www.example.org.", "internal.example.", "9.1.168.192.in-addr.arpa.", "a.lan."]
        {
            assert!(leaves(outer), "{outer}");
        }
        for inner in [
            "printer.",
            "LOCALHOST.",
            "a.localhost.",
            "nas.Local.",
            "web.other.internal.",
            "x.onion.",
            "com.",
        ] {
            assert!(!leaves(inner), "{inner}");
        }
        assert!(may_leave(&Name::from_ascii("com.").unwrap(), true) && leaves("."));
        assert!(!may_leave(&Name::from_ascii("internal.").unwrap(), true));
    }
}
