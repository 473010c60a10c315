//! Split DNS on this host: names of the mesh are asked of our DNS server, all others of whoever was asked before.
//!
//! What resolves names differs from host to host ([`Kind`]). systemd-resolved and NetworkManager's dnsmasq route our
//! zones to us; where there is only resolv.conf, our server stands first in it and refuses what is not ours, whereupon
//! the C library asks the next one. All names are asked of us while all traffic leaves by an exit. A host whose DNS somebody else manages is left alone, and `status` says why.
//!
//! **Must never** leave the host without names, whenever we are killed: what is about to change is first written to the
//! state directory, [`restore`] undoes what a killed run has left, and takes out nothing but what is ours.
//!
//! ```no_run
//! # use hopmesh::resolver::{Host, Plan, Resolver, Zone, restore};
//! # use hopmesh::store::StateDirectory;
//! # async fn example(state: &StateDirectory) -> Result<(), hopmesh::resolver::ResolverError> {
//! let host = Host::default();
//! restore(&host, state).await?; // at the start, before the TUN is made; an error is a warning, no reason not to start
//! let mut resolver = Resolver::detect(host).await;
//! let zones = Zone::new("home.internal").into_iter().chain(Zone::reverse("10.77.0.0/16".parse().expect("a prefix")));
//! let servers = vec!["127.0.0.77".parse().expect("an address"), "10.77.0.1".parse().expect("an address")];
//! let plan = Plan { interface: "hm0".into(), index: 7, servers, zones: zones.collect(), is_everything: false };
//! resolver.apply(&plan, state).await?; // once the DNS server listens and the link is up; again when they change
//! println!("{}", resolver.describe());
//! resolver.revert(state).await?; // at the end, while the DNS server still answers
//! # Ok(())
//! # }
//! ```

mod bus;
mod detect;
mod error;
mod file;
mod host;
mod journal;
mod limits;
mod network_manager;
mod plan;
mod resolvconf;
mod resolved;
mod text;

pub use detect::{Kind, Obstacle};
pub use error::ResolverError;
pub use host::Host;
pub use plan::{Plan, Zone};

use bus::Bus;
use journal::Undo;

use crate::store::StateDirectory;

/// The host's resolver, and what it was told of us.
#[derive(Debug)]
pub struct Resolver {
    host: Host,
    kind: Kind,
    applied: Option<Plan>,
}

impl Resolver {
    /// Looks what resolves names on `host`; changes nothing.
    pub async fn detect(host: Host) -> Self {
        let kind = detect::detect(&host).await;
        Self { host, kind, applied: None }
    }

    /// What resolves names on the host.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Has the host ask us for the zones of `plan`, instead of what was asked of us before. Where the host's DNS is left
    /// alone ([`Kind::Nothing`]), nothing happens.
    ///
    /// # Errors
    /// [`ResolverError`]; the host is as it was found.
    pub async fn apply(&mut self, plan: &Plan, state: &StateDirectory) -> Result<(), ResolverError> {
        self.applied = None;
        restore(&self.host, state).await?;
        match self.change(plan, state).await {
            Ok(()) => self.applied = Some(plan.clone()),
            Err(error) => {
                // What cannot be undone now is in the journal, and what went wrong first says more.
                if let Err(second) = self.take_back(plan, state).await {
                    tracing::warn!("{second}");
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Leaves the host as it was found.
    ///
    /// # Errors
    /// [`ResolverError`]; what is left is undone by [`restore`], or ends with the link.
    pub async fn revert(&mut self, state: &StateDirectory) -> Result<(), ResolverError> {
        match self.applied.take() {
            Some(plan) => self.take_back(&plan, state).await,
            None => restore(&self.host, state).await.map(drop),
        }
    }

    /// Whether the host still asks us, as far as files tell: a DHCP client may have written resolv.conf anew. Then
    /// [`Resolver::apply`] puts us back.
    #[must_use]
    pub fn is_in_effect(&self) -> bool {
        let Some(plan) = &self.applied else { return false };
        match self.kind {
            Kind::Resolved | Kind::NetworkManager => true,
            Kind::Resolvconf => plan.mesh_server().is_some_and(|ours| self.host.servers().contains(&ours)),
            Kind::File => file::server(plan).is_some_and(|ours| self.host.servers().contains(&ours)),
            Kind::Nothing(_) => false,
        }
    }

    /// For `status`: how names of the mesh are resolved on this host, or what to do so that they are.
    #[must_use]
    pub fn describe(&self) -> String {
        let by = match &self.kind {
            Kind::Nothing(obstacle) => return format!("names of the mesh are not resolved here: {obstacle}"),
            Kind::Resolved => "systemd-resolved",
            Kind::NetworkManager => "NetworkManager's dnsmasq",
            Kind::Resolvconf => "resolvconf, which has all names asked of us first",
            Kind::File => "/etc/resolv.conf, which has all names asked of us first",
        };
        match &self.applied {
            Some(_) if !self.is_in_effect() => format!(
                "names of the mesh are not resolved here: /etc/resolv.conf was written anew; restart hopmesh ({by})"
            ),
            Some(plan) if plan.is_everything => format!("all names are resolved by the exit (by {by})"),
            Some(plan) => {
                let zone = plan.zones.first().map_or("no zone", Zone::as_str);
                format!("names under {zone} are resolved by {by}")
            }
            None => format!("names of the mesh are not resolved here yet (by {by})"),
        }
    }

    async fn change(&self, plan: &Plan, state: &StateDirectory) -> Result<(), ResolverError> {
        match self.kind {
            Kind::Resolved => resolved::apply(&Bus::connect(&self.host).await?, plan).await,
            Kind::NetworkManager => network_manager::apply(&self.host, plan, state).await,
            Kind::Resolvconf => resolvconf::apply(&self.host, plan, state).await,
            Kind::File => file::apply(&self.host, plan, state),
            Kind::Nothing(_) => Ok(()),
        }
    }

    async fn take_back(&self, plan: &Plan, state: &StateDirectory) -> Result<(), ResolverError> {
        if self.kind == Kind::Resolved {
            resolved::revert(&Bus::connect(&self.host).await?, plan).await?;
        }
        restore(&self.host, state).await.map(drop)
    }
}

/// Undoes what a run that was killed has left of `state`'s network on `host`, and says whether there was anything.
/// Once undone, doing so again does nothing.
///
/// # Errors
/// [`ResolverError`]; what is left stays in the journal.
pub async fn restore(host: &Host, state: &StateDirectory) -> Result<bool, ResolverError> {
    let Some(undo) = journal::read(state)? else { return Ok(false) };
    match undo {
        Undo::Lines(lines) => file::undo(host, &lines)?,
        Undo::Dnsmasq { interface } => network_manager::undo(host, &interface).await?,
        Undo::Record { name } => resolvconf::undo(host, &name).await?,
    }
    journal::clear(state)?;
    Ok(true)
}
