//! How we are reached: what others see of us, and what that makes of us.

use wire::NatProfile;

/// What is known of that.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Whether unrelated members have dialled us.
    pub(super) is_anchor: bool,
    /// The NAT before us.
    pub(super) profile: NatProfile,
    /// TCP port at which we take datagrams in a WebSocket.
    pub(super) stream_port: Option<u16>,
}
