//! Questions to the task that owns the compiler.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_compiler::ClusterName;
use tokio::sync::{mpsc, oneshot};

/// Questions that wait while a compile goes on. A person asks rarely; who comes
/// when so many wait, waits for a place.
const WAITING_MOST: usize = 8;

/// What clusters are, by published name.
pub(crate) type ClusterNames = BTreeMap<Arc<str>, ClusterName>;

/// A question for what clusters are; the answer goes back through it.
pub(crate) type Question = oneshot::Sender<ClusterNames>;

/// Asks the task that owns the compiler.
#[derive(Debug, Clone)]
pub(crate) struct Questions(mpsc::Sender<Question>);

// === impl Questions ===

impl Questions {
    /// Makes it, with the end at which to answer.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Question>) {
        let (asks, asked) = mpsc::channel(WAITING_MOST);
        (Self(asks), asked)
    }

    /// Returns what clusters are, when the compile that goes on is through;
    /// nothing once the task has stopped.
    pub(crate) async fn cluster_names(&self) -> ClusterNames {
        let (question, answer) = oneshot::channel();
        if self.0.send(question).await.is_err() {
            return ClusterNames::new();
        }
        answer.await.unwrap_or_default()
    }
}
