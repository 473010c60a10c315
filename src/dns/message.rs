//! Messages: from the bytes of a question to the bytes of its answer (RFC 1035, RFC 6891).
//!
//! The one place that reads what others wrote. The header is looked at before anything is allocated by its word, and
//! a message has exactly one question (RFC 9619). What is no question gets no answer at all, so that two servers never
//! answer each other.

use hickory_proto::ProtoError;
use hickory_proto::op::{
    Edns, Header, HeaderCounts, Message, MessageType, Metadata, OpCode, Query, ResponseCode,
};
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};

use super::authority::{Answer, Authority};
use super::limits::{UDP_ANSWER_LENGTH_MAX, UDP_ANSWER_LENGTH_MIN};

/// What carries a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// What an answer was, to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) code: ResponseCode,
    /// Whether the name is there, but not what was asked for.
    pub(super) is_without_data: bool,
    pub(super) is_truncated: bool,
}

/// A question that was understood.
struct Request {
    metadata: Metadata,
    question: Query,
    /// Where the question ends in the message, in bytes.
    end: usize,
    edns: Option<Edns>,
}

/// What is wrong with a request, and what of it is answered to.
struct Fault {
    metadata: Metadata,
    code: ResponseCode,
}

/// Length of the header.
const HEADER_LENGTH: usize = 12;
/// Length of an OPT record without options.
const OPT_LENGTH: u16 = 11;

/// Puts the answer to `request` into `answer`; `None` when there is to be none.
pub(super) fn respond(
    request: &[u8],
    transport: Transport,
    authority: &Authority,
    answer: &mut Vec<u8>,
) -> Option<Outcome> {
    let outcome = match parse(request)? {
        Ok(request) => respond_to(&request, transport, authority, answer),
        Err(Fault { metadata, code }) => {
            let metadata = response(&metadata, code);
            encode(metadata, None, &Answer::empty(code), None, UDP_ANSWER_LENGTH_MIN, answer)
        }
    };
    // Every answer fits, or is cut: an error would be one of ours.
    outcome.inspect_err(|error| tracing::warn!(%error, "a DNS answer cannot be encoded")).ok()
}

/// Puts into `answer` that we cannot say; `None` when there is to be no answer.
pub(super) fn respond_unable(request: &[u8], answer: &mut Vec<u8>) -> Option<Outcome> {
    respond_empty(request, ResponseCode::ServFail, answer)
}

/// Puts into `answer` that there is no such name, without a word on how long that may be kept, so that nobody keeps it
/// (RFC 2308 section 5); `None` when there is to be no answer.
pub(super) fn respond_nowhere(request: &[u8], answer: &mut Vec<u8>) -> Option<Outcome> {
    respond_empty(request, ResponseCode::NXDomain, answer)
}

fn respond_empty(request: &[u8], code: ResponseCode, answer: &mut Vec<u8>) -> Option<Outcome> {
    let request = parse(request)?.ok()?;
    let metadata = response(&request.metadata, code);
    let (empty, edns) = (Answer::empty(code), request.edns.as_ref().map(|_| own_edns(code)));
    encode(metadata, Some(&request.question), &empty, edns.as_ref(), UDP_ANSWER_LENGTH_MIN, answer).ok()
}

/// The question of a request, and where it ends in the message, in bytes.
pub(super) fn parse_question_of(request: &[u8]) -> Option<(Query, usize)> {
    let request = parse(request)?.ok()?;
    Some((request.question, request.end))
}

/// The service that the answer to `request` depends on, when the zone does not know it.
pub(super) fn unknown(request: &[u8], authority: &Authority) -> Option<wire::Name> {
    if authority.knows_all() {
        return None;
    }
    authority.unknown(parse(request)?.ok()?.question.name())
}

fn respond_to(
    request: &Request,
    transport: Transport,
    authority: &Authority,
    into: &mut Vec<u8>,
) -> Result<Outcome, ProtoError> {
    let limit = match (transport, &request.edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, None) => UDP_ANSWER_LENGTH_MIN,
        (Transport::Udp, Some(edns)) => {
            edns.max_payload().clamp(UDP_ANSWER_LENGTH_MIN, UDP_ANSWER_LENGTH_MAX)
        }
    };
    let is_edns_known = request.edns.as_ref().is_none_or(|edns| edns.version() == 0);
    let answer = if is_edns_known {
        authority.answer(&request.question)
    } else {
        Answer::empty(ResponseCode::BADVERS)
    };
    let mut metadata = response(&request.metadata, answer.code);
    metadata.authoritative = matches!(answer.code, ResponseCode::NoError | ResponseCode::NXDomain);
    let edns = request.edns.as_ref().map(|_| own_edns(answer.code));
    encode(metadata, Some(&request.question), &answer, edns.as_ref(), limit, into)
}

