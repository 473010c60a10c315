//! Drops: every refusal of a packet has a reason and a counter.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a packet, datagram or message was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum DropReason {
            $($(#[$doc])* $name,)*
        }

        const TEXTS: &[&str] = &[$($text),*];

        impl DropReason {
            /// Name of the counter.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                TEXTS[self as usize]
            }
        }
    };
}

reasons! {
    /// A datagram that is none of ours: a stranger's, or another protocol's.
    Unknown = "unknown_datagram",
    /// A handshake message of somebody who does not know the network secret.
    Gate = "gate",
    /// A sealed datagram for a session that is not there (any more).
    NoSession = "no_session",
    /// A sealed datagram whose tag does not verify.
    Forged = "forged",
    /// A sealed datagram that came before, or too late.
    Replayed = "replayed",
    /// The inner packet is no IP packet, or an address in it has no place here.
    MalformedPacket = "malformed_packet",
    /// The inner source does not belong to the peer that sent the packet.
    SourceCheck = "source_check",
    /// The inner destination is not ours.
    Destination = "destination",
    /// A local program, or the kernel, sent to all of a network, as multicast DNS does: the overlay carries none of that.
    Multicast = "multicast",
    /// A local program sent from an address that is not ours.
    ForeignSource = "foreign_source",
    /// No node owns the destination.
    NoRoute = "no_route",
    /// The peer did not answer while packets waited for it.
    PeerOffline = "peer_offline",
    /// Too many packets wait for a session.
    StagedFull = "staged_full",
    /// The slow path has more to do than it can.
    SlowPathFull = "slow_path_full",
    /// Too many handshakes.
    HandshakeFlood = "handshake_flood",
    /// A handshake message that came before, or whose contents do not verify.
    Handshake = "handshake",
    /// A credential that is not believed.
    Credential = "credential",
    /// A node that was revoked.
    Revoked = "revoked",
    /// A member with which there is no revision of the protocol that both speak.
    Revision = "revision",
    /// A control message that means nothing.
    Control = "control_message",
    /// A record that is not believed, or over its owner's quota.
    Record = "record",
    /// A message of an enrolment that does not verify.
    Enrolment = "enrolment",
    /// A hint that does not verify, is older than another, or of somebody who was not asked.
    Hint = "hint",
    /// More hints than are looked at.
    HintFlood = "hint_flood",
    /// A datagram for a circuit that is not there (any more).
    NoCircuit = "no_circuit",
    /// A member had more carried than its share.
    HopBudget = "hop_budget",
    /// A member sent more to the internet by us, or got more from there, than its share.
    ExitBudget = "exit_budget",
    /// A copy of a datagram that was carried before.
    HopCopy = "hop_copy",
    /// A packet was longer than the path carries; its sender was told.
    TooBig = "too_big",
    /// A message of `WireGuard` that is no guest's, does not verify, or is one more than is looked at.
    Guest = "guest",
    /// A packet for a guest that is not there.
    GuestOffline = "guest_offline",
    /// The operating system did not take a datagram or a packet.
    Os = "os_refused",
}

/// Counters of all drops of a node, shared with the workers.
#[derive(Debug)]
pub struct Drops([AtomicU64; TEXTS.len()]);

impl Default for Drops {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; TEXTS.len()])
    }
}

impl Drops {
    /// Counts one.
    pub fn count(&self, reason: DropReason) {
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    /// How many there were for a reason.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize].load(Relaxed)
    }

    /// All counters, by name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        TEXTS.iter().zip(&self.0).map(|(text, count)| (*text, count.load(Relaxed)))
    }

    /// All counters that are not zero, by name.
    pub fn counted(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.all().filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_name() {
        let drops = Drops::default();
        drops.count(DropReason::Os);
        drops.count(DropReason::Gate);
        drops.count(DropReason::Gate);
        assert_eq!(drops.counted().collect::<Vec<_>>(), [("gate", 2), ("os_refused", 1)]);
        assert_eq!(drops.of(DropReason::Gate), 2);
        assert_eq!(drops.all().count(), TEXTS.len());
    }
}
