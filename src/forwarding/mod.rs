//! This machine as a router: the kernel forwards between the mesh and the subnets that it serves, and nothing else. And the
//! rule by which this machine's packets find the subnets that others serve.
//!
//! ```text
//! journal ──▶ rules in a table of our own ──▶ forwarding switched on, where it was off
//! forwarding as it was ──▶ no rules ──▶ an empty journal
//! ```
//!
//! **Must never** make the machine a router for anything that nobody asked for: where forwarding was off, our rules drop
//! all that is not ours; where it was on, they judge only what comes from the mesh or goes there. Whenever we are killed,
//! [`restore`] leaves the machine as it was found.

mod error;
mod journal;
mod ruleset;
mod switch;

pub use error::ForwardingError;
pub use switch::{Mark, has_ipv6};

use std::path::Path;

use wire::record::RouteOffer;

use crate::io::mark::MARK;
use crate::io::netlink::Netlink;
use crate::io::nftables;
use crate::store::StateDirectory;
use journal::Undo;
use switch::Switch;

/// What the machine is to forward, and by which interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Name of the network, which our table of rules is called after.
    pub network: String,
    /// The mesh interface.
    pub interface: String,
    /// The subnets.
    pub served: Vec<RouteOffer>,
}

/// What was changed on this machine.
#[derive(Debug, Default)]
pub struct Forwarding {
    applied: Option<Plan>,
    undo: Undo,
}

impl Plan {
    fn table(&self) -> String {
        format!("hopmesh-{}", self.network)
    }

    /// The switches that it needs.
    fn switches(&self) -> impl Iterator<Item = Switch> {
        Switch::ALL.into_iter().filter(|switch| {
            self.served.iter().any(|offer| offer.prefix.addr().is_ipv4() == switch.is_ipv4())
        })
    }
}

impl Forwarding {
    /// Has the kernel forward what `plan` says, instead of what it was told before. Nothing changes when that is the same.
    ///
    /// # Errors
    /// [`ForwardingError`]; nothing is forwarded then.
    pub async fn apply(&mut self, plan: Plan, state: &StateDirectory) -> Result<(), ForwardingError> {
        if self.applied.as_ref() == Some(&plan) {
            return Ok(());
        }
        // A switch that is needed no more is set back at once, not at the end of the last subnet.
        let is_less =
            Switch::ALL.iter().any(|s| self.undo.has(*s) && plan.switches().all(|needed| needed != *s));
        if is_less || plan.served.is_empty() {
            self.revert(state).await?;
        }
        if !plan.served.is_empty()
            && let Err(error) = self.change(&plan, state).await
        {
            // What cannot be undone now is in the journal, and what went wrong first says more.
            if let Err(second) = self.revert(state).await {
                tracing::warn!("{second}");
            }
            return Err(error);
        }
        self.applied = Some(plan);
        Ok(())
    }

    /// Forwards nothing any more: the machine is as it was found, but for the rule of [`Forwarding::divert`].
    ///
    /// # Errors
    /// [`ForwardingError`]; what is left is undone by [`restore`].
    pub async fn revert(&mut self, state: &StateDirectory) -> Result<(), ForwardingError> {
        self.applied = None;
        undo_forwarding(&mut self.undo).await?;
        journal::write(state, &self.undo)
    }

    /// Has packets that do not carry the mesh itself look for a route in `table` first, where those to the mesh are; or,
    /// without one, no more.
    ///
    /// # Errors
    /// [`ForwardingError`].
    pub async fn divert(
        &mut self,
        table: Option<u32>,
        netlink: &Netlink,
        state: &StateDirectory,
    ) -> Result<(), ForwardingError> {
        if self.undo.table == table {
            return Ok(());
        }
        if let Some(before) = self.undo.table {
            netlink.undivert(before).await?;
        }
        self.undo.table = table;
        journal::write(state, &self.undo)?;
        self.hold_diversion(netlink).await
    }

    /// Has the rule of [`Forwarding::divert`] there, also where another program has thrown it away.
    ///
    /// # Errors
    /// [`ForwardingError`].
    pub async fn hold_diversion(&self, netlink: &Netlink) -> Result<(), ForwardingError> {
        match self.undo.table {
            Some(table) => Ok(netlink.divert(table, MARK).await?),
            None => Ok(()),
        }
    }

    /// Puts back our rules of nftables where another program has thrown them away, and says whether it was so.
    ///
    /// # Errors
    /// [`ForwardingError`]; the next change of anybody's rules is the next occasion.
    pub async fn hold_rules(&self) -> Result<bool, ForwardingError> {
        let Some(plan) = self.applied.as_ref().filter(|plan| !plan.served.is_empty()) else {
            return Ok(false);
        };
        nftables::put_back(&plan.table(), &self.rules(plan)).await.map_err(ForwardingError::Nft)
    }

    async fn change(&mut self, plan: &Plan, state: &StateDirectory) -> Result<(), ForwardingError> {
        for switch in plan.switches() {
            // Of one that we have switched on ourselves the journal knows how it was.
            if !self.undo.has(switch) && !switch.is_on()? {
                self.undo.switches.extend(switch.changes()?);
            }
        }
        self.undo.rules = Some(plan.table());
        journal::write(state, &self.undo)?;
        nftables::apply(&self.rules(plan)).await.map_err(ForwardingError::Nft)?;
        self.turned_on(plan).iter().try_for_each(|switch| switch.turn_on())
    }

    fn rules(&self, plan: &Plan) -> String {
        ruleset::ruleset(plan, &self.turned_on(plan))
    }

    /// The switches of a plan that we turn on ourselves: nothing was forwarded before.
    fn turned_on(&self, plan: &Plan) -> Vec<Switch> {
        plan.switches().filter(|switch| self.undo.has(*switch)).collect()
    }
}

/// Undoes what a run that was killed has left of `state`'s network on this machine, and says whether there was anything.
/// Once undone, doing so again does nothing.
///
/// # Errors
/// [`ForwardingError`]; what is left stays in the journal.
pub async fn restore(state: &StateDirectory) -> Result<bool, ForwardingError> {
    let mut undo = journal::read(state)?;
    if undo == Undo::default() {
        return Ok(false);
    }
    undo_forwarding(&mut undo).await?;
    journal::write(state, &undo)?;
    if let Some(table) = undo.table {
        Netlink::open()?.undivert(table).await?;
    }
    journal::write(state, &Undo::default())?;
    Ok(true)
}

/// First nothing is forwarded any more, then nothing drops it.
async fn undo_forwarding(undo: &mut Undo) -> Result<(), ForwardingError> {
    while let Some((path, before)) = undo.switches.last() {
        switch::set(Path::new(path), before)?;
        undo.switches.pop();
    }
    if let Some(table) = &undo.rules {
        nftables::apply(&nftables::removal(table)).await.map_err(ForwardingError::Nft)?;
        undo.rules = None;
    }
    Ok(())
}
