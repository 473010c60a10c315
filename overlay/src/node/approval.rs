//! What an admin says of routers: whose prefixes go into whose credential.

use super::{CommandError, Node, Selected};
use ipnet::IpNet;
use std::time::Instant;
use wire::credential::{Claims, PREFIXES_MAX, is_routable};

impl Node {
    /// Makes a node a router for a prefix, as far as it offers to be one.
    ///
    /// # Errors
    /// [`CommandError`]; nothing has changed then.
    pub fn approve_route(
        &mut self,
        selector: &str,
        prefix: IpNet,
        now: Instant,
    ) -> Result<Selected, CommandError> {
        self.must_be_admin()?;
        self.check_prefix(prefix)?;
        let (selected, mut claims) = self.select_claims(selector)?;
        if claims.prefixes.contains(&prefix) {
            return Ok(selected);
        }
        claims.prefixes.push(prefix);
        claims.prefixes.sort_unstable();
        self.must_fit(&claims)?;
        self.reissue(&claims, claims.name.clone(), claims.ipv4.addr(), now)?;
        Ok(selected)
    }

    /// Takes back what [`Node::approve_route`] gave.
    ///
    /// # Errors
    /// [`CommandError`]; nothing has changed then.
    pub fn reject_route(
        &mut self,
        selector: &str,
        prefix: IpNet,
        now: Instant,
    ) -> Result<Selected, CommandError> {
        self.must_be_admin()?;
        let (selected, mut claims) = self.select_claims(selector)?;
        if !claims.routed_prefixes().any(|routed| routed == prefix) {
            return Err(CommandError::NoSuchRoute(selected.name, prefix));
        }
        claims.prefixes.retain(|kept| *kept != prefix);
        self.reissue(&claims, claims.name.clone(), claims.ipv4.addr(), now)?;
        Ok(selected)
    }

    /// Whether a node can be a router for a prefix.
    ///
    /// # Errors
    /// [`CommandError::Prefix`] and [`CommandError::PrefixOfNetwork`].
    pub fn check_prefix(&self, prefix: IpNet) -> Result<(), CommandError> {
        if !is_routable(&prefix) {
            return Err(CommandError::Prefix(prefix));
        }
        match self.members.network_met_by(&prefix) {
            Some(own) => Err(CommandError::PrefixOfNetwork(prefix, own)),
            None => Ok(()),
        }
    }

    /// Whether a credential with these claims is one that all can read.
    fn must_fit(&self, claims: &Claims) -> Result<(), CommandError> {
        let full = CommandError::TooManyRoutes(claims.name.clone());
        if claims.prefixes.len() > PREFIXES_MAX {
            return Err(full);
        }
        match self.sign_claims(claims.clone()) {
            Err(CommandError::TooLong) => Err(full),
            signed => signed.map(drop),
        }
    }
}
