//! Readiness as a set of guards: the last drop makes the process ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// What still keeps a process from being ready. Clones share one state.
#[derive(Debug, Clone)]
pub struct Readiness {
    waiting: Arc<watch::Sender<BTreeMap<&'static str, usize>>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { waiting: Arc::new(watch::Sender::new(BTreeMap::new())) }
    }
}

impl Readiness {
    /// Keeps the process unready until the guard is dropped. `what` names the
    /// condition on the admin page.
    #[must_use]
    pub fn guard(&self, what: &'static str) -> ReadyGuard {
        self.waiting.send_modify(|waiting| *waiting.entry(what).or_default() += 1);
        ReadyGuard { what, waiting: Arc::clone(&self.waiting) }
    }

    /// Says whether nothing is waited for.
    pub fn is_ready(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// Returns the names of what is waited for, in alphabetical order.
    pub fn waiting(&self) -> Vec<&'static str> {
        self.waiting.borrow().keys().copied().collect()
    }

    /// Waits until nothing is waited for.
    pub async fn ready(&self) {
        let mut changes = self.waiting.subscribe();
        // The sender lives in `self`, so the channel cannot close.
        let _ready = changes.wait_for(BTreeMap::is_empty).await;
    }
}

/// Keeps its process unready while it lives.
#[derive(Debug)]
pub struct ReadyGuard {
    what: &'static str,
    waiting: Arc<watch::Sender<BTreeMap<&'static str, usize>>>,
}

impl Drop for ReadyGuard {
    fn drop(&mut self) {
        self.waiting.send_modify(|waiting| {
            if let Some(count) = waiting.get_mut(self.what) {
                *count -= 1;
                if *count == 0 {
                    waiting.remove(self.what);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_guard_makes_ready() {
        let readiness = Readiness::default();
        let first = readiness.guard("watch");
        let second = readiness.guard("watch");
        drop(first);
        assert!(!readiness.is_ready());
        assert_eq!(readiness.waiting(), ["watch"]);
        drop(second);
        readiness.ready().await;
        assert!(readiness.is_ready());
    }
}
