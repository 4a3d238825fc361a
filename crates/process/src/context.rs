//! What a service gets from the process it runs in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::registry::Registry;

use crate::{Drain, Readiness, Tasks};

/// What a service gets from the process it runs in. Clones share one state.
#[derive(Debug, Clone)]
pub struct Context {
    /// The service's name: `control-plane`, `auth`, `ratelimit`, …
    pub name: &'static str,
    /// Where the service's tasks are owned.
    pub tasks: Tasks,
    /// When to stop.
    pub drain: Drain,
    /// What keeps this service unready.
    pub ready: Readiness,
    registry: Arc<Mutex<Registry>>,
}

impl Context {
    /// Makes the context of a process of one service.
    pub fn new(name: &'static str) -> Self {
        let drain = Drain::new();
        Self {
            name,
            tasks: Tasks::new(drain.clone()),
            drain,
            ready: Readiness::default(),
            registry: Arc::default(),
        }
    }

    /// Makes the context of one service among several in this process: tasks
    /// and drain are shared, readiness and metrics are its own.
    #[must_use]
    pub fn child(&self, name: &'static str) -> Self {
        Self {
            name,
            tasks: self.tasks.clone(),
            drain: self.drain.clone(),
            ready: Readiness::default(),
            registry: Arc::default(),
        }
    }

    /// Gives access to the metrics of this service, to register new ones or to
    /// print them. Names carry no prefix of their own: register
    /// `nuncio_<service>_<noun>_<unit>`.
    pub fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
