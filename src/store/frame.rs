//! How a file's content is framed, so that no damage goes unnoticed.
//!
//! ```text
//! "HOPMESH1" · length of name (1) · name · length of content (4, big-endian) · SHA-256 of all before and of the content · content
//! ```
//!
//! The name keeps a file from being read as another; the length and the digest tell a cut or flipped one.

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

use super::{CONTENT_SIZE_MAX, StateFile};

const MAGIC: &[u8; 8] = b"HOPMESH1";
/// What files of every version begin with; a digit follows that no later version than this one has.
const MAGIC_OF_ALL: &[u8; 7] = b"HOPMESH";
/// Bytes by which versions are told apart.
pub(super) const BEGINNING_SIZE: usize = MAGIC.len();
const DIGEST_SIZE: usize = 32;
const LENGTH_SIZE: usize = 4;
/// No frame is longer, in bytes.
pub(super) const FRAME_SIZE_MAX: usize = CONTENT_SIZE_MAX + 128;

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It ends before it should.
    #[error("it is cut short")]
    Truncated,
    /// There are bytes behind its end.
    #[error("there are bytes behind its end")]
    Trailing,
    /// It does not begin as a file of Hopmesh does.
    #[error("it is no file of Hopmesh, or its beginning is damaged")]
    Magic,
    /// It begins as a file of another version does, which is never an earlier one: this is the first.
    #[error("it is a file of a later version of Hopmesh, or its beginning is damaged")]
    Later,
    /// It is the file of another name.
    #[error("it is another state file under this name, or its beginning is damaged")]
    Name,
    /// Its bytes are not those that were written.
    #[error("its checksum does not match its content")]
    Digest,
}

/// What goes to disk before the content.
pub(super) fn head(file: StateFile, content: &[u8]) -> Vec<u8> {
    let mut head = front(file.name().as_bytes(), content.len());
    let digest = digest(&head, content);
    head.extend_from_slice(&digest);
    head
}

/// The content of a frame of `file`.
pub(super) fn open(file: StateFile, frame: &[u8]) -> Result<Zeroizing<Vec<u8>>, Damage> {
    open_named(file.name().as_bytes(), frame)
}

/// As [`open`], for a name that comes from the disk.
pub(super) fn open_named(name: &[u8], frame: &[u8]) -> Result<Zeroizing<Vec<u8>>, Damage> {
    let length = u8::try_from(name.len()).map_err(|_| Damage::Name)?;
    let rest = strip(frame, MAGIC, if is_later(frame) { Damage::Later } else { Damage::Magic })?;
    let rest = strip(rest, &[length], Damage::Name)?;
    let rest = strip(rest, name, Damage::Name)?;
    let (length, rest) = rest.split_first_chunk::<LENGTH_SIZE>().ok_or(Damage::Truncated)?;
    let (written, content) = rest.split_first_chunk::<DIGEST_SIZE>().ok_or(Damage::Truncated)?;
    let length = u32::from_be_bytes(*length) as usize;
    if content.len() < length {
        return Err(Damage::Truncated);
    }
    if content.len() > length {
        return Err(Damage::Trailing);
    }
    if digest(&front(name, length), content) != *written {
        return Err(Damage::Digest);
    }
    Ok(Zeroizing::new(content.to_vec()))
}

fn front(name: &[u8], content_length: usize) -> Vec<u8> {
    let length = u32::try_from(content_length).expect("CONTENT_SIZE_MAX fits 32 bits");
    let name_length =
        u8::try_from(name.len()).expect("a name has at most 32 bytes, and a longer one was refused");
    [MAGIC, [name_length].as_slice(), name, &length.to_be_bytes()].concat()
}

fn digest(front: &[u8], content: &[u8]) -> [u8; DIGEST_SIZE] {
    let mut context = Context::new(&SHA256);
    context.update(front);
    context.update(content);
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// Whether a file begins as one of a later version does.
pub(super) fn is_later(frame: &[u8]) -> bool {
    let digit = frame.strip_prefix(MAGIC_OF_ALL).and_then(<[u8]>::first);
    digit.is_some_and(|digit| (b'2'..=b'9').contains(digit))
}

/// What is behind `expected` in `bytes`; a beginning of `expected` is one cut short, anything else is `otherwise`.
fn strip<'a>(bytes: &'a [u8], expected: &[u8], otherwise: Damage) -> Result<&'a [u8], Damage> {
    match bytes.strip_prefix(expected) {
        Some(rest) => Ok(rest),
        None if expected.starts_with(bytes) => Err(Damage::Truncated),
        None => Err(otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: StateFile = StateFile::precious("identity");

    fn framed(content: &[u8]) -> Vec<u8> {
        [head(FILE, content).as_slice(), content].concat()
    }

    #[test]
    fn what_is_framed_is_opened() {
        for content in [b"".as_slice(), b"x", &[0; 1000]] {
            assert_eq!(open(FILE, &framed(content)).unwrap().as_slice(), content);
        }
    }

    #[test]
    fn a_cut_anywhere_is_truncation() {
        let frame = framed(b"some content of a file");
        for length in 0..frame.len() {
            assert_eq!(open(FILE, &frame[..length]), Err(Damage::Truncated), "cut to {length} bytes");
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let frame = framed(b"some content of a file");
        for i in 0..frame.len() {
            for bit in 0..8 {
                let mut flipped = frame.clone();
                flipped[i] ^= 1 << bit;
                assert!(open(FILE, &flipped).is_err(), "bit {bit} of byte {i}");
            }
        }
    }

    #[test]
    fn a_file_of_a_later_version_is_called_so() {
        let later = |digit| [&b"HOPMESH"[..], &[digit], b"whatever comes then"].concat();
        assert_eq!(open(FILE, &later(b'2')), Err(Damage::Later));
        assert_eq!(open(FILE, &later(b'9')), Err(Damage::Later));
        assert_eq!(open(FILE, &later(b'0')), Err(Damage::Magic));
        assert_eq!(open(FILE, &later(b'x')), Err(Damage::Magic));
    }

    #[test]
    fn bytes_behind_the_end_are_noticed() {
        let mut frame = framed(b"content");
        frame.push(0);
        assert_eq!(open(FILE, &frame), Err(Damage::Trailing));
    }

    #[test]
    fn another_file_is_not_taken_for_this_one() {
        let frame = framed(b"content");
        for other in ["peers", "identitz", "identity-2", "identit"] {
            let other = StateFile::rebuildable(Box::leak(other.to_owned().into_boxed_str()));
            assert_eq!(open(other, &frame), Err(Damage::Name), "{other:?}");
        }
    }
}
