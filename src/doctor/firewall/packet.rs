//! One packet of ours, or one that we forward, and whether it is what a match of nftables asks for.

use serde_json::Value;

/// A packet, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) family: Family,
    pub(super) direction: Direction,
    /// Where it arrives, where that means something; `None`: somewhere.
    pub(super) arrives: Option<&'a str>,
    /// Where it leaves.
    pub(super) leaves: Option<&'a str>,
    /// Where it certainly does neither; empty: not known.
    pub(super) not_interface: &'a str,
    pub(super) carries: Carried,
    /// The first packet that connection tracking sees, or one of a flow that it knows.
    pub(super) is_new: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Input,
    Output,
    Forward,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// From and to our UDP port.
    Udp(u16),
    Ping,
    /// Of any port.
    Tcp,
}

/// Whether a rule asks for what the packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    Unknown,
}

impl Family {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// What tables of that family alone are called.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }
}

/// Whether `packet` is what `asked` asks for.
pub(super) fn answer(asked: &Value, packet: &Packet<'_>) -> Answer {
    let (left, right) = (&asked["left"], &asked["right"]);
    let is = match text_of(asked, "op") {
        "==" | "in" => one_of(left, right, packet),
        "!=" => match one_of(left, right, packet) {
            Answer::Yes => Answer::No,
            Answer::No => Answer::Yes,
            Answer::Unknown => Answer::Unknown,
        },
        _ => Answer::Unknown,
    };
    // A header that the packet has not is never matched, also by `!=`.
    if is_foreign(left, packet) { Answer::No } else { is }
}

/// Whether the packet lacks the header that is asked for.
fn is_foreign(left: &Value, packet: &Packet<'_>) -> bool {
    let (carries, family) = (packet.carries, packet.family);
    match text_of(&left["payload"], "protocol") {
        "sctp" | "dccp" => true,
        "tcp" => carries != Carried::Tcp,
        "udp" => !matches!(carries, Carried::Udp(_)),
        "th" => carries == Carried::Ping,
        "icmp" => carries != Carried::Ping || family == Family::V6,
        "icmpv6" => carries != Carried::Ping || family == Family::V4,
        "ip" => family == Family::V6,
        "ip6" => family == Family::V4,
        _ => false,
    }
}

fn one_of(left: &Value, right: &Value, packet: &Packet<'_>) -> Answer {
    let all = match (right, right.get("set")) {
        (Value::Array(all), _) | (_, Some(Value::Array(all))) => all.as_slice(),
        _ => std::slice::from_ref(right),
    };
    let answers: Vec<Answer> = all.iter().map(|value| equals(left, value, packet)).collect();
    if answers.contains(&Answer::Yes) {
        Answer::Yes
    } else if answers.contains(&Answer::Unknown) {
        Answer::Unknown
    } else {
        Answer::No
    }
}

fn equals(left: &Value, value: &Value, packet: &Packet<'_>) -> Answer {
    let payload = &left["payload"];
    let field = (text_of(payload, "protocol"), text_of(payload, "field"));
    let meta = text_of(&left["meta"], "key");
    if text_of(&left["ct"], "key") == "state" {
        return known(
            value.as_str().map(|state| if packet.is_new { state == "new" } else { state == "established" }),
        );
    }
    match (meta, packet.direction) {
        ("l4proto", _) => return protocol(value, packet),
        ("nfproto", _) => {
            return known(value.as_str().map(|word| (word == "ipv4") == (packet.family == Family::V4)));
        }
        ("iifname" | "iif", Direction::Input | Direction::Forward) => {
            return value.as_str().map_or(Answer::Unknown, |name| interface(name, packet.arrives, packet));
        }
        ("oifname" | "oif", Direction::Output | Direction::Forward) => {
            return value.as_str().map_or(Answer::Unknown, |name| interface(name, packet.leaves, packet));
        }
        _ => {}
    }
    match (field, packet.direction) {
        (("ip", "protocol") | ("ip6", "nexthdr"), _) => protocol(value, packet),
        (("udp" | "th", "dport"), Direction::Input) | (("udp" | "th", "sport"), Direction::Output) => {
            match packet.carries {
                Carried::Udp(port) => port_in(value, port.into()),
                Carried::Ping | Carried::Tcp => Answer::Unknown,
            }
        }
        _ => Answer::Unknown,
    }
}

fn known(answer: Option<bool>) -> Answer {
    match answer {
        Some(true) => Answer::Yes,
        Some(false) => Answer::No,
        None => Answer::Unknown,
    }
}

fn protocol(value: &Value, packet: &Packet<'_>) -> Answer {
    let (names, number): (&[&str], u64) = match (packet.carries, packet.family) {
        (Carried::Udp(_), _) => (&["udp"], 17),
        (Carried::Tcp, _) => (&["tcp"], 6),
        (Carried::Ping, Family::V4) => (&["icmp"], 1),
        (Carried::Ping, Family::V6) => (&["icmpv6", "ipv6-icmp"], 58),
    };
    known(
        value
            .as_str()
            .map(|name| names.contains(&name))
            .or_else(|| value.as_u64().map(|asked| asked == number)),
    )
}

fn port_in(value: &Value, port: u64) -> Answer {
    if let Some([low, high]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return known(low.as_u64().zip(high.as_u64()).map(|(low, high)| (low..=high).contains(&port)));
    }
    known(value.as_u64().map(|number| number == port))
}

/// Whether `name` is that of the interface where the packet arrives, or leaves.
fn interface(name: &str, own: Option<&str>, packet: &Packet<'_>) -> Answer {
    let fits = |own: &str| match name.strip_suffix('*') {
        Some(beginning) => own.starts_with(beginning),
        None => own == name,
    };
    if name == "lo" || name == packet.not_interface {
        return Answer::No;
    }
    match own {
        Some(own) if fits(own) => Answer::Yes,
        // Underlay packets may come by other interfaces than that of the default route.
        Some(_) if matches!(packet.carries, Carried::Udp(_)) => Answer::Unknown,
        Some(_) => Answer::No,
        None => Answer::Unknown,
    }
}

pub(super) fn text_of<'a>(json: &'a Value, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_default()
}
