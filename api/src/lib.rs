//! The control protocol shared by daemon, command line and other programs.
//!
//! `proto/hopmesh.proto` is the protocol; this crate is its compiled form and the way to reach a
//! daemon: [`connect`] to its unix socket gives a [`ControlClient`]. Nothing here decides anything.

mod connect;

#[expect(
    clippy::too_many_lines,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "generated from proto/hopmesh.proto"
)]
mod generated {
    tonic::include_proto!("hopmesh.v1");
}

pub use connect::{ConnectError, ControlClient, connect};
pub use generated::{
    AddGuestReply, AddGuestRequest, AdvertiseRouteReply, AdvertiseRouteRequest, Anchor, ApproveRouteReply,
    ApproveRouteRequest, AssignReply, AssignRequest, Attempt, ChangeKind, DelegateReply, DelegateRequest,
    Dependence, Dht, DownReply, DownRequest, Exit, ExitState, ExitsReply, ExitsRequest, Front, Guest,
    GuestsReply, GuestsRequest, Held, Instance, Interface, InviteReply, InviteRequest, Ipv6, Lan, LeaveReply,
    LeaveRequest, MeshLink, MeshNode, MeshReply, MeshRequest, MetricsReply, MetricsRequest, Names,
    NatProfile, NetcheckReply, NetcheckRequest, Network, Node, Observed, OfferExitReply, OfferExitRequest,
    Path, PathKind, Peer, PeerState, PingReply, PingRequest, PortMapping, PortMappingState, Ports, Protocol,
    PublishReply, PublishRequest, Reach, RejectRouteReply, RejectRouteRequest, ReloadReply, ReloadRequest,
    RemoveGuestReply, RemoveGuestRequest, ResolveReply, ResolveRequest, RevokeReply, RevokeRequest, Role,
    Route, RouteState, RoutesReply, RoutesRequest, Service, ServicesReply, ServicesRequest, Sharing,
    StatusReply, StatusRequest, SubnetRouter, Title, UnpublishReply, UnpublishRequest, UseExitReply,
    UseExitRequest, WatchReply, WatchRequest, WhyReply, WhyRequest, WithdrawRouteReply, WithdrawRouteRequest,
};
pub use generated::{control_client, control_server};
