//! One packet of ours, and whether it is what a match of nftables asks for.

use serde_json::Value;

/// A packet, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) family: Family,
    pub(super) direction: Direction,
    /// Where it arrives or leaves; `None`: somewhere.
    pub(super) interface: Option<&'a str>,
    /// Where it certainly does not; empty: not known.
    pub(super) not_interface: &'a str,
    /// Our UDP port; `None`: it is a ping.
    pub(super) udp_port: Option<u16>,
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
    let (is_ping, family) = (packet.udp_port.is_none(), packet.family);
    match text_of(&left["payload"], "protocol") {
        "tcp" | "sctp" | "dccp" => true,
        "udp" | "th" => is_ping,
        "icmp" => !is_ping || family == Family::V6,
        "icmpv6" => !is_ping || family == Family::V4,
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
        ("iifname" | "iif", Direction::Input) | ("oifname" | "oif", Direction::Output) => {
            return value.as_str().map_or(Answer::Unknown, |name| interface(name, packet));
        }
        _ => {}
    }
    match (field, packet.direction) {
        (("ip", "protocol") | ("ip6", "nexthdr"), _) => protocol(value, packet),
        (("udp" | "th", "dport"), Direction::Input) | (("udp" | "th", "sport"), Direction::Output) => {
            packet.udp_port.map_or(Answer::Unknown, |port| port_in(value, port.into()))
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
    let (names, number): (&[&str], u64) = match (packet.udp_port, packet.family) {
        (Some(_), _) => (&["udp"], 17),
        (None, Family::V4) => (&["icmp"], 1),
        (None, Family::V6) => (&["icmpv6", "ipv6-icmp"], 58),
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

fn interface(name: &str, packet: &Packet<'_>) -> Answer {
    let fits = |own: &str| match name.strip_suffix('*') {
        Some(beginning) => own.starts_with(beginning),
        None => own == name,
    };
    if name == "lo" || name == packet.not_interface {
        return Answer::No;
    }
    match packet.interface {
        Some(own) if fits(own) => Answer::Yes,
        // Underlay packets may come by other interfaces than that of the default route.
        Some(_) if packet.udp_port.is_some() => Answer::Unknown,
        Some(_) => Answer::No,
        None => Answer::Unknown,
    }
}

pub(super) fn text_of<'a>(json: &'a Value, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_default()
}
