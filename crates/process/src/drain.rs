//! How a process stops: not ready, no new work, finish what runs, then force.

use tokio_util::sync::CancellationToken;

/// Tells every task of a process that it should stop. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    stop: CancellationToken,
    force: CancellationToken,
}

impl Drain {
    /// Makes a drain that nobody has started yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the drain; later calls change nothing.
    pub fn start(&self) {
        self.stop.cancel();
    }

    /// Ends the drain's patience: tasks that still run are dropped.
    pub fn force(&self) {
        self.stop.cancel();
        self.force.cancel();
    }

    /// Says whether the process is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until the process should stop.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Like [`Drain::stopping`], for APIs that want an owned future.
    pub fn stopping_owned(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    /// Waits until patience has ended.
    pub(crate) async fn forced(&self) {
        self.force.cancelled().await;
    }
}