/// Reads a request; `None` for what is none.
fn parse(bytes: &[u8]) -> Option<Result<Request, Fault>> {
    let mut decoder = BinDecoder::new(bytes);
    let Header { metadata, counts } = Header::read(&mut decoder).ok()?;
    if metadata.message_type == MessageType::Response {
        return None;
    }
    let fault = |code| Some(Err(Fault { metadata, code }));
    if metadata.op_code != OpCode::Query {
        return fault(ResponseCode::NotImp);
    }
    if (counts.queries, counts.answers, counts.authorities) != (1, 0, 0) {
        return fault(ResponseCode::FormErr);
    }
    let Some(question) = parse_question(&mut decoder) else { return fault(ResponseCode::FormErr) };
    let end = decoder.index();
    match Message::read_records(&mut decoder, usize::from(counts.additionals), true, OpCode::Query) {
        Ok((_, edns, _)) => Some(Ok(Request { metadata, question, end, edns })),
        Err(_) => fault(ResponseCode::FormErr),
    }
}

/// Reads the question. Its name comes first, so there is nothing that a pointer in it could point to.
fn parse_question(decoder: &mut BinDecoder<'_>) -> Option<Query> {
    let question = Query::read(decoder).ok()?;
    let length: usize = question.name.iter().map(|label| 1 + label.len()).sum();
    (decoder.index() == HEADER_LENGTH + length + 1 + 4).then_some(question)
}

fn response(request: &Metadata, code: ResponseCode) -> Metadata {
    let mut metadata = Metadata::response_from_request(request);
    metadata.response_code = code;
    metadata
}

fn own_edns(code: ResponseCode) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_ANSWER_LENGTH_MAX).set_rcode_high(code.high());
    edns
}

/// Writes a message of at most `limit` bytes. What does not fit of the answer is cut, and the message says so; what will
/// be asked for next is left out without a word.
fn encode(
    mut metadata: Metadata,
    question: Option<&Query>,
    answer: &Answer,
    edns: Option<&Edns>,
    limit: u16,
    into: &mut Vec<u8>,
) -> Result<Outcome, ProtoError> {
    into.clear();
    let mut encoder = BinEncoder::new(into);
    encoder.set_max_size(limit - edns.map_or(0, |_| OPT_LENGTH));
    let header = encoder.place::<Header>()?;
    let mut counts = HeaderCounts::default();
    if let Some(question) = question {
        question.emit(&mut encoder)?;
        counts.queries = 1;
    }
    let mut is_whole = true;
    for (section, count) in
        [(&answer.answers, &mut counts.answers), (&answer.authorities, &mut counts.authorities)]
    {
        if is_whole {
            (*count, is_whole) = emit(&mut encoder, section)?;
        }
    }
    if is_whole {
        (counts.additionals, _) = emit(&mut encoder, &answer.additionals)?;
    }
    if let Some(edns) = edns {
        encoder.set_max_size(limit);
        Record::from(edns).emit(&mut encoder)?;
        counts.additionals += 1;
    }
    metadata.truncation = !is_whole;
    header.replace(&mut encoder, Header { metadata, counts })?;
    // Where a record did not fit, its beginning is still there.
    let end = encoder.offset();
    into.truncate(end);
    let is_without_data = metadata.response_code == ResponseCode::NoError && answer.answers.is_empty();
    Ok(Outcome { code: metadata.response_code, is_without_data, is_truncated: !is_whole })
}

/// Writes records as long as they fit: how many, and whether these were all.
fn emit(encoder: &mut BinEncoder<'_>, records: &[Record]) -> Result<(u16, bool), ProtoError> {
    let (count, is_whole) = match encoder.emit_all(records.iter()) {
        Ok(count) => (count, true),
        Err(ProtoError::NotAllRecordsWritten { count, .. }) => (count, false),
        Err(error) => return Err(error),
    };
    Ok((u16::try_from(count).expect("a message of 64 KiB has fewer records"), is_whole))
}

#[cfg(test)]
mod tests;
