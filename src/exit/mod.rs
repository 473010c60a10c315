//! The way out by another machine: while one is chosen, nothing of this machine leaves but through the mesh.
//!
//! ```text
//! chosen: written down ──▶ the guard closed ──▶ default routes into the mesh ──▶ all names asked of the exit
//! none:   names as before ──▶ routes as before ──▶ the guard opened ──▶ not written down any more
//! ```
//!
//! The guard is a table of nftables of our own. It stays when the node ends, in whatever way, and is opened by nothing but
//! the people's word: so nothing leaks while no exit is there, while the node starts, or after it was killed. What a boot has
//! opened is closed before the network comes, by [`close_again`]; what another program has thrown away, as soon as that is known.
//!
//! **Must never** open what people have closed: neither a stop, a crash nor [`crate::daemon::restore_host`] does.

mod error;
mod record;
mod ruleset;

pub use error::ExitError;
pub use record::Choice;

use ipnet::IpNet;

use crate::forwarding::Mark;
use crate::io::nftables;
use crate::store::StateDirectory;
use record::Record;

/// What passes the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The mesh interface, once there is one.
    pub interface: Option<String>,
    /// Where datagrams of peers arrive.
    pub port: u16,
    /// Prefixes of local networks, where they may be reached besides.
    pub lan: Option<Vec<IpNet>>,
}

/// The guard, and what it is closed for.
#[derive(Debug)]
pub struct Guard {
    /// Name of our table of rules.
    table: String,
    record: Option<Record>,
    applied: Option<Plan>,
}

impl Guard {
    /// Reads what people have chosen in `network`.
    ///
    /// # Errors
    /// [`ExitError`] when it cannot be told.
    pub fn load(state: &StateDirectory, network: &str) -> Result<Self, ExitError> {
        let record = record::read(state)?;
        let table = record.as_ref().map(|record| record.table.clone());
        let table = table.unwrap_or_else(|| format!("hopmesh-{network}-exit"));
        Ok(Self { table, record, applied: None })
    }

    /// What people have chosen.
    #[must_use]
    pub fn choice(&self) -> Option<Choice> {
        self.record.as_ref().map(|record| record.choice)
    }

    /// Lets nothing pass any more but what `plan` says, now and after restarts. The choice is on disk first.
    ///
    /// # Errors
    /// [`ExitError`]; the guard, and the choice, are what they were before.
    pub async fn close(
        &mut self,
        choice: Choice,
        plan: Plan,
        state: &StateDirectory,
    ) -> Result<(), ExitError> {
        let before = self.record.clone();
        let mark = match before.as_ref().and_then(|before| before.mark.clone()) {
            Some(mark) => Some(mark),
            None => Mark::needed()?,
        };
        let record = Record { choice, table: self.table.clone(), mark };
        record::write(state, Some(&record))?;
        self.record = Some(record);
        let closed = self.shut(plan).await;
        if closed.is_err() {
            if before.is_none() {
                self.take_back().await;
            }
            record::write(state, before.as_ref())?;
            self.record = before;
        }
        closed
    }

    /// Undoes what was done of closing the guard. Where a part of that fails there was nothing to undo.
    async fn take_back(&self) {
        let Some(Record { table, mark, .. }) = &self.record else { return };
        let _never_set = mark.as_ref().map(Mark::turn_back);
        let _never_there = nftables::apply(&nftables::removal(table)).await;
    }

    async fn shut(&mut self, plan: Plan) -> Result<(), ExitError> {
        if let Some(mark) = self.record.as_ref().and_then(|record| record.mark.as_ref()) {
            mark.turn_on()?;
        }
        self.apply(plan).await
    }

    /// Follows a change of local networks.
    ///
    /// # Errors
    /// [`ExitError`].
    pub async fn follow(&mut self, plan: Plan) -> Result<(), ExitError> {
        match self.record {
            Some(_) => self.apply(plan).await,
            None => Ok(()),
        }
    }

    async fn apply(&mut self, plan: Plan) -> Result<(), ExitError> {
        if self.applied.as_ref() != Some(&plan) {
            nftables::apply(&self.rules(&plan)).await.map_err(ExitError::Nft)?;
            self.applied = Some(plan);
        }
        Ok(())
    }

    fn rules(&self, plan: &Plan) -> String {
        let has_mark = self.record.as_ref().is_some_and(|record| record.mark.is_some());
        ruleset::ruleset(&self.table, plan, has_mark)
    }

    /// Closes it again where another program has thrown our rules away, and says whether it was so.
    ///
    /// # Errors
    /// [`ExitError`]; the next change of anybody's rules is the next occasion.
    pub async fn hold(&self) -> Result<bool, ExitError> {
        let Some(plan) = &self.applied else { return Ok(false) };
        nftables::put_back(&self.table, &self.rules(plan)).await.map_err(ExitError::Nft)
    }

    /// Lets everything pass again.
    ///
    /// # Errors
    /// [`ExitError`]; the choice is still written down then.
    pub async fn open(&mut self, state: &StateDirectory) -> Result<(), ExitError> {
        self.applied = None;
        if let Some(record) = &self.record {
            undo(record, state).await?;
        }
        self.record = None;
        Ok(())
    }
}

/// Closes a guard that was closed before the machine was booted, before there is an interface, and says whether it was. A node that
/// starts lets through what else may pass.
///
/// # Errors
/// [`ExitError`].
pub async fn close_again(state: &StateDirectory) -> Result<bool, ExitError> {
    let Some(record) = record::read(state)? else { return Ok(false) };
    let plan = Plan { interface: None, port: 0, lan: None };
    nftables::apply(&ruleset::ruleset(&record.table, &plan, false)).await.map_err(ExitError::Nft)?;
    Ok(true)
}

/// Opens the guard of a network whose node does not run, and says whether it was closed.
///
/// # Errors
/// [`ExitError`].
pub async fn open(state: &StateDirectory) -> Result<bool, ExitError> {
    let Some(record) = record::read(state)? else { return Ok(false) };
    undo(&record, state).await?;
    Ok(true)
}

async fn undo(record: &Record, state: &StateDirectory) -> Result<(), ExitError> {
    if let Some(mark) = &record.mark {
        mark.turn_back()?;
    }
    nftables::apply(&nftables::removal(&record.table)).await.map_err(ExitError::Nft)?;
    record::write(state, None)
}
