//! What the passes leave behind beside their results.

use std::collections::BTreeSet;
use std::sync::Arc;

use nuncio_api::{Diagnostic, ObjectKey};

use super::cluster::Target;
use crate::names;

/// Collects what passes find and use.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) findings: Vec<Diagnostic>,
    pub(crate) clusters: SceneClusters,
    pub(crate) depends_on: BTreeSet<(String, String)>,
}

/// Clusters of plug-in services and TCPMappings, by full name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SceneClusters {
    /// Full name, options, cluster, user; the first with a name has it plain.
    pub(crate) list: Vec<(Arc<str>, Target, ObjectKey)>,
}

impl SceneClusters {
    /// Adds a cluster and returns its published name.
    pub(crate) fn add(&mut self, target: Target, user: &ObjectKey) -> Arc<str> {
        let owner = self.list.iter().find(|(_, known, _)| known.name == target.name);
        let full = match owner {
            Some((_, known, _)) if known.options != target.options => {
                names::variant_cluster(&target.name, target.options)
            }
            _ => target.name.to_string(),
        };
        let published: Arc<str> = names::published_cluster(&full).into();
        if !self
            .list
            .iter()
            .any(|(name, known, _)| *name == published && known.options == target.options)
        {
            self.list.push((published.clone(), target, user.clone()));
        }
        published
    }
}
