//! What a question wants: the types that there are records of here, and those that are asked for otherwise.

use hickory_proto::rr::RecordType;

/// What is wanted of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    A,
    Aaaa,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
    /// Whatever there is.
    Any,
    /// The whole zone.
    Transfer,
    /// A type of which nothing has records here.
    Other,
}

const KNOWN: [(RecordType, Wanted); 10] = [
    (RecordType::A, Wanted::A),
    (RecordType::AAAA, Wanted::Aaaa),
    (RecordType::NS, Wanted::Ns),
    (RecordType::PTR, Wanted::Ptr),
    (RecordType::SOA, Wanted::Soa),
    (RecordType::SRV, Wanted::Srv),
    (RecordType::TXT, Wanted::Txt),
    (RecordType::ANY, Wanted::Any),
    (RecordType::AXFR, Wanted::Transfer),
    (RecordType::IXFR, Wanted::Transfer),
];

impl From<RecordType> for Wanted {
    fn from(kind: RecordType) -> Self {
        KNOWN.iter().find(|(known, _)| *known == kind).map_or(Self::Other, |(_, wanted)| *wanted)
    }
}
