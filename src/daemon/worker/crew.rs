//! The workers of a node: they start together, and when one ends all do.

use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::sync::{Arc, atomic::Ordering::Relaxed};
use std::thread::{Builder, JoinHandle, available_parallelism};

use anyhow::{Context, Result, anyhow};

use super::{FurtherLane, Lane, Shared, ToNode, ToWorker, Worker};
use crate::io::tun::{Queues, Tun};

/// Workers where the configuration says nothing, however many cores there are: beyond them a mesh of laptops gains nothing,
/// and each has buffers of its own.
const USUAL_MAX: usize = 4;

/// How many workers there are to be.
pub(in crate::daemon) fn count(configured: Option<NonZeroUsize>) -> NonZeroUsize {
    let cores = || available_parallelism().map_or(1, NonZeroUsize::get);
    configured.or_else(|| NonZeroUsize::new(cores().min(USUAL_MAX))).unwrap_or(NonZeroUsize::MIN)
}

/// What so many workers read the interface by.
pub(in crate::daemon) fn queues(workers: NonZeroUsize) -> Queues {
    if workers.get() > 1 { Queues::Several } else { Queues::One }
}

/// All workers.
pub(in crate::daemon) struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Crew {
    /// Starts a worker for each wake of `shared`, or as many as the system gives queues and sockets for.
    ///
    /// # Errors
    /// When there is no first one.
    pub(in crate::daemon) fn start(
        tun: Tun,
        shared: &Arc<Shared>,
        to_node: &tokio::sync::mpsc::Sender<ToNode>,
        from_node: mpsc::Receiver<ToWorker>,
    ) -> Result<Self> {
        let mut workers = vec![];
        for number in 1..shared.wakes.len() {
            match further(&tun, shared) {
                Ok((tun, lane)) => workers.push((tun, Lane::Further { number, lane })),
                Err(error) => {
                    tracing::warn!("going on with {number} of {} workers: {error}", shared.wakes.len());
                    break;
                }
            }
        }
        workers.push((tun, Lane::First(from_node)));
        let mut crew = Self { shared: shared.clone(), threads: vec![] };
        for (tun, lane) in workers {
            let worker = Worker { tun, lane, shared: shared.clone(), to_node: to_node.clone() };
            if let Err(error) = crew.add(worker) {
                crew.shared.stop();
                return Err(error);
            }
        }
        Ok(crew)
    }

    fn add(&mut self, worker: Worker) -> Result<()> {
        let name = format!("worker-{}", worker.lane.number());
        let run = move || {
            // Also when it fails: a lane that nobody reads would swallow what comes there.
            let _last = StopAll(worker.shared.clone());
            worker.run()
        };
        self.threads.push(Builder::new().name(name).spawn(run).context("starting a worker")?);
        Ok(())
    }

    /// Ends all, and with them the interface.
    ///
    /// # Errors
    /// What the first of them failed for.
    pub(in crate::daemon) fn stop(self) -> Result<()> {
        self.shared.stop();
        let join = |thread: JoinHandle<Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a worker thread failed")))
        };
        let ended: Vec<Result<()>> = self.threads.into_iter().map(join).collect();
        ended.into_iter().collect()
    }
}

/// A queue and sockets for one more worker.
fn further(tun: &Tun, shared: &Shared) -> Result<(Tun, FurtherLane)> {
    Ok((tun.another_queue()?, shared.udp.open_lane()?))
}

/// Ends all workers when the first one has.
struct StopAll(Arc<Shared>);

impl Drop for StopAll {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Shared {
    /// Tells all workers to end.
    fn stop(&self) {
        self.stop.store(true, Relaxed);
        self.wakes.iter().for_each(crate::io::poll::Wake::wake);
    }
}
