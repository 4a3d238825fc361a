//! What Mappings depend on beside themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::defaults::Defaults;
use super::input::Files;
use super::refusals::Expressions;
use super::resolver::Resolver;
use super::route_table::Profile;
use super::tls::UpstreamTls;

/// Whether a TLSContext can originate TLS.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origination {
    Usable(Arc<UpstreamTls>),
    Unusable,
}

/// What Mappings depend on beside themselves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    pub(crate) namespace: String,
    pub(crate) resolve_defined_services: bool,
    pub(crate) endpoint_routing: bool,
    pub(crate) strict_labels: bool,
    pub(crate) defaults: Arc<Defaults>,
    pub(crate) resolvers: BTreeMap<String, Resolver>,
    pub(crate) contexts: BTreeMap<String, Origination>,
    /// Domain of the rate-limit service; `None` without one.
    pub(crate) label_domain: Option<String>,
    /// ext_authz stands in the chain.
    pub(crate) auth: bool,
    /// ... and refuses everything, because its object is broken.
    pub(crate) auth_closed: bool,
    /// `matchLabels` of every Host that has a selector, in processing order.
    pub(crate) selectors: Vec<BTreeMap<String, String>>,
    pub(crate) profiles: BTreeSet<Profile>,
    /// The Module has bodies of error answers.
    pub(crate) error_responses: bool,
    /// What the files hold that objects name.
    pub(crate) files: Arc<Files>,
    /// Expressions that Envoy refused.
    pub(crate) refused: Arc<Expressions>,
}

impl Stage {
    /// Returns whether labels fulfil a selector, as strictly as is set.
    pub(crate) fn labels_match(
        &self,
        selector: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        labels_match(self.strict_labels, selector, labels)
    }
}

/// Returns whether labels fulfil a selector: all of it, or any of it where
/// matching is not strict. An empty selector is fulfilled by anything.
pub(crate) fn labels_match(
    strict: bool,
    selector: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
) -> bool {
    let mut holds = selector.iter().map(|(key, value)| labels.get(key) == Some(value));
    if strict || selector.is_empty() { holds.all(|x| x) } else { holds.any(|x| x) }
}
