//! How the NAT before a node behaves, in the words of RFC 4787, as nodes tell it to each other.

use minicbor::{Decode, Encode};

/// To whom a mapping or a filter belongs (RFC 4787, sections 4.1 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Dependence {
    /// Not known yet.
    #[default]
    #[n(0)]
    Unknown,
    /// The same for everybody.
    #[n(1)]
    EndpointIndependent,
    /// Another one for every remote address.
    #[n(2)]
    AddressDependent,
    /// Another one for every remote address and port.
    #[n(3)]
    AddressAndPortDependent,
}

/// Which ports a NAT gives to mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub enum Ports {
    /// Not known yet.
    #[default]
    #[n(0)]
    Unknown,
    /// The port of the inner socket, where it is free.
    #[n(1)]
    Preserved,
    /// Another one, that does not change for this socket.
    #[n(2)]
    Fixed,
    /// One after the other.
    #[n(3)]
    Sequential {
        /// From one to the next; often 1 or 2, negative where it counts down.
        #[n(0)]
        step: i16,
    },
    /// Anywhere in a part of all ports.
    #[n(4)]
    Block {
        /// The lowest.
        #[n(0)]
        first: u16,
        /// The highest.
        #[n(1)]
        last: u16,
    },
    /// Anywhere.
    #[n(5)]
    Random,
}

/// What a node knows of the NAT, or of the firewall, before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct NatProfile {
    /// Whether other addresses are seen from outside than the node has.
    #[n(0)]
    pub translates: bool,
    /// For whom a mapping holds.
    #[n(1)]
    pub mapping: Dependence,
    /// From whom packets are let in.
    #[n(2)]
    pub filtering: Dependence,
    /// Which ports mappings get.
    #[n(3)]
    pub ports: Ports,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    #[test]
    fn profiles_read_back() {
        let ports = [
            Ports::Unknown,
            Ports::Preserved,
            Ports::Fixed,
            Ports::Sequential { step: -2 },
            Ports::Block { first: 1, last: u16::MAX },
            Ports::Random,
        ];
        for ports in ports {
            let profile = NatProfile {
                translates: true,
                mapping: Dependence::AddressDependent,
                filtering: Dependence::AddressAndPortDependent,
                ports,
            };
            assert_eq!(cbor::decode(&cbor::encode(&profile)), Ok(profile));
        }
    }
}
