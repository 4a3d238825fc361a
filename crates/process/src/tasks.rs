//! Named, owned tasks: whatever is started is noticed when it ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::Drain;

/// Why a process stopped of its own.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A task that should run until the drain returned early.
    #[error("task `{name}` ended early")]
    Ended {
        /// The task.
        name: &'static str,
    },
    /// A task returned an error.
    #[error("task `{name}` failed")]
    Failed {
        /// The task.
        name: &'static str,
        /// What it returned.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A task panicked; the panic's text is in the log.
    #[error("task `{name}` panicked")]
    Panicked {
        /// The task.
        name: &'static str,
    },
    /// Tasks outlived the grace period and were dropped.
    #[error("{count} tasks were still running after {grace:?}")]
    Overran {
        /// How many.
        count: usize,
        /// The grace period.
        grace: Duration,
    },
}

/// The tasks of one process. Clones share one set.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    drain: Drain,
    failure: Arc<Mutex<Option<TaskError>>>,
}

impl Tasks {
    /// Makes an empty set that stops with `drain`.
    pub fn new(drain: Drain) -> Self {
        Self { tracker: TaskTracker::new(), drain, failure: Arc::default() }
    }

    /// Starts a task that runs until the drain. If it ends before, whatever it
    /// returns, the process stops with an error.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.own(name, task, true);
    }

    /// Starts a task that may end at any time; only its failure or panic stops
    /// the process.
    pub fn spawn_finite<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.own(name, task, false);
    }

    fn own<F>(&self, name: &'static str, task: F, lasting: bool)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let mut running = tokio::spawn(task);
            let outcome = tokio::select! {
                outcome = &mut running => outcome,
                () = tasks.drain.forced() => {
                    running.abort();
                    return;
                }
            };
            let failure = match outcome {
                Ok(Ok(())) if lasting && !tasks.drain.is_stopping() => TaskError::Ended { name },
                Ok(Ok(())) => return,
                Ok(Err(error)) => TaskError::Failed { name, source: error.into() },
                Err(_panic) => TaskError::Panicked { name },
            };
            tasks.fail(failure);
        });
    }

    fn fail(&self, failure: TaskError) {
        tracing::error!(error = crate::chain(&failure), "task failed, stopping");
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.drain.start();
    }

    /// Waits for the drain to start, then for the tasks to end.
    ///
    /// # Errors
    /// The first failure of a task, or that tasks outlived `grace`.
    pub async fn until_stopped(&self, grace: Duration) -> Result<(), TaskError> {
        self.drain.stopping().await;
        self.tracker.close();
        let patience = async {
            tokio::select! {
                () = tokio::time::sleep(grace) => {}
                () = self.drain.forced() => {}
            }
        };
        let overran = tokio::select! {
            () = self.tracker.wait() => None,
            () = patience => Some(TaskError::Overran { count: self.tracker.len(), grace }),
        };
        self.drain.force();
        self.tracker.wait().await;
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.or(overran).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_lasting_task_that_ends_stops_the_process() {
        let tasks = Tasks::new(Drain::new());
        tasks.spawn("brief", async { Ok(()) });
        let error = tasks.until_stopped(GRACE).await.unwrap_err();
        assert!(matches!(error, TaskError::Ended { name: "brief" }));
    }

    #[tokio::test]
    async fn a_panic_stops_the_process_and_is_named() {
        let tasks = Tasks::new(Drain::new());
        tasks.spawn_finite("brittle", async { panic!("expected by this test") });
        let error = tasks.until_stopped(GRACE).await.unwrap_err();
        assert!(matches!(error, TaskError::Panicked { name: "brittle" }));
    }

    #[tokio::test]
    async fn finite_tasks_may_end_and_the_drain_waits_for_the_rest() {
        let drain = Drain::new();
        let tasks = Tasks::new(drain.clone());
        tasks.spawn_finite("errand", async { Ok(()) });
        let stopping = drain.clone();
        tasks.spawn("server", async move {
            stopping.stopping().await;
            tokio::task::yield_now().await;
            Ok(())
        });
        drain.start();
        tasks.until_stopped(GRACE).await.unwrap();
    }

    #[tokio::test]
    async fn tasks_that_ignore_the_drain_are_dropped_after_the_grace_period() {
        let drain = Drain::new();
        let tasks = Tasks::new(drain.clone());
        tasks.spawn("deaf", std::future::pending());
        drain.start();
        let error = tasks.until_stopped(Duration::from_millis(10)).await.unwrap_err();
        assert!(matches!(error, TaskError::Overran { count: 1, .. }));
    }
}
