//! Joining packets of one flow into superpackets, under the rules by which the kernel does (`tcp_gro_receive`,
//! `inet_gro_receive`): what was cut by a sender becomes whole again, and nothing else does.
//!
//! ```text
//! batch ─open─▶ packets in one buffer ─push─▶ runs of packets that go on from each other
//!       ─finish─▶ the first packet's headers say the whole length ─▶ one gather write: headers, payload, payload, …
//! ```
//!
//! Runs point into the buffer that the datagrams came in; nothing is copied. What cannot be joined is a run of its own. Packets of
//! one flow stay in order; of others they may be written in another order than they came.

mod flow;

use super::Opened;
use super::header::set_length;
use flow::{Continuity, continuity};
use std::ops::Range;
use wire::offload::{Offload, Segments};
use wire::packet::Packet;
use wire::transport::{Transport, TransportKind};

/// Runs that still grow while others begin: packets of so many flows may alternate.
const FLOWS_MAX: usize = 8;
/// Packets of a run (`UDP_GRO_CNT_MAX` of Linux).
pub const RUN_MAX: usize = 64;
/// Longest packet that there is.
const LENGTH_MAX: usize = 65_535;

const NONE: u32 = u32::MAX;

/// One or more packets that are written together.
#[derive(Debug, Clone)]
struct Run {
    /// The first packet, whole.
    first: Range<usize>,
    packet: Packet,
    /// Absent in what never joins with others.
    transport: Option<Transport>,
    is_unsummed: bool,
    /// Payloads of the packets behind the first: positions of the first and the last in the list of pieces.
    pieces: (u32, u32),
    count: usize,
    /// Bytes of payload in each packet but the last.
    size: usize,
    /// Bytes of payload altogether.
    payload: usize,
    /// How the identification of IPv4 goes on, once there are two.
    step: Option<u16>,
    /// TCP flags of the last packet that belong to the whole.
    flags: u8,
    is_closed: bool,
}

/// A payload and the next one of its run.
#[derive(Debug, Clone)]
struct Piece {
    range: Range<usize>,
    next: u32,
}

/// What is to be written of one batch.
#[derive(Debug)]
pub struct Merger {
    runs: Vec<Run>,
    pieces: Vec<Piece>,
    joins: Joins,
}

/// What the kernel takes joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joins {
    /// Nothing.
    Nothing,
    /// TCP.
    Tcp,
    /// TCP and UDP.
    TcpAndUdp,
}

impl Merger {
    /// Room for a batch of so many packets; beyond that it grows once.
    #[must_use]
    pub fn with_room_for(packets: usize, joins: Joins) -> Self {
        Self { runs: Vec::with_capacity(packets), pieces: Vec::with_capacity(packets), joins }
    }

    fn joins(&self, kind: TransportKind) -> bool {
        match self.joins {
            Joins::Nothing => false,
            Joins::Tcp => kind == TransportKind::Tcp,
            Joins::TcpAndUdp => true,
        }
    }

    /// Takes a packet that was opened in `bytes`.
    pub fn push(&mut self, opened: &Opened, bytes: &[u8]) {
        let Opened { range, packet, transport, is_unsummed, guest: _ } = opened;
        let payload = transport.map_or(0, |transport| packet.length - transport.headers);
        let flags = transport.map_or(0, |transport| flow::tcp_flags(&transport, &bytes[range.clone()]));
        // What is not TCP or UDP, or has no payload, stays alone and ends no run but its flow's.
        if let Some(transport) = transport.as_ref().filter(|transport| self.joins(transport.kind))
            && let Some(at) = self.of_flow(transport, opened, bytes)
        {
            let run = &self.runs[at];
            match continuity(run, opened, bytes) {
                Continuity::Next { step } if self.may_join(at, opened, bytes) => {
                    return self.join(at, opened, payload, flags, step);
                }
                Continuity::Next { .. } | Continuity::None => self.runs[at].is_closed = true,
            }
        }
        let length = packet.length;
        self.runs.push(Run {
            first: range.start..range.start + length,
            packet: *packet,
            transport: *transport,
            is_unsummed: *is_unsummed,
            pieces: (NONE, NONE),
            count: 1,
            size: payload,
            payload,
            step: None,
            flags,
            is_closed: payload == 0 || flow::ends_run(flags) || flow::stands_alone(flags),
        });
    }

