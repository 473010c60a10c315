//! Health of what this node publishes: one task for each publication that wants to be checked.
//!
//! Checks go to the node's own mesh addresses, IPv4 first, since that is where others reach the service: one that listens
//! to 127.0.0.1 alone is well for nobody. Of a publication with a target it is the target that is checked, since our own front
//! would take any connection. They always go by TCP, also where the service speaks UDP. What comes out are
//! [`Verdict`]s through a bounded channel; the control thread awaits them beside everything else and never a check.
//!
//! Must never: decide what becomes of an unhealthy instance, which is the Node's business.

mod check;
mod judge;
mod limits;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use overlay::{HealthCheck, Publication, Target};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};
use wire::Name;
use wire::service::Version;

use crate::front::Reach;
use check::check;
use judge::Judge;
use limits::{CHECK_INTERVAL, CHECKS_AT_ONCE_MAX, PHASES, VERDICTS_MAX};

/// Which publication: a node has one of each name and version.
pub type Identity = (Name, Option<Version>);

/// How an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Of what.
    pub identity: Identity,
    /// Whether it is well.
    pub is_healthy: bool,
}

/// All checks of a node. They end with it.
#[derive(Debug)]
pub struct Checker {
    running: BTreeMap<Identity, Running>,
    tasks: JoinSet<()>,
    sender: mpsc::Sender<(u32, Verdict)>,
    verdicts: mpsc::Receiver<(u32, Verdict)>,
    slots: Arc<Semaphore>,
    reach: Reach,
    interval: Duration,
    /// Counts tasks, so that the last word of one that was ended is not taken for that of its successor.
    started: u32,
}

/// A check that goes on.
#[derive(Debug)]
struct Running {
    health: HealthCheck,
    at: Place,
    number: u32,
    task: AbortHandle,
}

/// Where a check goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// To this machine, at the first of these addresses that takes a connection.
    Own(Vec<SocketAddr>),
    /// To another host.
    Target(Target),
}

impl Checker {
    /// Checks nothing yet; later what may be reached by `reach`.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self::every(CHECK_INTERVAL, reach)
    }

    /// Tests do not wait as long.
    fn every(interval: Duration, reach: Reach) -> Self {
        let (sender, verdicts) = mpsc::channel(VERDICTS_MAX);
        Self {
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            sender,
            verdicts,
            slots: Arc::new(Semaphore::new(CHECKS_AT_ONCE_MAX)),
            reach,
            interval,
            started: 0,
        }
    }

    /// Checks these publications at their targets or these addresses from now on, each new one at once, and no others. Must run on a
    /// tokio runtime with I/O and time.
    pub fn keep<'a>(&mut self, publications: impl Iterator<Item = &'a Publication>, addresses: &[IpAddr]) {
        while self.tasks.try_join_next().is_some() {}
        let mut before = std::mem::take(&mut self.running);
        for publication in publications.filter(|publication| publication.health != HealthCheck::None) {
            let identity = (publication.name.clone(), publication.version.clone());
            let own = |address: &IpAddr| SocketAddr::new(*address, publication.port);
            let at = match &publication.target {
                Some(target) => Place::Target(target.clone()),
                None => Place::Own(addresses.iter().map(own).collect()),
            };
            let running = match before.remove(&identity) {
                Some(same) if (&same.health, &same.at) == (&publication.health, &at) => same,
                Some(other) => {
                    other.task.abort();
                    self.start(&identity, publication.health.clone(), at)
                }
                None => self.start(&identity, publication.health.clone(), at),
            };
            self.running.insert(identity, running);
        }
        before.into_values().for_each(|gone| gone.task.abort());
    }

    /// Forgets what is known of a publication: the next [`Checker::keep`] begins with a check at once.
    pub fn forget(&mut self, identity: &Identity) {
        if let Some(running) = self.running.remove(identity) {
            running.task.abort();
        }
    }

    /// The result of the next check that ends. Cancel-safe.
    pub async fn next(&mut self) -> Verdict {
        loop {
            let (number, verdict) = self.verdicts.recv().await.expect("a sender is kept beside the receiver");
            if self.running.get(&verdict.identity).is_some_and(|running| running.number == number) {
                return verdict;
            }
        }
    }

    fn start(&mut self, identity: &Identity, health: HealthCheck, at: Place) -> Running {
        let number = self.started;
        self.started = number.wrapping_add(1);
        let course = Course {
            identity: identity.clone(),
            health: health.clone(),
            at: at.clone(),
            reach: self.reach.clone(),
            number,
            interval: self.interval,
            slots: self.slots.clone(),
            verdicts: self.sender.clone(),
        };
        let task = self.tasks.spawn(course.run());
        Running { health, at, number, task }
    }
}

impl Place {
    /// What to look at when a check fails.
    fn question(&self) -> String {
        match self {
            Self::Own(_) => "is it running, and listening at the mesh address?".to_owned(),
            Self::Target(target) => format!("is {target} switched on, and reached from this machine?"),
        }
    }
}

/// The checks of one publication, one after the other.
struct Course {
    identity: Identity,
    health: HealthCheck,
    at: Place,
    reach: Reach,
    number: u32,
    interval: Duration,
    slots: Arc<Semaphore>,
    verdicts: mpsc::Sender<(u32, Verdict)>,
}

impl Course {
    async fn run(self) {
        let mut judge = Judge::default();
        let mut said = None;
        self.once(&mut judge, &mut said).await;
        sleep(self.interval / PHASES * (self.number % PHASES)).await;
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.once(&mut judge, &mut said).await;
        }
    }

    /// One check. Its verdict is told whether it is news or not, so that nothing said before can be lost.
    async fn once(&self, judge: &mut Judge, said: &mut Option<bool>) {
        let slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let result = check(&self.health, &self.at, &self.reach).await;
        drop(slot);
        let is_healthy = judge.judge(result.is_ok());
        let (service, check) = (&self.identity.0, &self.health);
        match result {
            _ if said.replace(is_healthy) == Some(is_healthy) => {}
            Err(error) if !is_healthy => tracing::warn!(
                %service, %check, "is unhealthy, so others are not sent here: {error}; {}", self.at.question()
            ),
            Ok(()) | Err(_) => tracing::info!(%service, %check, "is healthy"),
        }
        let verdict = Verdict { identity: self.identity.clone(), is_healthy };
        // Nobody listens any more: then the daemon is going down, and ends this task.
        let _gone = self.verdicts.send((self.number, verdict)).await;
    }
}
