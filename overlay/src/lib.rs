//! Sealed how: sessions, handshakes, enrolment; and the composition of `nat`, `routing` and `registry` into a Node.
//!
//! Two halves. The slow path is [`Node`], one state machine that decides everything. The fast path is
//! [`fastpath`], pure functions over the [`Tables`] that the Node publishes. Neither knows a clock, a socket or
//! a file: bytes, time and a seed go in, bytes and deadlines come out.

mod answer;
mod door;
mod drops;
pub mod fastpath;
mod forwarding;
mod gates;
mod guest;
mod halves;
mod health_check;
mod hint_gate;
mod identity;
mod joiner;
pub mod limits;
mod membership;
mod node;
mod noise;
mod peer;
mod peers;
mod random;
mod replay;
mod secrets;
mod sent;
mod service;
pub mod session;
pub mod state;
mod tables;
mod target;

pub use drops::{DropReason, Drops};
pub use guest::{Guest, GuestRequest, GuestView, HostedGuest, HostedGuests};
pub use health_check::{HealthCheck, HealthCheckError, HttpPath};
pub use identity::Identity;
pub use joiner::{JoinError, JoinOutput, Joiner, MailboxParams};
pub use membership::found;
pub use nat::{HOPS_MAX, MTU_ASSUMED, MTU_MAX, MTU_MIN, Mtu, Remote, SocketId};
pub use node::{
    AnchorView, Carriers, CommandError, DhtEvent, DhtRequest, DhtState, DhtView, DialStreams, Event,
    ExitParams, ExitState, ExitView, HeldView, HintSource, HopParams, HostRoutes, InviteRequest, Ipv6View,
    MeshNode, MeshView, Netcheck, Node, Observed, Output, Params, PathView, PeerView, PortMappingView,
    PublishError, Reach, RouteRefusal, RouteState, RouteView, RouterView, Selected, Side, Situation,
    Standing, View, WaitReason, Why, WhyAttempt, advise, is_private, nat_words, reason, rough_time,
};
pub use peer::PeerState;
pub use registry::claim::Title;
pub use registry::zone::{Instance, Zone, ZoneNode, ZoneService};
pub use registry::zone_change::{ZoneChange, ZoneChangeKind, changes};
pub use registry::{Sequence, ZoneGuest};
pub use replay::{ReplayWindow, WINDOW};
pub use routing::range::{RangeError, choose_ipv4_range};
pub use secrets::Secrets;
pub use sent::{Handshakes, Sent, Tally};
pub use service::Publication;
pub use tables::{ByFamily, PeerRow, PeerShared, Routes, Tables};
pub use target::{Host, Target, TargetError, machine_address};
pub use wire::service::Sharing;
