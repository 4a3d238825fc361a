//! What a gateway is told of how objects are to be read.

use std::collections::BTreeSet;

use crate::{Environment, FieldQuery, Kind, LabelQuery, Meta};

/// How texts become objects, and which of them count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Namespace of objects that name none.
    pub default_namespace: String,
    /// What objects may name as `$NAME`.
    pub environment: Environment,
    /// Which objects are there at all, for this gateway.
    pub selection: Selection,
}

/// Which objects of a source a gateway sees. The default is all of them.
///
/// It is a question for each object that stands for itself; objects in an
/// annotation go with their carrier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these kinds; the kinds of carriers among them bring what they carry.
    pub kinds: Option<BTreeSet<Kind>>,
    /// Only this namespace, and nothing that is in none.
    pub namespace: Option<String>,
    /// Only objects with these labels.
    pub labels: LabelQuery,
    /// Only objects with these fields.
    pub fields: FieldQuery,
}

// === impl Reading ===

impl Reading {
    /// Reads everything, with no variables.
    pub fn of_namespace(default_namespace: impl Into<String>) -> Self {
        Self { default_namespace: default_namespace.into(), ..Self::default() }
    }
}

// === impl Selection ===

impl Selection {
    /// Tells whether an object is there for the gateway.
    pub fn takes(&self, kind: Kind, meta: &Meta) -> bool {
        let in_scope = match &self.namespace {
            // Its own Namespace object is all of the cluster that one can see.
            Some(own) if kind == Kind::Namespace => meta.name == *own,
            Some(own) => meta.namespace == *own,
            None => true,
        };
        let wanted = self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind));
        wanted && in_scope && self.labels.matches(&meta.labels) && self.fields.matches(meta)
    }
}
