//! The rules of nftables, followed for one packet.

use std::fmt;

use serde_json::Value;

use super::packet::{Answer, Direction, Packet, answer, text_of};

/// Jumps within jumps that are followed; the kernel allows 16.
const DEPTH_MAX: usize = 16;
/// Rules that are followed for one packet, so that chains which call each other over and over end.
const STEPS_MAX: usize = 20_000;
/// Statements that are for every packet and decide nothing.
const HARMLESS: [&str; 5] = ["counter", "log", "comment", "mangle", "notrack"];

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

    /// Whether this machine is a router: our own rules of that are there.
    pub(super) fn forwards(&self, network: &str) -> bool {
        let table = format!("inet hopmesh-{network}");
        self.chains.iter().any(|chain| chain.table == table && chain.hook.as_deref() == Some("forward"))
    }

    /// What becomes of `packet` on its hook: who drops it in one base chain has dropped it.
    pub(super) fn fate(&self, packet: &Packet<'_>) -> Fate {
        let hook = match packet.direction {
            Direction::Input => "input",
            Direction::Output => "output",
            Direction::Forward => "forward",
        };
        let sees = |chain: &&Chain| {
            chain.hook.as_deref() == Some(hook)
                && (chain.family == "inet" || chain.family == packet.family.table())
        };
        let mut fate = Fate::Passed;
        let mut walk = Walk { ruleset: self, packet, steps: 0 };
        for chain in self.chains.iter().filter(sees) {
            match walk.follow(chain, 0) {
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
}

/// A packet on its way through the chains.
struct Walk<'a> {
    ruleset: &'a Ruleset,
    packet: &'a Packet<'a>,
    /// Rules that it has passed.
    steps: usize,
}

impl Walk<'_> {
    fn follow(&mut self, chain: &Chain, depth: usize) -> Verdict {
        for (handle, statements) in &chain.rules {
            self.steps += 1;
            if depth > DEPTH_MAX || self.steps > STEPS_MAX {
                return Verdict::Unknown;
            }
            match self.rule(chain, *handle, statements, depth) {
                Verdict::Continue => {}
                verdict @ (Verdict::Accept | Verdict::Drop(_) | Verdict::Return | Verdict::Unknown) => {
                    return verdict;
                }
            }
        }
        Verdict::Continue
    }

    fn rule(&mut self, chain: &Chain, handle: u64, statements: &[Value], depth: usize) -> Verdict {
        let mut is_certain = true;
        for statement in statements {
            let is = |key: &str| statement.get(key).is_some();
            if let Some(asked) = statement.get("match") {
                match answer(asked, self.packet) {
                    Answer::Yes => {}
                    Answer::No => return Verdict::Continue,
                    Answer::Unknown => is_certain = false,
                }
            } else if is("vmap") || is("queue") {
                return Verdict::Unknown;
            } else if let Some(verdict) = self.verdict(chain, handle, statement, depth) {
                return match verdict {
                    // What may be dropped, or may not, goes on: a later rule decides for certain, or nobody does.
                    Verdict::Drop(_) if !is_certain => Verdict::Continue,
                    Verdict::Accept | Verdict::Return | Verdict::Unknown if !is_certain => Verdict::Unknown,
                    verdict @ (Verdict::Accept
                    | Verdict::Drop(_)
                    | Verdict::Continue
                    | Verdict::Return
                    | Verdict::Unknown) => verdict,
                };
            } else if !HARMLESS.iter().any(|key| is(key)) {
                // A limit, a match of iptables: it may be for this packet or not.
                is_certain = false;
            }
        }
        Verdict::Continue
    }

    /// What a statement that ends a rule says; none for any other.
    fn verdict(&mut self, chain: &Chain, handle: u64, statement: &Value, depth: usize) -> Option<Verdict> {
        let is = |key: &str| statement.get(key).is_some();
        if is("accept") {
            Some(Verdict::Accept)
        } else if is("drop") || is("reject") {
            Some(Verdict::Drop(chain.place(Some(handle))))
        } else if is("return") {
            Some(Verdict::Return)
        } else {
            let to = statement.get("jump").or_else(|| statement.get("goto"))?;
            Some(self.jump(chain, text_of(to, "target"), is("goto"), depth))
        }
    }

    fn jump(&mut self, from: &Chain, target: &str, is_final: bool, depth: usize) -> Verdict {
        let mut chains = self.ruleset.chains.iter();
        let Some(to) = chains.find(|chain| chain.table == from.table && chain.name == target) else {
            return Verdict::Unknown;
        };
        match self.follow(to, depth + 1) {
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
