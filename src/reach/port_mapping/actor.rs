//! The task: what it holds, when it asks, and how it ends.
//!
//! Everything it waits for is in one place, [`Actor::wait`]: a deadline, another network, the end. Asking can be
//! interrupted by another network and, within a limit, by the end: a mapping that is on its way is taken and given back.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::report::{Answer, Outcome, Report};
use super::router::{self, Given, Question, sleep_until};
use super::{Event, Mapping, Network, Params, Protocol};
use crate::io::clock;
use crate::reach::limits::{
    CLOSE_WAIT, RECHECK_AFTER_MIN, RENEW_AFTER_MAX, RENEW_AFTER_MIN, RENEW_AGAIN, RENEW_FAILURES_MAX,
    RETRY_FIRST, RETRY_MAX,
};

/// Where things stand.
enum State {
    /// There is nobody to ask.
    NoGateway,
    /// Nobody was asked yet, or nobody gave anything: ask then. `retry` is the wait after the next failure.
    Idle { ask: Instant, retry: Duration },
    /// There is a mapping, to be renewed then.
    Mapped { given: Box<Given>, mapping: Mapping, renew: Instant, failures: u32 },
}

/// What ended a wait.
enum Woken {
    Deadline,
    Network,
    End,
}

struct Actor {
    params: Params,
    told: watch::Receiver<Option<Network>>,
    events: mpsc::Sender<Event>,
    closed: oneshot::Receiver<()>,
    network: Option<Network>,
    answers: Vec<(Protocol, Answer)>,
    asked_at: Instant,
    state: State,
}

/// Runs until the other end of `closed` is gone, and gives back what it has.
pub(super) async fn run(
    params: Params,
    told: watch::Receiver<Option<Network>>,
    events: mpsc::Sender<Event>,
    closed: oneshot::Receiver<()>,
) {
    let mut actor = Actor {
        params,
        told,
        events,
        closed,
        network: None,
        answers: Vec::new(),
        asked_at: clock::now(),
        state: State::NoGateway,
    };
    loop {
        match actor.wait().await {
            Woken::Network => actor.take_network().await,
            Woken::Deadline => {
                if actor.ask_or_renew().await.is_break() {
                    break;
                }
            }
            Woken::End => break,
        }
    }
    if let State::Mapped { given, mapping, .. } = actor.state {
        match timeout(CLOSE_WAIT, router::give_back(given.lease)).await {
            Ok(Ok(())) => tracing::info!("gave the mapping of {} back", mapping.external),
            Ok(Err(answer)) => tracing::debug!("giving the mapping of {} back: {answer:?}", mapping.external),
            Err(_) => tracing::debug!("giving the mapping of {} back took too long", mapping.external),
        }
    }
}

impl Actor {
    async fn wait(&mut self) -> Woken {
        let deadline = match &self.state {
            State::NoGateway => None,
            State::Idle { ask, .. } => Some(*ask),
            State::Mapped { renew, .. } => Some(*renew),
        };
        tokio::select! {
            biased;
            _ = &mut self.closed => Woken::End,
            changed = self.told.changed() => if changed.is_ok() { Woken::Network } else { Woken::End },
            () = sleep_until(deadline) => Woken::Deadline,
        }
    }

    /// Another network: what we have does not count there. The same: look again whether it still does.
    async fn take_network(&mut self) {
        let network = *self.told.borrow_and_update();
        if network == self.network {
            let at = (self.asked_at + RECHECK_AFTER_MIN).max(clock::now());
            match &mut self.state {
                State::NoGateway => {}
                State::Idle { ask, .. } => *ask = at.min(*ask),
                State::Mapped { renew, .. } => *renew = at.min(*renew),
            }
            return;
        }
        self.network = network;
        self.answers.clear();
        self.lose("the network changed").await;
        match network {
            None => {
                self.state = State::NoGateway;
                self.report(Outcome::NoGateway).await;
            }
            Some(_) => self.state = State::Idle { ask: clock::now(), retry: RETRY_FIRST },
        }
    }

    /// Forgets the mapping. It is not given back: whoever gave it cannot be reached from here any more, or denies it.
    async fn lose(&mut self, why: &str) {
        let idle = State::Idle { ask: clock::now(), retry: RETRY_FIRST };
        if let State::Mapped { mapping, .. } = std::mem::replace(&mut self.state, idle) {
            tracing::info!("the mapping of {} is lost: {why}", mapping.external);
            self.answers.clear();
            self.tell(Event::Lost).await;
        }
    }

