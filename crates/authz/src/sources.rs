//! What a configuration is built of.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api::filter as api;
use nuncio_api::filter_policy as policy_api;

use crate::filter::api_key::ServiceKeys;
use crate::filter::{FilterFactory, FilterName};

/// Everything a configuration is built of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sources {
    /// Filter objects.
    pub filters: BTreeMap<FilterName, Source<api::Filter>>,
    /// FilterPolicy objects.
    pub policies: BTreeMap<FilterName, Source<policy_api::FilterPolicy>>,
    /// Secrets by namespace and name: entry to value.
    pub secrets: BTreeMap<FilterName, BTreeMap<String, Vec<u8>>>,
}

/// One object, as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Source<T> {
    /// The object; `None` when nothing of it can be understood.
    pub spec: Option<T>,
    /// Why it is not accepted; `None` when it is. What a refused object guards
    /// is answered 500.
    pub rejected: Option<String>,
}

impl<T> Source<T> {
    /// Makes the source of an accepted object.
    pub const fn accepted(spec: T) -> Self {
        Self { spec: Some(spec), rejected: None }
    }
}

/// What stays the same while configurations come and go.
#[derive(Clone)]
pub struct Environment {
    /// The service's own secrets.
    pub keys: ServiceKeys,
    /// Filter kinds of this build.
    pub factories: BTreeMap<&'static str, Arc<dyn FilterFactory>>,
    /// Whether guarded paths with `%2F`, `%5C`, `\` or `;` are answered 400,
    /// even where every reading of them falls under one rule.
    pub strict_paths: bool,
}
