//! The kinds of router, each a file of nftables rules in `rules/`.
//!
//! In the files `$W` stands for the router's WAN address, `$L` for the prefix of its LAN, `$SEQUENCE` for the ports of
//! a sequential NAT, and `300s` for how long an idle mapping lives.

use std::net::Ipv4Addr;

/// What a router does to IPv4, named after what it does to UDP: (mapping / filtering, RFC 4787), ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatKind {
    /// Only routes: machines behind it have public addresses.
    Open,
    /// As `Open`, but lets in only what answers (– / address-and-port-dependent).
    Firewall,
    /// (endpoint-independent / endpoint-independent), ports preserved.
    FullCone,
    /// As `FullCone`, ports translated.
    FullConeX,
    /// As `FullCone`, and machines behind it reach each other by their mappings.
    FullConeHairpin,
    /// (endpoint-independent / address-dependent), ports preserved.
    AddrRestricted,
    /// As `AddrRestricted`, ports translated.
    AddrRestrictedX,
    /// (endpoint-independent / address-and-port-dependent), ports preserved.
    PortRestricted,
    /// As `PortRestricted`, ports translated.
    PortRestrictedX,
    /// As `PortRestricted`, and machines behind it reach each other by their mappings.
    PortRestrictedHairpin,
    /// A Linux host that masquerades, with an open INPUT chain: `PortRestricted` until a stranger knocks, whose packet
    /// then owns the port, so that what is sent to that stranger leaves from another one.
    LinuxOpenInput,
    /// (address-and-port-dependent / address-and-port-dependent), each mapping one port above the last.
    SymSeq,
    /// (address-and-port-dependent / address-and-port-dependent), random ports.
    SymRandom,
    /// As `SymRandom`, but in 512 ports, as a carrier's NAT gives a customer.
    SymBlock512,
    /// As `SymBlock512`, with 2048 ports.
    SymBlock2048,
    /// (address-dependent / address-dependent), ports translated.
    SymAddr,
    /// (address-and-port-dependent / endpoint-independent), random ports.
    SymEif,
    /// As `PortRestricted`, but nothing passes except UDP to port 53 and TCP to ports 80 and 443.
    UdpBlocked,
}

impl NatKind {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Open,
        Self::Firewall,
        Self::FullCone,
        Self::FullConeX,
        Self::FullConeHairpin,
        Self::AddrRestricted,
        Self::AddrRestrictedX,
        Self::PortRestricted,
        Self::PortRestrictedX,
        Self::PortRestrictedHairpin,
        Self::LinuxOpenInput,
        Self::SymSeq,
        Self::SymRandom,
        Self::SymBlock512,
        Self::SymBlock2048,
        Self::SymAddr,
        Self::SymEif,
        Self::UdpBlocked,
    ];

    /// The name of its file of rules, which is also the one in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.file().0
    }

    /// Does it put its own address into packets?
    #[must_use]
    pub fn translates(self) -> bool {
        !matches!(self, Self::Open | Self::Firewall)
    }

    /// The rules of a router with that WAN address and that LAN, whose idle mappings live `lifetime_s`.
    pub(crate) fn rules(self, wan: Ipv4Addr, lan: &str, lifetime_s: u32) -> String {
        let sequence: Vec<String> = (0..SEQUENCE).map(|n| format!("{n} : {}", SEQUENCE_FIRST + n)).collect();
        self.file()
            .1
            .replace("$W", &wan.to_string())
            .replace("$L", lan)
            .replace("$SEQUENCE", &sequence.join(", "))
            .replace("timeout 300s", &format!("timeout {lifetime_s}s"))
    }

    fn file(self) -> (&'static str, &'static str) {
        macro_rules! file {
            ($name:literal) => {
                ($name, include_str!(concat!("../rules/", $name, ".nft")))
            };
        }
        match self {
            Self::Open => ("open", ""),
            Self::Firewall => file!("firewall"),
            Self::FullCone => file!("full_cone"),
            Self::FullConeX => file!("full_cone_x"),
            Self::FullConeHairpin => file!("full_cone_hairpin"),
            Self::AddrRestricted => file!("addr_restricted"),
            Self::AddrRestrictedX => file!("addr_restricted_x"),
            Self::PortRestricted => file!("port_restricted"),
            Self::PortRestrictedX => file!("port_restricted_x"),
            Self::PortRestrictedHairpin => file!("port_restricted_hairpin"),
            Self::LinuxOpenInput => file!("linux_open_input"),
            Self::SymSeq => file!("sym_seq"),
            Self::SymRandom => file!("sym_random"),
            Self::SymBlock512 => file!("sym_block512"),
            Self::SymBlock2048 => file!("sym_block2048"),
            Self::SymAddr => file!("sym_addr"),
            Self::SymEif => file!("sym_eif"),
            Self::UdpBlocked => file!("udp_blocked"),
        }
    }
}

/// The ports of a sequential NAT, from [`SEQUENCE_FIRST`] on. They are listed one by one because nft hands `numgen …
/// offset` to NAT in the host's byte order: it would step by 256.
const SEQUENCE: u32 = 4096;
const SEQUENCE_FIRST: u32 = 20_000;

/// The rules of a home's router for IPv6.
pub(crate) const IPV6_FIREWALL: &str = include_str!("../rules/ipv6_firewall.nft");
