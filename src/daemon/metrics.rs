//! Metrics, for the control thread.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};

use super::driver::Driver;
use crate::control::Request;
use crate::io::clock;
use crate::metrics::{self, Listener, Observed};

/// The port where metrics are given, as far as it is wanted.
#[derive(Default)]
pub(super) struct Exporter {
    /// Where, and what ends it when it is dropped.
    running: Option<(SocketAddr, oneshot::Sender<()>)>,
    problem: Option<String>,
}

impl Exporter {
    /// Opens the port that is wanted, and closes any other.
    pub(super) async fn follow(&mut self, wanted: Option<SocketAddr>, requests: &mpsc::Sender<Request>) {
        if wanted.is_some() && self.running.as_ref().map(|(address, _)| *address) == wanted {
            return;
        }
        *self = Self::default();
        let Some(wanted) = wanted else { return };
        match Listener::bind(wanted).await {
            Ok(listener) => {
                tracing::info!(address = %listener.address(), "metrics are given");
                let (running, end) = oneshot::channel::<()>();
                let end = async move {
                    let _dropped = end.await;
                };
                tokio::spawn(metrics::serve(listener, requests.clone(), end));
                self.running = Some((wanted, running));
            }
            Err(error) => {
                let problem = format!("{}.", super::capitalised(&error.to_string()));
                tracing::warn!("{problem}");
                self.problem = Some(problem);
            }
        }
    }

    /// Why there is no port although one is wanted.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }
}

impl Driver {
    /// What the node counts, as Prometheus reads it.
    pub(super) fn metrics(&self) -> String {
        let now = clock::now();
        let view = self.node.view(now);
        let uptime = now.saturating_duration_since(self.started);
        metrics::render(&Observed {
            view: &view,
            drops: &self.shared.drops,
            sent: self.node.sent(),
            handshakes: self.node.handshakes(),
            tally: &self.tally,
            dns: self.names.counted(),
            fronts: self.services.fronted(),
            services: self.node.zone().services.len(),
            problems: view.problems.len() + self.problems(&view).len(),
            mtu: self.mtu,
            started_unix_s: clock::unix_s().saturating_sub(uptime.as_secs()),
        })
    }
}
