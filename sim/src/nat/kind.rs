//! The kinds of NATs and firewalls that the lab of namespaces has, by what they do.

use std::time::Duration;
use wire::{Dependence, NatProfile, Ports};

/// Linux forgets a flow of which only one direction was seen after this time.
pub const UNREPLIED_LIFETIME: Duration = Duration::from_secs(30);
/// Linux forgets a flow of which both directions were seen after this time.
pub const REPLIED_LIFETIME: Duration = Duration::from_secs(120);
/// Ports of the block that a carrier gives to one customer of [`Kind::SymBlock512`].
const BLOCK: u16 = 512;
/// The lowest port of that block; any place for it serves.
const BLOCK_FIRST: u16 = 10240;

/// What stands between a home and the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nothing: machines have public addresses.
    Open,
    /// No translation; nobody gets in who was not sent to.
    Firewall,
    /// Whoever knows the mapping gets in.
    FullCone,
    /// The same, with another port than the inner one.
    FullConeX,
    /// Whoever has an address that was sent to gets in.
    AddrRestricted,
    /// The same, with another port than the inner one.
    AddrRestrictedX,
    /// Only the very socket that was sent to gets in.
    PortRestricted,
    /// The same, with another port than the inner one.
    PortRestrictedX,
    /// Another random port for every remote socket.
    SymRandom,
    /// The next port for every remote socket.
    SymSeq,
    /// Another random port for every remote socket, out of a block of 512.
    SymBlock512,
    /// Another port for every remote address.
    SymAddr,
    /// Another random port for every remote socket, and whoever knows one of them gets in.
    SymEif,
    /// As [`Kind::PortRestricted`], but it accepts what strangers send it, and forwards none of it: the flow to such
    /// a stranger then gets another port.
    LinuxOpenInput,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::Open,
        Self::Firewall,
        Self::FullCone,
        Self::FullConeX,
        Self::AddrRestricted,
        Self::AddrRestrictedX,
        Self::PortRestricted,
        Self::PortRestrictedX,
        Self::SymRandom,
        Self::SymSeq,
        Self::SymBlock512,
        Self::SymAddr,
        Self::SymEif,
        Self::LinuxOpenInput,
    ];

    /// What a node behind it would find out.
    #[must_use]
    pub fn profile(self) -> NatProfile {
        use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
        let nat = |mapping, filtering, ports| NatProfile { translates: true, mapping, filtering, ports };
        let cone = |filtering, ports| nat(EndpointIndependent, filtering, ports);
        let symmetric = |ports| nat(AddressAndPortDependent, AddressAndPortDependent, ports);
        match self {
            Self::Open => NatProfile { translates: false, ..cone(EndpointIndependent, Ports::Preserved) },
            Self::Firewall => {
                NatProfile { translates: false, ..cone(AddressAndPortDependent, Ports::Preserved) }
            }
            Self::FullCone => cone(EndpointIndependent, Ports::Preserved),
            Self::FullConeX => cone(EndpointIndependent, Ports::Fixed),
            Self::AddrRestricted => cone(AddressDependent, Ports::Preserved),
            Self::AddrRestrictedX => cone(AddressDependent, Ports::Fixed),
            Self::PortRestricted | Self::LinuxOpenInput => cone(AddressAndPortDependent, Ports::Preserved),
            Self::PortRestrictedX => cone(AddressAndPortDependent, Ports::Fixed),
            Self::SymRandom => symmetric(Ports::Random),
            Self::SymSeq => symmetric(Ports::Sequential { step: 1 }),
            Self::SymBlock512 => {
                symmetric(Ports::Block { first: BLOCK_FIRST, last: BLOCK_FIRST + (BLOCK - 1) })
            }
            Self::SymAddr => nat(AddressDependent, AddressDependent, Ports::Fixed),
            Self::SymEif => nat(AddressAndPortDependent, EndpointIndependent, Ports::Random),
        }
    }
}

/// What one NAT does; made from a [`Kind`], and changed where a scenario wants it otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Mapping, filtering and ports.
    pub profile: NatProfile,
    /// Whether what strangers send to its own address is taken in, and so takes their flow's port away.
    pub accepts_strangers: bool,
    /// Whether machines behind it reach each other by its outer address.
    pub hairpins: bool,
    /// How long a flow lives of which one direction was seen.
    pub unreplied_lifetime: Duration,
    /// How long a flow lives of which both directions were seen.
    pub replied_lifetime: Duration,
}

impl From<Kind> for Behaviour {
    fn from(kind: Kind) -> Self {
        Self {
            profile: kind.profile(),
            accepts_strangers: kind == Kind::LinuxOpenInput,
            hairpins: false,
            unreplied_lifetime: UNREPLIED_LIFETIME,
            replied_lifetime: REPLIED_LIFETIME,
        }
    }
}

impl Behaviour {
    /// The same with hairpinning.
    #[must_use]
    pub fn with_hairpin(self) -> Self {
        Self { hairpins: true, ..self }
    }

    /// The same, but flows are forgotten after this time, whatever was seen of them.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { unreplied_lifetime: lifetime, replied_lifetime: lifetime, ..self }
    }
}
