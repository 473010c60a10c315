//! Finds in a text what may have to be masked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Shortest run of letters and digits that is taken for a key or an id, in characters: 16 bytes in base64 are 22, in
/// base32 26, in hexadecimal 32.
const SECRET_LENGTH_MIN: usize = 22;
/// Longest spelling of an IPv6 address, with an IPv4 address at its end.
const IPV6_LENGTH_MAX: usize = 45;
/// Length of a hardware address.
const MAC_LENGTH: usize = 17;

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Plain(&'a str),
    /// An address, and how it is written.
    Address(IpAddr, &'a str),
    Mac(&'a str),
    Host(&'a str),
    /// Something that looks like a key, an id or an invite.
    Secret(&'a str),
}

/// Cuts `text` into pieces, which are together the whole of it.
pub(super) fn pieces<'a>(text: &'a str, hosts: &[String]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let (mut plain_from, mut at) = (0, 0);
    while at < text.len() {
        match find(text, at, hosts) {
            Some((piece, length)) => {
                if plain_from < at {
                    pieces.push(Piece::Plain(&text[plain_from..at]));
                }
                pieces.push(piece);
                at += length;
                plain_from = at;
            }
            None => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    if plain_from < text.len() {
        pieces.push(Piece::Plain(&text[plain_from..]));
    }
    pieces
}

/// What begins at `at`, and its length.
fn find<'a>(text: &'a str, at: usize, hosts: &[String]) -> Option<(Piece<'a>, usize)> {
    let rest = &text[at..];
    let before = text[..at].bytes().next_back();
    let begins_word = !before.is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins_word && let Some(length) = host(rest, hosts) {
        return Some((Piece::Host(&rest[..length]), length));
    }
    if begins_word && let Some(length) = mac(rest) {
        return Some((Piece::Mac(&rest[..length]), length));
    }
    if let Some((address, length)) = ipv6(rest, before).or_else(|| ipv4(rest, before)) {
        return Some((Piece::Address(address, &rest[..length]), length));
    }
    // Anything may stand before a key, a backslash and a letter of JSON among it.
    let length = secret(rest, before)?;
    Some((Piece::Secret(&rest[..length]), length))
}

fn host(rest: &str, hosts: &[String]) -> Option<usize> {
    let fits = |host: &&String| {
        let head = rest.as_bytes().get(..host.len());
        let behind = rest.as_bytes().get(host.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(host.as_bytes()))
            && !behind.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    hosts.iter().find(fits).map(String::len)
}

/// Six pairs of digits, with colons or hyphens between.
fn mac(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes().get(..MAC_LENGTH)?;
    let between = bytes[2];
    let fits =
        |(at, byte): (usize, &u8)| if at % 3 == 2 { *byte == between } else { byte.is_ascii_hexdigit() };
    let goes_on =
        rest.as_bytes().get(MAC_LENGTH).is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':');
    (matches!(between, b':' | b'-') && !goes_on && bytes.iter().enumerate().all(fits)).then_some(MAC_LENGTH)
}

/// The longest beginning of `rest` that is an IPv6 address.
fn ipv6(rest: &str, before: Option<u8>) -> Option<(IpAddr, usize)> {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    // In the middle of a number none begins; the `n` of a line's end in JSON may stand before.
    if before.is_some_and(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let run = rest.bytes().take(IPV6_LENGTH_MAX).take_while(|byte| is_part(*byte)).count();
    (3..=run).rev().find_map(|length| {
        let behind = rest.as_bytes().get(length);
        // `::dae` of `hopmesh::daemon` is a path of Rust.
        if behind.is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        let address = rest[..length].parse::<Ipv6Addr>().ok()?;
        Some((address.into(), length))
    })
}

/// Four numbers with dots between, also such as no library writes: with zeros in front.
fn ipv4(rest: &str, before: Option<u8>) -> Option<(IpAddr, usize)> {
    if before.is_some_and(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (mut octets, mut at) = ([0; 4], 0);
    for (number, octet) in octets.iter_mut().enumerate() {
        if number > 0 {
            (rest.as_bytes().get(at) == Some(&b'.')).then(|| at += 1)?;
        }
        let digits = rest[at..].bytes().take_while(u8::is_ascii_digit).count();
        *octet = rest[at..at + digits].parse().ok()?;
        at += digits;
    }
    Some((Ipv4Addr::from(octets).into(), at))
}

/// A run of what base64, base32 and hexadecimal are made of, long and mixed enough to be no word and no path.
fn secret(rest: &str, before: Option<u8>) -> Option<usize> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-');
    if before.is_some_and(is_part) {
        return None;
    }
    let run = rest.bytes().take_while(|byte| is_part(*byte)).count();
    let padding = rest[run..].bytes().take_while(|byte| *byte == b'=').count();
    let word = &rest[..run];
    let has = |is: fn(&u8) -> bool| word.bytes().any(|byte| is(&byte));
    // Base64 has letters of both sizes; without them what is between hyphens and slashes counts.
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let plain = |part: &str| part.len() < SECRET_LENGTH_MIN;
    let is_words = !is_mixed && padding == 0 && word.split(['/', '+', '-', '_']).all(plain);
    let is_invite = word.to_ascii_lowercase().contains(super::INVITE) && run > super::INVITE.len();
    ((run >= SECRET_LENGTH_MIN && !is_words) || is_invite).then_some(run + padding)
}
