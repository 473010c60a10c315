//! What passes between the server and the control thread.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use overlay::{GuestRequest, Publication, Target, Zone};
use tokio::sync::{broadcast, oneshot};
use wire::Name;
use wire::record::RouteOffer;
use wire::service::Version;

/// Requests that may wait for the control thread; more are refused at once, so that callers cannot
/// make the daemon grow. Size of the channel given to [`serve`](super::serve).
pub const REQUESTS_MAX: usize = 64;
/// Watchers at once: each holds a connection for long, of which there must be some left for people.
pub const WATCHERS_MAX: usize = 16;
/// Zones that a watcher may be behind; one that is further behind is told so and ended. A zone is shared by all watchers.
pub const ZONES_MAX: usize = 32;

/// One call, and where its answer goes.
///
/// Dropping `reply` unanswered tells the caller that the daemon is going down.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// Takes the answer; it may come at any later time.
    pub reply: oneshot::Sender<Result<Reply, Refusal>>,
}

/// What is asked, parsed. NODE texts are name, mesh address or id prefix, free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The state of the node: answer [`Reply::Status`].
    Status,
    /// A new invite: answer [`Reply::Invite`].
    Invite {
        /// Name the joiner must have.
        node_name: Option<Name>,
        /// Mesh address the joiner is to have.
        address: Option<IpAddr>,
        /// Role of the joiner.
        role: Role,
        /// How long the invite is good for.
        expires: Duration,
        /// Service names that the joiner is given.
        services: Vec<Name>,
    },
    /// One overlay ping: answer [`Reply::Ping`], or a refusal of kind [`RefusalKind::Timeout`].
    Ping {
        /// Whom.
        node: String,
        /// How long to wait.
        timeout: Duration,
    },
    /// A mesh address for a node: answer [`Reply::Assigned`].
    Assign {
        /// Whom.
        node: String,
        /// Its new address.
        address: IpAddr,
    },
    /// Service names for a node: answer [`Reply::Delegated`].
    Delegate {
        /// Whom.
        node: String,
        /// All that it is to have.
        services: Vec<Name>,
    },
    /// The end of a node's membership: answer [`Reply::Revoked`].
    Revoke {
        /// Whom.
        node: String,
    },
    /// What stands between this node and the others: answer [`Reply::Netcheck`].
    Netcheck,
    /// Why a node is reached as it is: answer [`Reply::Why`].
    Why {
        /// Whom.
        node: String,
    },
    /// Which nodes reach which: answer [`Reply::Mesh`].
    Mesh,
    /// An instance of a service: answer [`Reply::Published`].
    Publish {
        /// What is published; of [`overlay::Sharing::Nodes`] the nodes are still to be looked up.
        publication: Box<Publication>,
        /// These, each a NODE text.
        sharing_nodes: Vec<String>,
    },
    /// No instance any more: answer [`Reply::Unpublished`].
    Unpublish {
        /// Of which service.
        name: Name,
        /// Only of this version.
        version: Option<Version>,
    },
    /// A guest of this node: answer [`Reply::GuestAdded`], or a refusal of kind [`RefusalKind::Timeout`].
    AddGuest {
        /// Who it is.
        guest: GuestRequest,
        /// Whether it is to send everything through the tunnel.
        is_full: bool,
    },
    /// All guests: answer [`Reply::Guests`].
    Guests,
    /// No guest any more: answer [`Reply::GuestRemoved`].
    RemoveGuest {
        /// Its name.
        name: Name,
    },
    /// All services: answer [`Reply::Services`].
    Services,
    /// What names mean: answer [`Reply::Zone`].
    Zone,
    /// What a name means that the zone does not know, by asking who does: answer [`Reply::Zone`] with that service, or without any
    /// when there is none; or a refusal of kind [`RefusalKind::Timeout`].
    Find {
        /// The name.
        name: Name,
    },
    /// What names mean, now and from now on: answer [`Reply::Watching`].
    Watch,
    /// The configuration, once more: answer [`Reply::Reloaded`].
    Reload,
    /// What the node counts: answer [`Reply::Metrics`].
    Metrics,
    /// A subnet that this node is to be a router for: answer [`Reply::Advertised`].
    AdvertiseRoute {
        /// The subnet, and how.
        offer: RouteOffer,
    },
    /// No router any more: answer [`Reply::Done`].
    WithdrawRoute {
        /// For which subnet.
        prefix: IpNet,
    },
    /// A router is approved, or is not any more: answer [`Reply::Approved`].
    ApproveRoute {
        /// Which node.
        node: String,
        /// For which subnet.
        prefix: IpNet,
        /// Whether it is.
        is_approved: bool,
    },
    /// All subnets: answer [`Reply::Routes`].
    Routes,
    /// An exit for others, or not any more: answer [`Reply::Done`].
    OfferExit {
        /// Whether it is.
        is_offered: bool,
    },
    /// All traffic of this machine is to leave by another, or as it did before: answer [`Reply::ExitUsed`] once it does.
    UseExit {
        /// By which node; by none when absent.
        node: Option<String>,
        /// Whether local networks are reached besides.
        allow_lan: bool,
    },
    /// All exits: answer [`Reply::Exits`].
    Exits,
    /// Stop: answer [`Reply::Done`] once the host is left as it was found, before the process ends.
    Down,
    /// Stop and give up membership: answer [`Reply::Done`] as for `Down`.
    Leave {
        /// Even where that loses something.
        force: bool,
    },
}

