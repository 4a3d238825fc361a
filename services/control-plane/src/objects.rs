//! The objects as they are now, for people who ask.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use nuncio_api::{Change, Object, ObjectKey};

/// The objects as they are now. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    shared: Arc<RwLock<BTreeMap<ObjectKey, Arc<Object>>>>,
}

// === impl Objects ===

impl Objects {
    /// Follows changes. A broken object stays what it was last.
    pub(crate) fn apply(&self, changes: &[Change]) {
        let mut objects = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Apply { object, .. } => {
                    objects.insert(object.key(), Arc::clone(object));
                }
                Change::Delete(key) => {
                    objects.remove(key);
                }
                Change::Broken { .. }
                | Change::Input { .. }
                | Change::File { .. }
                | Change::Registered { .. }
                | Change::Refused { .. } => {}
            }
        }
    }

    /// Returns all objects, in order of their keys.
    pub fn all(&self) -> Vec<Arc<Object>> {
        let objects = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        objects.values().cloned().collect()
    }
}
