//! Our lines in a resolv.conf: put in, found again and taken out, and not a byte of anybody else's touched.
//!
//! A bare resolv.conf knows no zones: the C library asks its servers in order, and goes to the next one when a server
//! refuses. Ours refuses all but its own zones, so it comes first and costs every other name one packet to ourselves.

use std::net::IpAddr;

use super::limits::SERVERS_MAX;

/// What our lines begin with, before the interface's name.
const MARK: &str = "# hopmesh ";
/// What follows the interface's name, for who reads the file.
const REASON: &str =
    ": the next line answers names of the mesh and refuses others; it goes when hopmesh ends";

/// Why our server cannot come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody else is named: behind ours there would be nobody to answer all other names.
    NoOtherServer,
    /// The servers are asked in turn: names of the mesh would be asked of others.
    Rotates,
    /// So many networks have put theirs first that the C library would not get to anybody else's.
    TooManyNetworks,
}

/// `text` with our server first.
pub(super) fn insert(text: &[u8], interface: &str, server: IpAddr) -> Result<Vec<u8>, Refusal> {
    let mut ours = 0;
    let mut others = 0;
    let mut after_mark = false;
    for line in lines(text) {
        if is_server(line) {
            *(if after_mark { &mut ours } else { &mut others }) += 1;
        }
        after_mark = line.starts_with(MARK.as_bytes());
    }
    if others == 0 {
        return Err(Refusal::NoOtherServer);
    }
    if lines(text).any(rotates) {
        return Err(Refusal::Rotates);
    }
    // One more of ours, and at least one of the others'.
    if ours + 2 > SERVERS_MAX {
        return Err(Refusal::TooManyNetworks);
    }
    let mut edited = format!("{}\n{}\n", mark(interface), server_line(server)).into_bytes();
    edited.extend_from_slice(text);
    Ok(edited)
}

/// `text` without what [`insert`] put in for `interface`.
pub(super) fn remove(text: &[u8], interface: &str) -> Vec<u8> {
    let mark = mark(interface);
    let mut after_mark = false;
    let mut rest = Vec::with_capacity(text.len());
    for line in lines(text) {
        let is_mark = trimmed(line) == mark.as_bytes();
        let is_ours = is_mark || (after_mark && is_server(line));
        after_mark = is_mark;
        if !is_ours {
            rest.extend_from_slice(line);
        }
    }
    rest
}

/// `text` without lines that name `server`: for what a program has written anew from our lines, without the mark.
pub(super) fn remove_server(text: &[u8], server: IpAddr) -> Vec<u8> {
    lines(text).filter(|line| !names(line, server)).collect::<Vec<_>>().concat()
}

/// Whether a line of `text` names `server`.
pub(super) fn has_server(text: &[u8], server: IpAddr) -> bool {
    lines(text).any(|line| names(line, server))
}

/// The addresses of the servers that `text` names, in order.
pub(super) fn servers(text: &[u8]) -> impl Iterator<Item = IpAddr> {
    lines(text).filter_map(address)
}

fn mark(interface: &str) -> String {
    format!("{MARK}{interface}{REASON}")
}

fn server_line(server: IpAddr) -> String {
    format!("nameserver {server}")
}

/// Lines with what ends them.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|b| *b == b'\n')
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}

/// As the C library reads it: the word begins the line, and a blank follows.
fn is_server(line: &[u8]) -> bool {
    line.strip_prefix(b"nameserver")
        .is_some_and(|rest| rest.first().is_some_and(|b| matches!(b, b' ' | b'\t')))
}

fn rotates(line: &[u8]) -> bool {
    let options = line.strip_prefix(b"options").unwrap_or_default();
    options.split(u8::is_ascii_whitespace).any(|option| option == b"rotate")
}

fn names(line: &[u8], server: IpAddr) -> bool {
    address(line) == Some(server)
}

