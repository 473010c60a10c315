//! The gRPC service: messages in, [`Command`]s out; replies in, messages out.
//!
//! Everything a caller sends is parsed here and goes no further as text.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use overlay::{GuestRequest, Zone};
use tokio::sync::{mpsc, oneshot};
use tonic::{Request as Call, Response, Status};
use wire::credential::is_routable;
use wire::record::RouteOffer;

use super::publication::{parse_publish, parse_unpublish};
use super::request::{Command, Refusal, RefusalKind, Reply, Request, Role};
use super::watch::{self, Changes};
use super::zone::{self, Query};

/// Longest text that names a node: a DNS name is no longer.
const NODE_TEXT_MAX: usize = 255;
/// Longest an invite may be good for: it is a secret that lies about in mails.
const INVITE_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest anybody may wait for one ping.
const PING_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Passes parsed calls to the control thread.
#[derive(Debug, Clone)]
pub(super) struct Service {
    requests: mpsc::Sender<Request>,
}

impl Service {
    pub(super) fn new(requests: mpsc::Sender<Request>) -> Self {
        Self { requests }
    }

    /// What a name means that others know.
    pub(super) async fn find(&self, name: wire::Name) -> Result<Arc<Zone>, Status> {
        let Reply::Zone(zone) = self.ask(Command::Find { name }).await? else { return Err(mismatch()) };
        Ok(zone)
    }

    async fn ask(&self, command: Command) -> Result<Reply, Status> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(Request { command, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Status::resource_exhausted("the daemon is busy: try again in a moment")
            }
            mpsc::error::TrySendError::Closed(_) => going_down(),
        })?;
        Ok(answer.await.map_err(|_| going_down())??)
    }
}

pub(super) fn going_down() -> Status {
    Status::unavailable("the daemon is going down")
}

/// The control thread answered another question than was asked: a mistake of ours.
fn mismatch() -> Status {
    Status::internal("the daemon mixed up its answers: please report this as a bug")
}

#[tonic::async_trait]
impl api::control_server::Control for Service {
    async fn status(&self, _: Call<api::StatusRequest>) -> Result<Response<api::StatusReply>, Status> {
        let Reply::Status(reply) = self.ask(Command::Status).await? else { return Err(mismatch()) };
        Ok(Response::new(*reply))
    }