    /// The latest run of a packet's flow, of the last few.
    fn of_flow(&self, transport: &Transport, opened: &Opened, bytes: &[u8]) -> Option<usize> {
        let from = self.runs.len().saturating_sub(FLOWS_MAX);
        let is_same = |run: &Run| {
            run.packet.source == opened.packet.source
                && run.packet.destination == opened.packet.destination
                && run.transport.is_some_and(|other| {
                    other.kind == transport.kind
                        && flow::ports(&other, &bytes[run.first.clone()])
                            == flow::ports(transport, &bytes[opened.range.clone()])
                })
        };
        self.runs[from..].iter().rposition(is_same).map(|at| from + at)
    }

    /// Whether a packet that goes on from a run may be joined to it: there is room, and both checksums are right or were left out.
    fn may_join(&self, at: usize, opened: &Opened, bytes: &[u8]) -> bool {
        let run = &self.runs[at];
        let (Some(theirs), Some(ours)) = (run.transport, opened.transport) else { return false };
        let payload = opened.packet.length - ours.headers;
        let fits = !run.is_closed
            && run.count < RUN_MAX
            && (1..=run.size).contains(&payload)
            && theirs.headers + run.payload + payload <= LENGTH_MAX;
        let first_is_right =
            || run.is_unsummed || run.count > 1 || theirs.verifies(&run.packet, &bytes[run.first.clone()]);
        let is_right = || opened.is_unsummed || ours.verifies(&opened.packet, &bytes[opened.range.clone()]);
        fits && first_is_right() && is_right()
    }

    fn join(&mut self, at: usize, opened: &Opened, payload: usize, flags: u8, step: Option<u16>) {
        let position = self.pieces.len() as u32;
        let end = opened.range.start + opened.packet.length;
        self.pieces.push(Piece { range: end - payload..end, next: NONE });
        let run = &mut self.runs[at];
        match run.pieces.1 {
            NONE => run.pieces.0 = position,
            last => self.pieces[last as usize].next = position,
        }
        run.pieces.1 = position;
        run.count += 1;
        run.payload += payload;
        run.step = step;
        run.flags |= flags;
        run.is_closed = payload < run.size || flow::ends_run(flags);
    }

    /// Makes the headers of all runs those of what is written.
    pub fn finish(&mut self, bytes: &mut [u8]) {
        for run in self.runs.iter_mut().filter(|run| run.count > 1 || run.is_unsummed) {
            run.finish(&mut bytes[run.first.clone()]);
        }
    }

    /// What is to be written, in order.
    pub fn written(&self) -> impl Iterator<Item = Written<'_>> {
        self.runs.iter().map(|run| Written { run, pieces: &self.pieces })
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.pieces.clear();
    }
}

impl Run {
    fn finish(&mut self, head: &mut [u8]) {
        let Some(transport) = self.transport else { return };
        self.packet.length = transport.headers + self.payload;
        let length = self.packet.length;
        if self.count > 1 {
            set_length(&mut head[..transport.headers], &self.packet, &transport, length);
            if transport.kind == TransportKind::Tcp {
                head[transport.start + 13] |= self.flags & flow::OF_THE_WHOLE;
            }
        }
        let at = transport.start + transport.checksum_offset();
        head[at..at + 2].copy_from_slice(&transport.pseudo_header(&self.packet).folded());
    }

    fn offload(&self) -> Offload {
        let Some(transport) = self.transport.filter(|_| self.count > 1 || self.is_unsummed) else {
            return Offload::NONE;
        };
        let (checksum, kind) = (transport.partial_checksum(), transport.segment_kind(&self.packet));
        let segments = Segments { kind, size: self.size as u16, headers: transport.headers as u16 };
        Offload { checksum: Some(checksum), segments: (self.count > 1).then_some(segments) }
    }
}

/// One packet or superpacket to be written.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    run: &'a Run,
    pieces: &'a [Piece],
}

impl<'a> Written<'a> {
    /// What stands before it.
    #[must_use]
    pub fn offload(&self) -> Offload {
        self.run.offload()
    }

    /// Number of packets in it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.run.count
    }

    /// Where its parts stand in the buffer, at most [`RUN_MAX`].
    pub fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let mut next = self.run.pieces.0;
        let pieces = self.pieces;
        let behind = std::iter::from_fn(move || {
            let piece = pieces.get(next as usize)?;
            next = piece.next;
            Some(piece.range.clone())
        });
        std::iter::once(self.run.first.clone()).chain(behind)
    }
}

#[cfg(test)]
mod tests;