    async fn ask_or_renew(&mut self) -> ControlFlow<()> {
        let Some(network) = self.network else { return ControlFlow::Continue(()) };
        let question = Question { network, port: self.params.port, lease: self.params.lease };
        self.asked_at = clock::now();
        if matches!(self.state, State::Idle { .. }) && self.answers.is_empty() {
            self.report(Outcome::Asking).await;
        }
        let ending = {
            let asking = attempt(&self.params.protocols, question, &self.state);
            tokio::pin!(asking);
            tokio::select! {
                biased;
                came = &mut asking => Ending::Came(came),
                // Taken up by the next wait. An answer that is under way is lost, and its lease ends by itself.
                () = another(&mut self.told, network) => Ending::Network,
                _ = &mut self.closed => Ending::Closed(timeout(CLOSE_WAIT, &mut asking).await.ok()),
            }
        };
        match ending {
            Ending::Came(came) => self.take_result(came).await,
            Ending::Network => {}
            Ending::Closed(came) => {
                if let Some(given) = came.and_then(|came| came.result.ok()) {
                    let mapping = given.mapping();
                    self.state =
                        State::Mapped { given: Box::new(given), mapping, renew: clock::now(), failures: 0 };
                }
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    async fn take_result(&mut self, came: Came) {
        match (came.result, &mut self.state) {
            (Ok(given), _) => {
                self.answers = came.answers;
                self.take_mapping(given).await;
            }
            (Err(answer), State::Mapped { given, mapping, renew, failures }) => {
                *failures += 1;
                let now = clock::now();
                let over = mapping.expires.is_some_and(|expires| expires <= now);
                if over || *failures >= RENEW_FAILURES_MAX {
                    self.lose(&format!("the router does not renew it ({answer:?})")).await;
                } else {
                    let share = given.life.unwrap_or(RENEW_AFTER_MAX) / 8;
                    *renew = now + share.clamp(RENEW_AFTER_MIN, RENEW_AGAIN);
                }
            }
            (Err(_), State::Idle { ask, retry }) => {
                *ask = clock::now() + *retry;
                *retry = (*retry * 2).min(RETRY_MAX);
                let next_try = *ask;
                self.answers = came.answers;
                self.report(Outcome::Failed { next_try }).await;
            }
            (Err(_), State::NoGateway) => {}
        }
    }

    async fn take_mapping(&mut self, given: Given) {
        let mapping = given.mapping();
        let known =
            matches!(&self.state, State::Mapped { mapping: old, .. } if old.external == mapping.external);
        let half = given.life.map_or(RENEW_AFTER_MAX, |life| life / 2);
        let renew = clock::now() + half.clamp(RENEW_AFTER_MIN, RENEW_AFTER_MAX);
        self.state = State::Mapped { given: Box::new(given), mapping, renew, failures: 0 };
        if !known {
            tracing::info!("the router maps {} to us by {}", mapping.external, mapping.protocol.as_str());
        }
        self.tell(Event::Mapped(mapping)).await;
        self.report(Outcome::Mapped(mapping)).await;
    }

    async fn report(&self, outcome: Outcome) {
        let report = Report { network: self.network, answers: self.answers.clone(), outcome };
        tracing::debug!("port mapping: {report}");
        self.tell(Event::State(report)).await;
    }

    /// Nobody listens any more when we are being closed.
    async fn tell(&self, event: Event) {
        let _closing = self.events.send(event).await;
    }
}

/// How asking ended.
enum Ending {
    Came(Came),
    Network,
    /// What came of it all the same, if anything did in time.
    Closed(Option<Came>),
}

/// What came of asking.
struct Came {
    result: Result<Given, Answer>,
    answers: Vec<(Protocol, Answer)>,
}

/// Renews what there is, or goes through the protocols until one gives something.
async fn attempt(protocols: &[Protocol], question: Question, state: &State) -> Came {
    if let State::Mapped { given, mapping, .. } = state {
        let result = router::renew(question, &given.lease).await;
        return Came { result, answers: vec![(mapping.protocol, Answer::Given)] };
    }
    let mut answers = Vec::new();
    for protocol in protocols {
        match router::ask(question, *protocol).await {
            Ok(given) => {
                answers.push((*protocol, Answer::Given));
                return Came { result: Ok(given), answers };
            }
            Err(answer) => answers.push((*protocol, answer)),
        }
    }
    Came { result: Err(Answer::Silent), answers }
}

/// Waits until the network is another, which the next look at `told` still finds unseen.
async fn another(told: &mut watch::Receiver<Option<Network>>, network: Network) {
    let is_told = told.wait_for(|now| *now != Some(network)).await.is_ok();
    if !is_told {
        // Nobody can tell any more; the end is near.
        return std::future::pending().await;
    }
    told.mark_changed();
}
