//! Commands of people: each becomes a wish to the Node, and its answer a reply.

use std::net::IpAddr;

use overlay::{CommandError, InviteRequest, PathView, Remote, Selected};
use tokio::sync::oneshot;
use wire::invite::InviteRole;
use wire::{Invite, Name};

use super::driver::{Driver, Ending};
use super::report::{self, Outside};
use crate::control::{Command, Refusal, RefusalKind, Reply, Request, Role};
use crate::io::clock;

/// Where an answer goes.
pub(super) type Answer = oneshot::Sender<Result<Reply, Refusal>>;

/// Somebody who waits for the end of a ping.
pub(super) struct WaitingPing {
    pub(super) ticket: u64,
    pub(super) selected: Selected,
    pub(super) reply: Answer,
}

impl Driver {
    /// Carries out one command; the answers of some come later.
    pub(super) fn take_request(&mut self, request: Request) {
        let Request { command, reply } = request;
        self.node.handle_wall_clock(clock::unix_s(), clock::now());
        let answer = match command {
            Command::Status => Ok(Reply::Status(Box::new(self.status()))),
            Command::Invite { node_name, address, role, expires, services } => {
                let role = match role {
                    Role::Member => InviteRole::Member,
                    Role::Admin => InviteRole::Admin,
                };
                let request = InviteRequest { name: node_name, address, role, life: expires, services };
                self.invite(&request).map(|invite| {
                    let (invite, expires_unix) = (invite.to_string(), invite.expires_s);
                    Reply::Invite(api::InviteReply { invite, expires_unix })
                })
            }
            Command::Ping { node, timeout } => match self.node.ping(&node, timeout, clock::now()) {
                Ok((ticket, selected)) => {
                    self.pings.push(WaitingPing { ticket, selected, reply });
                    return self.pump();
                }
                Err(error) => Err(refusal(&error)),
            },
            Command::Assign { node, address } => self.assign(&node, address),
            Command::Delegate { node, services } => self.delegate(&node, services),
            Command::Revoke { node } => self.revoke(&node),
            Command::Netcheck => {
                let netcheck = self.node.netcheck(clock::now());
                Ok(Reply::Netcheck(Box::new(report::netcheck(&netcheck, &self.outside()))))
            }
            Command::Why { node } => {
                self.why(&node).map(|why| Reply::Why(Box::new(why))).map_err(|error| refusal(&error))
            }
            Command::Mesh => Ok(Reply::Mesh(Box::new(report::mesh(&self.node.mesh())))),
            Command::Publish { publication, sharing_nodes } if !self.node.zone().knows(&publication.name) => {
                return self.publish_when_known(publication, sharing_nodes, reply);
            }
            Command::Publish { publication, sharing_nodes } => self.publish(*publication, &sharing_nodes),
            Command::Unpublish { name, version } => self.unpublish(&name, version.as_ref()),
            Command::Find { name } => return self.find_place(name, reply),
            Command::AddGuest { guest, is_full } => return self.add_guest(guest, is_full, reply),
            Command::Guests => Ok(Reply::Guests(api::GuestsReply { guests: self.guest_views() })),
            Command::RemoveGuest { name } => self.remove_guest(&name),
            Command::Services => Ok(self.services_view()),
            Command::Zone => Ok(Reply::Zone(self.node.zone())),
            Command::Watch => self.watch(),
            Command::Reload => return self.ask_reload(Some(reply)),
            Command::Metrics => Ok(Reply::Metrics(self.metrics())),
            Command::AdvertiseRoute { offer } => self.advertise_route(offer),
            Command::WithdrawRoute { prefix } => self.withdraw_route(prefix),
            Command::ApproveRoute { node, prefix, is_approved } => {
                self.approve_route(&node, prefix, is_approved)
            }
            Command::Routes => Ok(Reply::Routes(report::routes(&self.node.routes()))),
            Command::OfferExit { is_offered } => self.offer_exit(is_offered),
            Command::UseExit { node, allow_lan } => return self.use_exit(node.as_deref(), allow_lan, reply),
            Command::Exits => Ok(Reply::Exits(self.exits())),
            Command::Down => return self.end(Ending::Down, Some(reply)),
            Command::Leave { force } => match self.node.leave(force, clock::now()) {
                Ok(()) => return self.end(Ending::Leave, Some(reply)),
                Err(error) => Err(refusal(&error)),
            },
        };
        // Whoever asked may have gone: then nobody is told.
        let _gone = reply.send(answer);
        self.pump();
    }

    /// Makes an invite and writes its journal before anybody sees the line.
    pub(super) fn invite(&mut self, request: &InviteRequest) -> Result<Invite, Refusal> {
        let invite = self.node.invite(request, clock::now()).map_err(|error| refusal(&error))?;
        self.write_failure = None;
        self.pump();
        match self.write_failure.take() {
            None => Ok(invite),
            Some(failure) => {
                self.node.forget_invite(&invite.id);
                self.pump();
                Err(Refusal::new(RefusalKind::Internal, format!("the invite cannot be kept: {failure}")))
            }
        }
    }

