//! What the command line asks for.

use std::path::PathBuf;

use crate::peers::{self, Peer};

pub(crate) const HELP: &str = "\
Usage: bench [--rounds N] [--peers A,B,…] [--reference PEER] [--seconds N] [--quick] [--offload on|soft|off]
             [--mtu N] [--veth-mtu N] [--json FILE] [--write]
       bench hop [--rounds N] [--seconds N] [--write]
       bench guest [--rounds N] [--seconds N] [--write]
       bench start [--rounds N] [--write]

  --rounds N        how often each peer is measured (3)
  --peers A,B,…     veth, hopmesh, wireguard-go, fastd, vpncloud, boringtun, gotatun; all that are installed unless said
  --reference PEER  the one that ratios are taken to (wireguard-go, else the first that is no bare veth)
  --seconds N       length of each TCP stream (5)
  --quick           one round of short measurements, none of them repeated: does everything work?
  --offload WHAT    of the underlay. on: superpackets cross it whole, as veth does; soft: the kernel cuts them before it and
                    joins them behind it, as at an ordinary NIC; off: every packet alone
  --mtu N           of the tunnel; what each program has by itself unless said
  --veth-mtu N      of the underlay (1500)
  --json FILE       appends every measurement as a line
  --write           puts the table into docs/performance.md
";

/// What the underlay cuts and joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offload {
    On,
    Soft,
    Off,
}

impl Offload {
    const ALL: [(&'static str, Self); 3] = [("on", Self::On), ("soft", Self::Soft), ("off", Self::Off)];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, offload)| *offload)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, offload)| *offload == self).expect("all are listed").0
    }

    /// What ethtool is to set, if anything.
    pub(crate) fn features(self) -> &'static [&'static str] {
        match self {
            Self::On => &[],
            Self::Soft => &["tso", "off", "tx-udp-segmentation", "off", "gso", "on", "gro", "on"],
            Self::Off => &["tso", "off", "tx-udp-segmentation", "off", "gso", "off", "gro", "off"],
        }
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    pub(crate) rounds: usize,
    pub(crate) seconds: u32,
    pub(crate) is_quick: bool,
    /// None: all that are installed.
    pub(crate) peers: Option<Vec<&'static Peer>>,
    pub(crate) reference: Option<&'static Peer>,
    pub(crate) offload: Offload,
    pub(crate) mtu: Option<u16>,
    pub(crate) veth_mtu: u16,
    pub(crate) json: Option<PathBuf>,
    pub(crate) writes: bool,
}

impl Arguments {
    fn usual() -> Self {
        Self {
            rounds: 3,
            seconds: 5,
            is_quick: false,
            peers: None,
            reference: None,
            offload: Offload::On,
            mtu: None,
            veth_mtu: 1500,
            json: None,
            writes: false,
        }
    }

    /// None for what is not understood.
    pub(crate) fn parse(words: &[String]) -> Option<Self> {
        let mut arguments = Self::usual();
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--quick" => {
                    arguments.is_quick = true;
                    (arguments.rounds, arguments.seconds) = (1, 2);
                }
                "--write" => arguments.writes = true,
                option => arguments.set(option, words.next()?)?,
            }
        }
        Some(arguments)
    }

    fn set(&mut self, option: &str, value: &str) -> Option<()> {
        match option {
            "--rounds" => self.rounds = value.parse().ok().filter(|n| *n > 0)?,
            "--seconds" => self.seconds = value.parse().ok().filter(|n| *n > 0)?,
            "--peers" => self.peers = Some(value.split(',').map(peers::named).collect::<Option<_>>()?),
            "--reference" => self.reference = Some(peers::named(value)?),
            "--offload" => self.offload = Offload::parse(value)?,
            "--mtu" => self.mtu = Some(value.parse().ok()?),
            "--veth-mtu" => self.veth_mtu = value.parse().ok()?,
            "--json" => self.json = Some(value.into()),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Arguments> {
        Arguments::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_said_is_taken_and_the_rest_is_usual() {
        let line =
            "--rounds 5 --peers hopmesh,veth --offload soft --mtu 1400 --veth-mtu 9000 --json x --write";
        let arguments = parse(line).unwrap();
        let names: Vec<_> = arguments.peers.unwrap().iter().map(|peer| peer.name).collect();
        assert_eq!(names, ["hopmesh", "veth"]);
        assert_eq!((arguments.rounds, arguments.seconds, arguments.offload), (5, 5, Offload::Soft));
        assert_eq!((arguments.mtu, arguments.veth_mtu, arguments.writes), (Some(1400), 9000, true));
        let quick = parse("--quick --rounds 2").unwrap();
        assert_eq!((quick.rounds, quick.seconds, quick.is_quick), (2, 2, true));
        assert!(parse("").unwrap().peers.is_none());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["--rounds", "--rounds 0", "--peers hopmesh,nobody", "--offload maybe", "--mtu x", "fast"]
        {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
