//! Emissary's two probes.
//!
//! Alive: configuration is being processed, and the Envoy beside us answers.
//! Ready: a first configuration was published, and that Envoy runs it. Where no
//! Envoy stands beside us, as in a cluster where it has pods of its own, only
//! the configuration counts: an Envoy can only come once we are ready.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Fleet;
use crate::envoy_client;

/// How long changes may lie unprocessed, or Envoy be silent after the start.
const PATIENCE: Duration = Duration::from_secs(600);
const ENVOY_START: Duration = Duration::from_secs(30);
const ENVOY_TIMEOUT: Duration = Duration::from_secs(2);

/// When configuration came and when it was processed. Clones share one state.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    times: Arc<Mutex<Times>>,
}

#[derive(Debug)]
struct Times {
    started: Instant,
    arrived: Option<Instant>,
    processed: Option<Instant>,
    envoy_seen: Option<Instant>,
}

/// What the probes ask.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    pub(crate) snapshot: Snapshot,
    pub(crate) fleet: Fleet,
    /// `GET /ready` of the Envoy beside us.
    pub(crate) envoy_ready: Option<SocketAddr>,
}

/// What is known of the Envoy beside us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EnvoyState {
    pub(crate) alive: bool,
    pub(crate) ready: bool,
}

// === impl Snapshot ===

impl Snapshot {
    pub(crate) fn new(started: Instant) -> Self {
        let times = Times { started, arrived: None, processed: None, envoy_seen: None };
        Self { times: Arc::new(Mutex::new(times)) }
    }

    pub(crate) fn arrived(&self, now: Instant) {
        self.times().arrived = Some(now);
    }

    pub(crate) fn processed(&self, now: Instant) {
        self.times().processed = Some(now);
    }

    pub(crate) fn is_published(&self) -> bool {
        self.times().processed.is_some()
    }

    /// When this process started.
    pub(crate) fn started(&self) -> Instant {
        self.times().started
    }

    /// When configuration last changed.
    pub(crate) fn processed_at(&self) -> Option<Instant> {
        self.times().processed
    }

    fn is_alive(&self, now: Instant) -> bool {
        let times = self.times();
        let done = times.processed >= times.arrived && times.processed.is_some();
        let since = times.arrived.unwrap_or(times.started);
        done || now.saturating_duration_since(since) < PATIENCE
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Health ===

impl Health {
    pub(crate) async fn is_alive(&self) -> bool {
        self.envoy().await.alive && self.snapshot.is_alive(Instant::now())
    }

    pub(crate) async fn is_ready(&self) -> bool {
        self.snapshot.is_published() && self.envoy().await.ready
    }

    /// Asks the Envoy beside us.
    pub(crate) async fn envoy(&self) -> EnvoyState {
        let Some(address) = self.envoy_ready else {
            return EnvoyState { alive: true, ready: true };
        };
        let answer = envoy_client::fetch(address, "/ready", ENVOY_TIMEOUT).await;
        let answers = answer.is_ok_and(|answer| answer.status == 200);
        let now = Instant::now();
        let mut times = self.snapshot.times();
        if answers {
            times.envoy_seen = Some(now);
        }
        // Before its first answer Envoy waits for us; it is not dead.
        let starting = times.envoy_seen.is_none()
            && now.saturating_duration_since(times.started.max(times.processed.unwrap_or(now)))
                < ENVOY_START;
        drop(times);
        // The ready listener answers before an Envoy that was restarted under
        // load has taken the listeners; whoever is connected must have.
        let settled = self.fleet.clients().iter().all(|client| !client.is_envoy || client.settled);
        EnvoyState { alive: answers || starting, ready: answers && settled }
    }
}
