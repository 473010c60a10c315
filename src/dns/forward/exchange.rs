//! One question to one upstream, and its answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::dns::counters::Counters;
use crate::dns::limits::{UNFIT_ANSWERS_MAX, UPSTREAM_ANSWER_LENGTH_MAX};
use crate::dns::message::Transport;
use crate::io::entropy;

/// Length of the header.
const HEADER_LENGTH: usize = 12;
/// Length of the id, which comes first.
const ID_LENGTH: usize = 2;
/// Type and class, which end a question.
const KIND_LENGTH: usize = 4;

/// A message that was understood: exactly one question, which begins behind the header.
pub(super) struct Question<'a> {
    pub(super) bytes: &'a [u8],
    /// Where its question ends.
    pub(super) end: usize,
}

/// Asks, and gives the first answer that is one, with the id of the question. Wait no longer than one likes.
pub(super) async fn exchange(
    upstream: SocketAddr,
    transport: Transport,
    question: &Question<'_>,
    counters: &Counters,
) -> io::Result<Vec<u8>> {
    // An id and, by the kernel, a port that nobody can guess (RFC 5452 section 9.2).
    let mut asked = question.bytes.to_vec();
    entropy::fill(&mut asked[..ID_LENGTH]);
    let mut answer = match transport {
        Transport::Udp => by_udp(upstream, &asked, question.end, counters).await?,
        Transport::Tcp => by_tcp(upstream, &asked, question.end, counters).await?,
    };
    answer[..ID_LENGTH].copy_from_slice(&question.bytes[..ID_LENGTH]);
    Ok(answer)
}

/// Whether an upstream says that it cannot or does not want to answer: another one may.
pub(super) fn says_no(answer: &[u8]) -> bool {
    const SERVFAIL: u8 = 2;
    const NOTIMP: u8 = 4;
    const REFUSED: u8 = 5;
    matches!(answer[3] & 15, SERVFAIL | NOTIMP | REFUSED)
}

async fn by_udp(upstream: SocketAddr, asked: &[u8], end: usize, counters: &Counters) -> io::Result<Vec<u8>> {
    let any = match upstream {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // From now on it hears nobody else.
    socket.connect(upstream).await?;
    socket.send(asked).await?;
    let mut answer = vec![0; UPSTREAM_ANSWER_LENGTH_MAX];
    for _ in 0..UNFIT_ANSWERS_MAX {
        let length = socket.recv(&mut answer).await?;
        if fits(asked, end, &answer[..length]) {
            answer.truncate(length);
            return Ok(answer);
        }
        counters.forward_unfit();
    }
    Err(unfit())
}

async fn by_tcp(upstream: SocketAddr, asked: &[u8], end: usize, counters: &Counters) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).await?;
    let length = u16::try_from(asked.len()).expect("a question is at most QUESTION_LENGTH_MAX long");
    stream.write_all(&[&length.to_be_bytes(), asked].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    if fits(asked, end, &answer) {
        return Ok(answer);
    }
    counters.forward_unfit();
    Err(unfit())
}

fn unfit() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its answers are to other questions")
}

/// Whether an answer is to this question: id, name, type and class. Upstreams may write the name in another case.
fn fits(asked: &[u8], end: usize, answer: &[u8]) -> bool {
    const RESPONSE: u8 = 0x80;
    const OPCODE: u8 = 0x78;
    let Some(answer) = answer.get(..end) else { return false };
    let kind = end - KIND_LENGTH;
    answer[..ID_LENGTH] == asked[..ID_LENGTH]
        && answer[2] & (RESPONSE | OPCODE) == RESPONSE
        && answer[4..6] == [0, 1]
        && answer[HEADER_LENGTH..kind].eq_ignore_ascii_case(&asked[HEADER_LENGTH..kind])
        && answer[kind..] == asked[kind..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_id_and_the_question_that_was_asked() {
        let asked = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x03org\0\0\x41\0\x01".to_vec();
        let end = asked.len();
        let mut good = asked.clone();
        good[2] |= 0x80;
        good.extend(b"more");
        assert!(fits(&asked, end, &good));
        let mut other_case = good.clone();
        other_case[13] = b'A';
        assert!(fits(&asked, end, &other_case));
        // Id, response, operation, number of questions, name, type (another letter in the other case), class.
        for (at, byte) in [(0, 0x13), (1, 0), (2, 1), (2, 0x91), (5, 2), (13, b'b'), (20, 0x61), (22, 3)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(!fits(&asked, end, &bad), "{at}");
        }
        assert!(!fits(&asked, end, &good[..end - 1]) && !fits(&asked, end, b""));
    }
}