    fn assign(&mut self, node: &str, address: IpAddr) -> Result<Reply, Refusal> {
        let assigned = self.node.assign(node, address, clock::now());
        self.answer_written(assigned, |Selected { node, name }| {
            let (node, id, address) = (name.to_string(), node.to_string(), address.to_string());
            Reply::Assigned(api::AssignReply { node, id, address })
        })
    }

    fn delegate(&mut self, node: &str, services: Vec<Name>) -> Result<Reply, Refusal> {
        let names = services.iter().map(ToString::to_string).collect();
        let delegated = self.node.delegate(node, services, clock::now());
        self.answer_written(delegated, |Selected { node, name }| {
            Reply::Delegated(api::DelegateReply {
                node: name.to_string(),
                id: node.to_string(),
                services: names,
            })
        })
    }

    fn revoke(&mut self, node: &str) -> Result<Reply, Refusal> {
        let revoked = self.node.revoke(node, clock::now());
        self.answer_written(revoked, |Selected { node, name }| {
            Reply::Revoked(api::RevokeReply { node: name.to_string(), id: node.to_string() })
        })
    }

    pub(super) fn answer_written(
        &mut self,
        outcome: Result<Selected, CommandError>,
        reply: impl FnOnce(Selected) -> Reply,
    ) -> Result<Reply, Refusal> {
        self.write_failure = None;
        self.pump();
        let selected = outcome.map_err(|error| refusal(&error))?;
        match self.write_failure.take() {
            None => Ok(reply(selected)),
            Some(failure) => Err(Refusal::new(
                RefusalKind::Internal,
                format!(
                    "it is done, but a crash would undo it: {failure}; it is tried again every few seconds"
                ),
            )),
        }
    }

    /// Gives whoever waits for a ping its end.
    pub(super) fn ping_done(&mut self, ticket: u64, outcome: Option<(std::time::Duration, Remote)>) {
        let Some(place) = self.pings.iter().position(|ping| ping.ticket == ticket) else { return };
        let WaitingPing { selected, reply, .. } = self.pings.swap_remove(place);
        let answer = match outcome {
            Some((round_trip, remote)) => {
                let path = self.path_of_answer(&selected, remote);
                Ok(Reply::Ping(api::PingReply {
                    node: selected.name.to_string(),
                    id: selected.node.to_string(),
                    address: self.address_of(&selected),
                    rtt_ms: round_trip.as_secs_f64() * 1000.0,
                    path: Some(report::path(&path, Some(round_trip), (None, None), &self.outside())),
                }))
            }
            None => Err(Refusal::new(RefusalKind::Timeout, format!("{} does not answer", selected.name))),
        };
        let _gone = reply.send(answer);
    }

    /// What of paths the Node does not know.
    pub(super) fn outside(&self) -> Outside {
        Outside { dht: Some(self.dht_view()), ..self.outside.clone() }
    }

    fn why(&self, selector: &str) -> Result<api::WhyReply, CommandError> {
        let Selected { node, name } = self.node.select(selector)?;
        // Every node but ourselves that can be selected is a peer.
        let why = self.node.why(&node, clock::now()).ok_or(CommandError::Oneself(name))?;
        Ok(report::why(&why, &self.outside()))
    }

    /// The path that an answer came over; a view knows the hops of a circuit.
    fn path_of_answer(&self, selected: &Selected, remote: Remote) -> PathView {
        if remote.is_direct() {
            return PathView::Direct { remote };
        }
        let view = self.node.view(clock::now());
        view.peers
            .into_iter()
            .find(|peer| peer.node == selected.node)
            .map_or(PathView::None, |peer| peer.path)
    }

    fn address_of(&self, selected: &Selected) -> String {
        let view = self.node.view(clock::now());
        let peer = view.peers.iter().find(|peer| peer.node == selected.node);
        peer.and_then(|peer| peer.addresses.first()).map_or_else(String::new, ToString::to_string)
    }
}

pub(super) fn refusal(error: &CommandError) -> Refusal {
    let kind = match error {
        CommandError::NoSuchNode(_)
        | CommandError::Ambiguous(_)
        | CommandError::NoSuchGuest(..)
        | CommandError::NoSuchRoute(..) => RefusalKind::NotFound,
        CommandError::Expiry
        | CommandError::TooManyServices
        | CommandError::Policy
        | CommandError::Prefix(_) => RefusalKind::InvalidArgument,
        CommandError::NotAdmin
        | CommandError::NotRoot
        | CommandError::Revoked
        | CommandError::Clock
        | CommandError::NameTaken(_)
        | CommandError::Address(_)
        | CommandError::Ipv6(..)
        | CommandError::TooManyInvites
        | CommandError::TooManyGuests
        | CommandError::GuestKeyTaken(_)
        | CommandError::TooLong
        | CommandError::TooManyRoutes(_)
        | CommandError::PrefixOfNetwork(..)
        | CommandError::NoExit(_)
        | CommandError::Oneself(_)
        | CommandError::LastRoot
        | CommandError::TooManyPings => RefusalKind::Precondition,
        CommandError::Credential(_) => RefusalKind::Internal,
    };
    Refusal::new(kind, error.to_string())
}
