//! The rules of nftables, followed for one packet.

use std::fmt;

use serde_json::Value;

/// Jumps within jumps that are followed; the kernel allows 16.
const DEPTH_MAX: usize = 16;
/// Rules that are followed for one packet, so that chains which call each other over and over end.
const STEPS_MAX: usize = 20_000;

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

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Passed,
    Dropped(Place),
    /// It depends on what is not known of it.
    Unknown,
}

/// Who drops it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    table: String,
    chain: String,
    /// The rule's handle; `None`: the chain's policy.
    handle: Option<u64>,
}

/// Whether a rule asks for what the packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Unknown,
}

/// What a rule, or a chain to its end, does with a packet.
enum Verdict {
    Accept,
    Drop(Place),
    /// On with the next rule of the chain.
    Continue,
    /// Back to the chain that jumped here.
    Return,
    Unknown,
}

#[derive(Debug, Default)]
pub(super) struct Ruleset {
    chains: Vec<Chain>,
}

#[derive(Debug)]
struct Chain {
    /// `inet filter`.
    table: String,
    family: String,
    name: String,
    hook: Option<String>,
    priority: i64,
    drops_by_policy: bool,
    /// Handle and statements of each.
    rules: Vec<(u64, Vec<Value>)>,
}

impl Family {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, chain, handle } = self;
        match handle {
            Some(handle) => write!(f, "rule {handle} of chain {chain} in table {table}"),
            None => write!(f, "the policy of chain {chain} in table {table}"),
        }
    }
}

impl Ruleset {
    /// Reads what `nft --json list ruleset` says.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text)
            .map_err(|error| format!("nft says what is not understood: {error}"))?;
        let items = json["nftables"].as_array().ok_or("nft says what is not understood")?;
        let mut chains: Vec<Chain> = items.iter().filter_map(|item| chain(item.get("chain")?)).collect();
        for rule in items.iter().filter_map(|item| item.get("rule")) {
            let (table, name) = (table(rule), text_of(rule, "chain"));
            let chain = chains.iter_mut().find(|chain| chain.table == table && chain.name == name);
            if let (Some(chain), Some(statements)) = (chain, rule["expr"].as_array()) {
                chain.rules.push((rule["handle"].as_u64().unwrap_or(0), statements.clone()));
            }
        }
        chains.sort_by_key(|chain| chain.priority);
        Ok(Self { chains })
    }

    /// What becomes of `packet` on its hook: who drops it in one base chain has dropped it.
    pub(super) fn fate(&self, packet: &Packet<'_>) -> Fate {
        let hook = match packet.direction {
            Direction::Input => "input",
            Direction::Output => "output",
        };
        let sees = |chain: &&Chain| {
            chain.hook.as_deref() == Some(hook)
                && (chain.family == "inet" || chain.family == packet.family.table())
        };
        let mut fate = Fate::Passed;
        let mut steps = 0;
        for chain in self.chains.iter().filter(sees) {
            match self.follow(chain, packet, 0, &mut steps) {
                Verdict::Drop(place) => return Fate::Dropped(place),
                Verdict::Unknown => fate = Fate::Unknown,
                Verdict::Continue | Verdict::Return if chain.drops_by_policy => {
                    return Fate::Dropped(chain.place(None));
                }
                Verdict::Accept | Verdict::Continue | Verdict::Return => {}
            }
        }
        fate
    }

    fn follow(&self, chain: &Chain, packet: &Packet<'_>, depth: usize, steps: &mut usize) -> Verdict {
        for (handle, statements) in &chain.rules {
            *steps += 1;
            if depth > DEPTH_MAX || *steps > STEPS_MAX {
                return Verdict::Unknown;
            }
            match self.rule(chain, *handle, statements, packet, depth, steps) {
                Verdict::Continue => {}
                verdict @ (Verdict::Accept | Verdict::Drop(_) | Verdict::Return | Verdict::Unknown) => {
                    return verdict;
                }
            }
        }
        Verdict::Continue
    }

    fn rule(
        &self,
        chain: &Chain,
        handle: u64,
        statements: &[Value],
        packet: &Packet<'_>,
        depth: usize,
        steps: &mut usize,
    ) -> Verdict {
        let mut is_certain = true;
        for statement in statements {
            let verdict = if let Some(asked) = statement.get("match") {
                match answer(asked, packet) {
                    Answer::Yes => continue,
                    Answer::No => return Verdict::Continue,
                    Answer::Unknown => {
                        is_certain = false;
                        continue;
                    }
                }
            } else if statement.get("accept").is_some() {
                Verdict::Accept
            } else if statement.get("drop").is_some() || statement.get("reject").is_some() {
                Verdict::Drop(chain.place(Some(handle)))
            } else if statement.get("return").is_some() {
                Verdict::Return
            } else if let Some(to) = statement.get("jump").or_else(|| statement.get("goto")) {
                self.jump(chain, text_of(to, "target"), statement.get("goto").is_some(), packet, depth, steps)
            } else if ["counter", "log", "comment", "mangle", "notrack"]
                .iter()
                .any(|key| statement.get(key).is_some())
            {
                continue;
            } else {
                // A limit, a map of verdicts, a queue, a match of iptables: it may be for this packet or not.
                is_certain = false;
                if ["vmap", "queue"].iter().any(|key| statement.get(key).is_some()) {
                    return Verdict::Unknown;
                }
                continue;
            };
            return match verdict {
                // What may be dropped, or may not, goes on: a later rule decides for certain, or nobody does.
                Verdict::Drop(_) if !is_certain => Verdict::Continue,
                Verdict::Accept | Verdict::Return | Verdict::Unknown if !is_certain => Verdict::Unknown,
                Verdict::Accept
                | Verdict::Drop(_)
                | Verdict::Continue
                | Verdict::Return
                | Verdict::Unknown => verdict,
            };
        }
        Verdict::Continue
    }

    fn jump(
        &self,
        from: &Chain,
        target: &str,
        is_final: bool,
        packet: &Packet<'_>,
        depth: usize,
        steps: &mut usize,
    ) -> Verdict {
        let Some(to) = self.chains.iter().find(|chain| chain.table == from.table && chain.name == target)
        else {
            return Verdict::Unknown;
        };
        match self.follow(to, packet, depth + 1, steps) {
            Verdict::Continue | Verdict::Return if is_final => Verdict::Return,
            Verdict::Continue | Verdict::Return => Verdict::Continue,
            verdict @ (Verdict::Accept | Verdict::Drop(_) | Verdict::Unknown) => verdict,
        }
    }
}

impl Chain {
    fn place(&self, handle: Option<u64>) -> Place {
        Place { table: self.table.clone(), chain: self.name.clone(), handle }
    }
}

fn chain(json: &Value) -> Option<Chain> {
    Some(Chain {
        table: table(json),
        family: json["family"].as_str()?.to_owned(),
        name: json["name"].as_str()?.to_owned(),
        hook: json["hook"].as_str().map(str::to_owned),
        priority: json["prio"].as_i64().unwrap_or(0),
        drops_by_policy: json["policy"] == "drop",
        rules: vec![],
    })
}

fn table(json: &Value) -> String {
    format!("{} {}", text_of(json, "family"), text_of(json, "table"))
}

fn text_of<'a>(json: &'a Value, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_default()
}

/// Whether `packet` is what `asked` asks for.
fn answer(asked: &Value, packet: &Packet<'_>) -> Answer {
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