    async fn invite(&self, call: Call<api::InviteRequest>) -> Result<Response<api::InviteReply>, Status> {
        let command = parse_invite(call.into_inner())?;
        let Reply::Invite(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn ping(&self, call: Call<api::PingRequest>) -> Result<Response<api::PingReply>, Status> {
        let command = parse_ping(call.into_inner())?;
        let Reply::Ping(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn assign(&self, call: Call<api::AssignRequest>) -> Result<Response<api::AssignReply>, Status> {
        let api::AssignRequest { node, address } = call.into_inner();
        let command = Command::Assign { node: parse_node(node)?, address: parse_address(&address)? };
        let Reply::Assigned(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn delegate(
        &self,
        call: Call<api::DelegateRequest>,
    ) -> Result<Response<api::DelegateReply>, Status> {
        let api::DelegateRequest { node, services } = call.into_inner();
        let command = Command::Delegate { node: parse_node(node)?, services: parse_names(&services)? };
        let Reply::Delegated(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn revoke(&self, call: Call<api::RevokeRequest>) -> Result<Response<api::RevokeReply>, Status> {
        let command = Command::Revoke { node: parse_node(call.into_inner().node)? };
        let Reply::Revoked(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn netcheck(&self, _: Call<api::NetcheckRequest>) -> Result<Response<api::NetcheckReply>, Status> {
        let Reply::Netcheck(reply) = self.ask(Command::Netcheck).await? else { return Err(mismatch()) };
        Ok(Response::new(*reply))
    }

    async fn why(&self, call: Call<api::WhyRequest>) -> Result<Response<api::WhyReply>, Status> {
        let command = Command::Why { node: parse_node(call.into_inner().node)? };
        let Reply::Why(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(*reply))
    }

    async fn mesh(&self, _: Call<api::MeshRequest>) -> Result<Response<api::MeshReply>, Status> {
        let Reply::Mesh(reply) = self.ask(Command::Mesh).await? else { return Err(mismatch()) };
        Ok(Response::new(*reply))
    }

    async fn publish(&self, call: Call<api::PublishRequest>) -> Result<Response<api::PublishReply>, Status> {
        let command = parse_publish(call.into_inner())?;
        let Reply::Published(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn unpublish(
        &self,
        call: Call<api::UnpublishRequest>,
    ) -> Result<Response<api::UnpublishReply>, Status> {
        let command = parse_unpublish(&call.into_inner())?;
        let Reply::Unpublished(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn add_guest(
        &self,
        call: Call<api::AddGuestRequest>,
    ) -> Result<Response<api::AddGuestReply>, Status> {
        let command = parse_guest(&call.into_inner())?;
        let Reply::GuestAdded(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(*reply))
    }

    async fn guests(&self, _: Call<api::GuestsRequest>) -> Result<Response<api::GuestsReply>, Status> {
        let Reply::Guests(reply) = self.ask(Command::Guests).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn remove_guest(
        &self,
        call: Call<api::RemoveGuestRequest>,
    ) -> Result<Response<api::RemoveGuestReply>, Status> {
        let command = Command::RemoveGuest { name: call.into_inner().name.parse().map_err(invalid)? };
        let Reply::GuestRemoved(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn services(&self, _: Call<api::ServicesRequest>) -> Result<Response<api::ServicesReply>, Status> {
        let Reply::Services(zone, targets) = self.ask(Command::Services).await? else {
            return Err(mismatch());
        };
        Ok(Response::new(zone::services(&zone, &targets)))
    }

    async fn resolve(&self, call: Call<api::ResolveRequest>) -> Result<Response<api::ResolveReply>, Status> {
        let query = Query::parse(call.into_inner())?;
        let Reply::Zone(mut zone) = self.ask(Command::Zone).await? else { return Err(mismatch()) };
        if !zone.knows(query.name()) {
            zone = self.find(query.name().clone()).await?;
        }
        Ok(Response::new(query.answer(&zone)?))
    }

    type WatchStream = Changes;

    async fn watch(&self, call: Call<api::WatchRequest>) -> Result<Response<Changes>, Status> {
        let name = call.into_inner().name.map(|name| name.parse().map_err(invalid)).transpose()?;
        let Reply::Watching(mut watching) = self.ask(Command::Watch).await? else { return Err(mismatch()) };
        let unknown = name.as_ref().filter(|name| !watching.zone.knows(name));
        if let Some(name) = unknown {
            let found = self.find(name.clone()).await?;
            let mut zone = Zone::clone(&watching.zone);
            zone.services.extend(found.services.get(name).map(|service| (name.clone(), service.clone())));
            watching.zone = Arc::new(zone);
        }
        Ok(Response::new(watch::stream(watching, name, self.clone())))
    }

    async fn reload(&self, _: Call<api::ReloadRequest>) -> Result<Response<api::ReloadReply>, Status> {
        let Reply::Reloaded(reply) = self.ask(Command::Reload).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn metrics(&self, _: Call<api::MetricsRequest>) -> Result<Response<api::MetricsReply>, Status> {
        let Reply::Metrics(text) = self.ask(Command::Metrics).await? else { return Err(mismatch()) };
        Ok(Response::new(api::MetricsReply { text }))
    }

    async fn advertise_route(
        &self,
        call: Call<api::AdvertiseRouteRequest>,
    ) -> Result<Response<api::AdvertiseRouteReply>, Status> {
        let command = parse_offer(&call.into_inner())?;
        let Reply::Advertised(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn withdraw_route(
        &self,
        call: Call<api::WithdrawRouteRequest>,
    ) -> Result<Response<api::WithdrawRouteReply>, Status> {
        let command = Command::WithdrawRoute { prefix: parse_prefix(&call.into_inner().prefix)? };
        let Reply::Done = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(api::WithdrawRouteReply {}))
    }

    async fn approve_route(
        &self,
        call: Call<api::ApproveRouteRequest>,
    ) -> Result<Response<api::ApproveRouteReply>, Status> {
        let api::ApproveRouteRequest { node, prefix } = call.into_inner();
        let (node, prefix) = (parse_node(node)?, parse_prefix(&prefix)?);
        let command = Command::ApproveRoute { node, prefix, is_approved: true };
        let Reply::Approved(node, id) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(api::ApproveRouteReply { node, id }))
    }

    async fn reject_route(
        &self,
        call: Call<api::RejectRouteRequest>,
    ) -> Result<Response<api::RejectRouteReply>, Status> {
        let api::RejectRouteRequest { node, prefix } = call.into_inner();
        let (node, prefix) = (parse_node(node)?, parse_prefix(&prefix)?);
        let command = Command::ApproveRoute { node, prefix, is_approved: false };
        let Reply::Approved(node, id) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(api::RejectRouteReply { node, id }))
    }

    async fn routes(&self, _: Call<api::RoutesRequest>) -> Result<Response<api::RoutesReply>, Status> {
        let Reply::Routes(reply) = self.ask(Command::Routes).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn offer_exit(
        &self,
        call: Call<api::OfferExitRequest>,
    ) -> Result<Response<api::OfferExitReply>, Status> {
        let command = Command::OfferExit { is_offered: !call.into_inner().withdraw };
        let Reply::Done = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(api::OfferExitReply {}))
    }

    async fn use_exit(&self, call: Call<api::UseExitRequest>) -> Result<Response<api::UseExitReply>, Status> {
        let api::UseExitRequest { node, allow_lan } = call.into_inner();
        let command = Command::UseExit { node: node.map(parse_node).transpose()?, allow_lan };
        let Reply::ExitUsed(reply) = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn exits(&self, _: Call<api::ExitsRequest>) -> Result<Response<api::ExitsReply>, Status> {
        let Reply::Exits(reply) = self.ask(Command::Exits).await? else { return Err(mismatch()) };
        Ok(Response::new(reply))
    }

    async fn down(&self, _: Call<api::DownRequest>) -> Result<Response<api::DownReply>, Status> {
        let Reply::Done = self.ask(Command::Down).await? else { return Err(mismatch()) };
        Ok(Response::new(api::DownReply {}))
    }

    async fn leave(&self, call: Call<api::LeaveRequest>) -> Result<Response<api::LeaveReply>, Status> {
        let command = Command::Leave { force: call.into_inner().force };
        let Reply::Done = self.ask(command).await? else { return Err(mismatch()) };
        Ok(Response::new(api::LeaveReply {}))
    }
}

fn parse_invite(request: api::InviteRequest) -> Result<Command, Refusal> {
    let role = match request.role() {
        api::Role::Unspecified | api::Role::Member => Role::Member,
        api::Role::Admin => Role::Admin,
    };
    let node_name = request.node_name.map(|name| name.parse().map_err(invalid)).transpose()?;
    let address = request.address.map(|address| parse_address(&address)).transpose()?;
    let expires = Duration::from_secs(request.expires_s);
    if expires.is_zero() || expires > INVITE_AGE_MAX {
        return Err(invalid("an invite is good for one second to 30 days"));
    }
    let services = parse_names(&request.services)?;
    Ok(Command::Invite { node_name, address, role, expires, services })
}

fn parse_ping(request: api::PingRequest) -> Result<Command, Refusal> {
    let timeout = Duration::from_millis(request.timeout_ms.into());
    if timeout.is_zero() || timeout > PING_TIMEOUT_MAX {
        return Err(invalid("a ping is waited for at least a millisecond and at most a minute"));
    }
    Ok(Command::Ping { node: parse_node(request.node)?, timeout })
}

fn parse_guest(request: &api::AddGuestRequest) -> Result<Command, Refusal> {
    let key: [u8; 32] = request
        .public_key
        .as_slice()
        .try_into()
        .map_err(|_| invalid("a WireGuard key has 32 bytes: give what `wg pubkey` prints"))?;
    if key == [0; 32] {
        return Err(invalid("this WireGuard key is nobody's: give what `wg pubkey` prints"));
    }
    let guest = GuestRequest {
        name: request.name.parse().map_err(invalid)?,
        key: wire::GuestKey(key),
        address: request.address.as_deref().map(parse_address).transpose()?,
    };
    Ok(Command::AddGuest { guest, is_full: request.full_tunnel })
}

fn parse_offer(request: &api::AdvertiseRouteRequest) -> Result<Command, Refusal> {
    let prefix = parse_prefix(&request.prefix)?;
    let behind = request.behind.as_deref().map(parse_prefix).transpose()?;
    let offer = RouteOffer { prefix, behind, is_masqueraded: !request.no_snat };
    if let Some(behind) = behind.filter(|_| is_routable(&prefix) && !offer.is_valid()) {
        return Err(invalid(format!(
            "{behind} cannot be known as {prefix}: both must be subnets of one family and length, and different"
        )));
    }
    Ok(Command::AdvertiseRoute { offer })
}

fn parse_prefix(text: &str) -> Result<IpNet, Refusal> {
    text.parse().map_err(|_| invalid(format!("{text:?} is no prefix: write one like 192.168.1.0/24")))
}

pub(super) fn parse_node(text: String) -> Result<String, Refusal> {
    if text.is_empty() || text.len() > NODE_TEXT_MAX || text.contains(char::is_control) {
        return Err(invalid("a node is given by its name, mesh address or the beginning of its id"));
    }
    Ok(text)
}

fn parse_names(texts: &[String]) -> Result<Vec<wire::Name>, Refusal> {
    texts.iter().map(|text| text.parse().map_err(invalid)).collect()
}

fn parse_address(text: &str) -> Result<IpAddr, Refusal> {
    text.parse().map_err(|_| invalid(format!("{text:?} is no IP address")))
}

pub(super) fn invalid(message: impl ToString) -> Refusal {
    Refusal::new(RefusalKind::InvalidArgument, message.to_string())
}