/// Role of a node that is invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Uses the network.
    Member,
    /// Uses the network, invites, assigns and revokes.
    Admin,
}

/// The answer to a [`Command`].
#[derive(Debug)]
pub enum Reply {
    /// To [`Command::Status`].
    Status(Box<api::StatusReply>),
    /// To [`Command::Invite`].
    Invite(api::InviteReply),
    /// To [`Command::Ping`].
    Ping(api::PingReply),
    /// To [`Command::Assign`].
    Assigned(api::AssignReply),
    /// To [`Command::Delegate`].
    Delegated(api::DelegateReply),
    /// To [`Command::Revoke`].
    Revoked(api::RevokeReply),
    /// To [`Command::Netcheck`].
    Netcheck(Box<api::NetcheckReply>),
    /// To [`Command::Why`].
    Why(Box<api::WhyReply>),
    /// To [`Command::Mesh`].
    Mesh(Box<api::MeshReply>),
    /// To [`Command::Publish`].
    Published(api::PublishReply),
    /// To [`Command::Unpublish`].
    Unpublished(api::UnpublishReply),
    /// To [`Command::AddGuest`].
    GuestAdded(Box<api::AddGuestReply>),
    /// To [`Command::Guests`].
    Guests(api::GuestsReply),
    /// To [`Command::RemoveGuest`].
    GuestRemoved(api::RemoveGuestReply),
    /// To [`Command::Services`]: what names mean, and where this node passes on what comes for its own.
    Services(Arc<Zone>, Targets),
    /// To [`Command::Zone`] and [`Command::Find`].
    Zone(Arc<Zone>),
    /// To [`Command::Watch`].
    Watching(Watching),
    /// To [`Command::Reload`].
    Reloaded(api::ReloadReply),
    /// To [`Command::Metrics`]: the text format of Prometheus.
    Metrics(String),
    /// To [`Command::AdvertiseRoute`].
    Advertised(api::AdvertiseRouteReply),
    /// To [`Command::ApproveRoute`]: name and id of the node.
    Approved(String, String),
    /// To [`Command::Routes`].
    Routes(api::RoutesReply),
    /// To [`Command::UseExit`].
    ExitUsed(api::UseExitReply),
    /// To [`Command::Exits`].
    Exits(api::ExitsReply),
    /// To [`Command::Down`], [`Command::Leave`], [`Command::WithdrawRoute`] and [`Command::OfferExit`].
    Done,
}

/// Targets of this node's publications, by name and version.
pub type Targets = BTreeMap<(Name, Option<Version>), Target>;

/// A zone, and all that follow it.
#[derive(Debug)]
pub struct Watching {
    /// The present one.
    pub zone: Arc<Zone>,
    /// Those to come, within [`ZONES_MAX`]; they end with the daemon.
    pub zones: broadcast::Receiver<Arc<Zone>>,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of no.
    pub kind: RefusalKind,
    /// One sentence that says what is wrong and what to do, without full stop.
    pub message: String,
}

/// Kinds of no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request makes no sense whatever the state (the command line exits with 2; all others 1).
    InvalidArgument,
    /// No such node or service.
    NotFound,
    /// Not in this state, or not by this node.
    Precondition,
    /// No answer in time.
    Timeout,
    /// Too much at once.
    Exhausted,
    /// Something here failed.
    Internal,
}

impl Refusal {
    /// A refusal of `kind` that says `message`.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Refusal> for tonic::Status {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.kind {
            RefusalKind::InvalidArgument => tonic::Code::InvalidArgument,
            RefusalKind::NotFound => tonic::Code::NotFound,
            RefusalKind::Precondition => tonic::Code::FailedPrecondition,
            RefusalKind::Timeout => tonic::Code::DeadlineExceeded,
            RefusalKind::Exhausted => tonic::Code::ResourceExhausted,
            RefusalKind::Internal => tonic::Code::Internal,
        };
        Self::new(code, refusal.message)
    }
}