fn address(line: &[u8]) -> Option<IpAddr> {
    if !is_server(line) {
        return None;
    }
    let line = str::from_utf8(line).ok()?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 77));

    fn put(text: &str, interface: &str) -> String {
        String::from_utf8(insert(text.as_bytes(), interface, SERVER).unwrap()).unwrap()
    }

    #[test]
    fn our_server_is_first_and_the_rest_is_as_it_was() {
        let text = "search lan\nnameserver 192.0.2.1\noptions edns0 trust-ad\n";
        let edited = put(text, "hm0");
        assert!(edited.ends_with(text), "{edited}");
        assert_eq!(servers(edited.as_bytes()).collect::<Vec<_>>(), [SERVER, "192.0.2.1".parse().unwrap()]);
        assert_eq!(edited.lines().count(), 5);
    }

    #[test]
    fn what_is_put_in_comes_out_to_the_byte() {
        for text in [
            "nameserver 192.0.2.1",
            "nameserver 192.0.2.1\n",
            "\n\n; comment\r\nnameserver\t192.0.2.1\r\n\n",
            "nameserver 127.0.0.77\nnameserver ::1\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n",
        ] {
            let edited = put(text, "hm0");
            assert_ne!(edited, text);
            assert_eq!(remove(edited.as_bytes(), "hm0"), text.as_bytes(), "{text:?}");
            assert_eq!(remove(edited.as_bytes(), "hm1"), edited.as_bytes());
        }
        let latin = b"# caf\xe9\nnameserver 192.0.2.1\n";
        assert_eq!(remove(&insert(latin, "hm0", SERVER).unwrap(), "hm0"), latin);
    }

    #[test]
    fn two_networks_come_and_go_in_any_order() {
        let text = "nameserver 192.0.2.1\n";
        let both = put(&put(text, "hm0"), "hm1");
        let without = remove(both.as_bytes(), "hm0");
        assert_eq!(without, put(text, "hm1").as_bytes());
        assert_eq!(remove(&without, "hm1"), text.as_bytes());
        assert_eq!(insert(both.as_bytes(), "hm2", SERVER), Err(Refusal::TooManyNetworks));
    }

    #[test]
    fn ours_is_never_the_only_one() {
        for text in ["", "search lan\n", "# nameserver 192.0.2.1\n", "nameserver\n"] {
            assert_eq!(insert(text.as_bytes(), "hm0", SERVER), Err(Refusal::NoOtherServer), "{text:?}");
        }
        let ours_alone =
            remove_server(put("nameserver 192.0.2.1\n", "hm0").as_bytes(), "192.0.2.1".parse().unwrap());
        assert_eq!(insert(&ours_alone, "hm1", SERVER), Err(Refusal::NoOtherServer));
    }

    #[test]
    fn servers_that_are_asked_in_turn_are_refused() {
        let text = b"nameserver 192.0.2.1\noptions edns0 rotate\n";
        assert_eq!(insert(text, "hm0", SERVER), Err(Refusal::Rotates));
        assert!(insert(b"nameserver 192.0.2.1\n#options rotate\n", "hm0", SERVER).is_ok());
    }

    #[test]
    fn a_mark_takes_nothing_but_a_server_along() {
        let edited = put("nameserver 192.0.2.1\n", "hm0").replace("nameserver 127.0.0.77\n", "search lan\n");
        assert_eq!(remove(edited.as_bytes(), "hm0"), b"search lan\nnameserver 192.0.2.1\n");
    }

    #[test]
    fn a_server_is_found_without_its_mark() {
        let text = b"nameserver 192.0.2.1\nnameserver   127.0.0.77  # x\n";
        assert!(has_server(text, SERVER));
        assert_eq!(remove_server(text, SERVER), b"nameserver 192.0.2.1\n");
        assert!(!has_server(b"#nameserver 127.0.0.77\n nameserver 127.0.0.77\n", SERVER));
    }
}
