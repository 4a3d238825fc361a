//! Which FilterPolicy rule a request falls under.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_authz::{Config, Environment, FilterName, Host, ServiceKeys, Source, Sources};
use nuncio_compiler::{Resource, TypeUrl};
use nuncio_proto::auth::v1::{Filter, FilterPolicy};
use prost::Message as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The rule that decides about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Choice {
    /// Shape: `name.namespace#index`.
    pub(super) rule: String,
    /// Filters in order, as `name.namespace`; empty lets the request through.
    pub(super) filters: Vec<String>,
}

/// Finds the rule with the auth service's own code. `None` when no policy has
/// anything to say.
pub(super) fn choose(resources: &[Arc<Resource>], authority: &str, path: &str) -> Option<Choice> {
    let mut sources = Sources::default();
    for resource in resources {
        let bytes = resource.bytes.to_bytes();
        match resource.name.type_url {
            TypeUrl::Filter => {
                let filter = Filter::decode(bytes).ok()?;
                let name = FilterName { namespace: filter.namespace, name: filter.name };
                sources.filters.insert(name, source(&filter.spec_json, &filter.rejected));
            }
            TypeUrl::FilterPolicy => {
                let policy = FilterPolicy::decode(bytes).ok()?;
                let name = FilterName { namespace: policy.namespace, name: policy.name };
                sources.policies.insert(name, source(&policy.spec_json, &policy.rejected));
            }
            _ => {}
        }
    }
    // Neither keys nor custom kinds change which rule is chosen.
    let environment = Environment {
        keys: ServiceKeys { process: [0; 32], api_key_hmac: None },
        factories: BTreeMap::new(),
        strict_paths: true,
    };
    let config = Config::build(&sources, &environment, None);
    let rule = config.table().find(&Host::parse(authority).ok()?, path)?;
    let filters = rule.chain.iter().map(|link| link.filter.name.to_string()).collect();
    Some(Choice { rule: rule.name.clone(), filters })
}

fn source<T: DeserializeOwned>(json: &str, rejected: &str) -> Source<T> {
    let rejected = (!rejected.is_empty()).then(|| rejected.to_owned());
    Source { spec: serde_json::from_str(json).ok(), rejected }
}
