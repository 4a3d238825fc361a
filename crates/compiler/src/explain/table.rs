//! The resources a request meets, decoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use prost::Message as _;

use crate::{Resource, TypeUrl};

/// Listeners and route configurations, decoded once for many explanations.
#[derive(Debug, Default)]
pub struct Tables {
    pub(super) listeners: Vec<Listener>,
    routes: BTreeMap<String, RouteConfiguration>,
}

impl Tables {
    /// Decodes resources. Those that do not decode count as absent.
    pub fn of(resources: &[Arc<Resource>]) -> Self {
        let mut tables = Self::default();
        for resource in resources {
            let bytes = resource.bytes.to_bytes();
            match resource.name.type_url {
                TypeUrl::Listener => tables.listeners.extend(Listener::decode(bytes)),
                TypeUrl::RouteConfiguration => {
                    let decoded = RouteConfiguration::decode(bytes);
                    tables.routes.extend(decoded.map(|routes| (routes.name.clone(), routes)));
                }
                _ => {}
            }
        }
        tables
    }

    pub(super) fn routes(&self, name: &str) -> Option<&RouteConfiguration> {
        self.routes.get(name)
    }
}
