//! Names that this node does not know and asks others for: who waits for what is found out, and how they are told.

use std::sync::Arc;

use overlay::{Publication, Zone};
use wire::Name;

use super::driver::Driver;
use super::requests::Answer;
use crate::control::{Refusal, RefusalKind, Reply};
use crate::dns::{ASKS_MAX, Ask};
use crate::io::clock;

/// Who waits.
pub(super) struct WaitingAsk {
    name: Name,
    wants: Wants,
}

/// What for.
enum Wants {
    /// A person wants to know where the service is.
    Place(Answer),
    /// A person wants to publish under the name.
    Publish { publication: Box<Publication>, sharing_nodes: Vec<String>, reply: Answer },
    /// A program has asked the DNS server.
    Name(Ask),
}

impl Driver {
    /// The DNS server has a question about a name that is not known here.
    pub(super) fn take_ask(&mut self, ask: Ask) {
        self.find(ask.name.clone(), Wants::Name(ask));
    }

    /// Finds out for a person what a name means.
    pub(super) fn find_place(&mut self, name: Name, reply: Answer) {
        self.find(name, Wants::Place(reply));
    }

    /// Publishes what a person wants, once it is known whose the name is.
    pub(super) fn publish_when_known(
        &mut self,
        publication: Box<Publication>,
        sharing_nodes: Vec<String>,
        reply: Answer,
    ) {
        let name = publication.name.clone();
        self.find(name, Wants::Publish { publication, sharing_nodes, reply });
    }

    fn find(&mut self, name: Name, wants: Wants) {
        let is_asked = self.asks.len() < ASKS_MAX && self.node.find(&name, clock::now());
        if is_asked {
            self.asks.push(WaitingAsk { name, wants });
        } else {
            self.tell(&name, wants, None, "too many names are asked for at the moment");
        }
        self.pump();
    }

    /// Tells what was found out.
    pub(super) fn tell_found(&mut self) {
        while let Some((name, zone)) = self.found.pop() {
            let (told, others) = std::mem::take(&mut self.asks).into_iter().partition(|ask| ask.name == name);
            self.asks = others;
            let told: Vec<WaitingAsk> = told;
            for ask in told {
                self.tell(&name, ask.wants, zone.clone(), "none of those that hold it answers");
            }
        }
    }

    fn tell(&mut self, name: &Name, wants: Wants, zone: Option<Arc<Zone>>, why: &str) {
        let unknown = || {
            let message =
                format!("what is called {name} is held by other machines, and {why}: try again in a moment");
            Refusal::new(RefusalKind::Timeout, message)
        };
        // Whoever asked may have gone: then nobody is told.
        match wants {
            Wants::Name(ask) => drop(ask.reply.send(zone)),
            Wants::Place(reply) => drop(reply.send(zone.map(Reply::Zone).ok_or_else(unknown))),
            Wants::Publish { publication, sharing_nodes, reply } => {
                let published = match zone {
                    Some(_) => self.publish(*publication, &sharing_nodes),
                    None => Err(unknown()),
                };
                drop(reply.send(published));
            }
        }
    }
}
