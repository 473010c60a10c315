//! What stands before a packet at a TUN with offload: `struct virtio_net_hdr` (virtio 1.2 section 5.1.6, Linux's
//! `include/uapi/linux/virtio_net.h`), in the machine's byte order.
//!
//! It says what the kernel has left undone in a packet that we read, and what it may assume of one that we write: that a
//! checksum is not made yet, and that the packet stands for many (a superpacket) that are to be cut from it.

/// Bytes of the header.
pub const OFFLOAD_LENGTH: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const SEGMENT_NONE: u8 = 0;
const SEGMENT_TCP4: u8 = 1;
const SEGMENT_TCP6: u8 = 4;
const SEGMENT_UDP: u8 = 5;
/// A bit besides: the first segment has CWR set.
const SEGMENT_ECN: u8 = 0x80;

/// The state of a packet at the TUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offload {
    /// Where a checksum is to be made; none where it has been, or there is none.
    pub checksum: Option<PartialChecksum>,
    /// How the packet is to be cut; none for one that goes as it is.
    pub segments: Option<Segments>,
}

/// A checksum of which only the pseudo-header's sum stands in its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialChecksum {
    /// Bytes from the packet's begin to what is summed, up to the packet's end.
    pub start: u16,
    /// Bytes from there to the field.
    pub offset: u16,
}

/// How a superpacket is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// What it carries.
    pub kind: SegmentKind,
    /// Bytes of payload in each but the last, which has what is left.
    pub size: u16,
    /// Bytes of all headers; a hint for the kernel.
    pub headers: u16,
}

/// What a superpacket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP datagrams, over either.
    Udp,
}

/// A header that says what we do not know: the packet behind it cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("offload of kind {0:#x} is not known")]
pub struct UnknownOffload(u8);

impl Offload {
    /// A whole packet, nothing left undone.
    pub const NONE: Self = Self { checksum: None, segments: None };

    /// Reads a header.
    ///
    /// # Errors
    /// [`UnknownOffload`] for a kind of segmentation that nobody asked the kernel for.
    pub fn parse(header: &[u8; OFFLOAD_LENGTH]) -> Result<Self, UnknownOffload> {
        let word = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let checksum =
            (header[0] & NEEDS_CHECKSUM != 0).then(|| PartialChecksum { start: word(6), offset: word(8) });
        let kind = match header[1] & !SEGMENT_ECN {
            SEGMENT_NONE => None,
            SEGMENT_TCP4 => Some(SegmentKind::Tcp4),
            SEGMENT_TCP6 => Some(SegmentKind::Tcp6),
            SEGMENT_UDP => Some(SegmentKind::Udp),
            unknown => return Err(UnknownOffload(unknown)),
        };
        let segments = kind.map(|kind| Segments { kind, size: word(4), headers: word(2) });
        Ok(Self { checksum, segments })
    }

    /// The header.
    #[must_use]
    pub fn encode(&self) -> [u8; OFFLOAD_LENGTH] {
        let mut header = [0; OFFLOAD_LENGTH];
        let mut put = |at: usize, word: u16| header[at..at + 2].copy_from_slice(&word.to_ne_bytes());
        if let Some(Segments { size, headers, .. }) = self.segments {
            put(2, headers);
            put(4, size);
        }
        if let Some(PartialChecksum { start, offset }) = self.checksum {
            put(6, start);
            put(8, offset);
            header[0] = NEEDS_CHECKSUM;
        }
        header[1] = match self.segments.map(|segments| segments.kind) {
            None => SEGMENT_NONE,
            Some(SegmentKind::Tcp4) => SEGMENT_TCP4,
            Some(SegmentKind::Tcp6) => SEGMENT_TCP6,
            Some(SegmentKind::Udp) => SEGMENT_UDP,
        };
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_were() {
        let checksum = Some(PartialChecksum { start: 20, offset: 16 });
        for kind in [SegmentKind::Tcp4, SegmentKind::Tcp6, SegmentKind::Udp] {
            let segments = Some(Segments { kind, size: 1368, headers: 52 });
            let offload = Offload { checksum, segments };
            assert_eq!(Offload::parse(&offload.encode()), Ok(offload));
        }
        assert_eq!(Offload::NONE.encode(), [0; OFFLOAD_LENGTH]);
        assert_eq!(Offload::parse(&[0; OFFLOAD_LENGTH]), Ok(Offload::NONE));
    }

    #[test]
    fn the_bytes_are_the_kernels() {
        let segments = Some(Segments { kind: SegmentKind::Tcp6, size: 0x0102, headers: 60 });
        let offload = Offload { checksum: Some(PartialChecksum { start: 40, offset: 16 }), segments };
        let ne = |word: u16| word.to_ne_bytes();
        let expected = [&[1, 4][..], &ne(60), &ne(0x0102), &ne(40), &ne(16)].concat();
        assert_eq!(offload.encode().to_vec(), expected);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for kind in [2, 3, 6, 0x7f] {
            let mut header = [0; OFFLOAD_LENGTH];
            header[1] = kind;
            assert_eq!(Offload::parse(&header), Err(UnknownOffload(kind)));
        }
        let mut header = [0; OFFLOAD_LENGTH];
        header[1] = SEGMENT_TCP4 | SEGMENT_ECN;
        assert!(Offload::parse(&header).unwrap().segments.is_some());
    }
}
