//! What a resource needs of others.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use prost::Message;

use super::{CLUSTER, LISTENER, REFUSED, ROUTES};

#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) needs: BTreeSet<String>,
    pub(super) refused: bool,
}

pub(super) fn of(type_url: &str, bytes: &[u8]) -> Result<Links, String> {
    let links = match type_url {
        CLUSTER => Cluster::decode(bytes).map(|cluster| of_cluster(&cluster)),
        LISTENER => Listener::decode(bytes).map(|listener| of_listener(&listener)),
        ROUTES => RouteConfiguration::decode(bytes).map(|routes| of_routes(&routes)),
        _ => Ok(Links::default()),
    };
    links.map_err(|error| error.to_string())
}

fn of_cluster(cluster: &Cluster) -> Links {
    let eds = Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32));
    let mut needs = BTreeSet::new();
    if cluster.cluster_discovery_type == eds {
        let service = cluster.eds_cluster_config.as_ref().map(|config| &config.service_name);
        let service = service.filter(|service| !service.is_empty());
        needs.insert(service.unwrap_or(&cluster.name).clone());
    }
    Links { needs, refused: cluster.alt_stat_name.contains(REFUSED) }
}

fn of_listener(listener: &Listener) -> Links {
    let filters = listener.filter_chains.iter().flat_map(|chain| &chain.filters);
    let needs = filters
        .filter_map(|filter| match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => HttpConnectionManager::decode(&*any.value).ok(),
            _ => None,
        })
        .filter_map(|manager| match manager.route_specifier {
            Some(RouteSpecifier::Rds(rds)) => Some(rds.route_config_name),
            _ => None,
        })
        .collect();
    Links { needs, refused: listener.stat_prefix.contains(REFUSED) }
}

fn of_routes(routes: &RouteConfiguration) -> Links {
    let mut links = Links::default();
    for host in &routes.virtual_hosts {
        links.refused |= host.name.contains(REFUSED);
        for route in &host.routes {
            let Some(Action::Route(action)) = &route.action else { continue };
            match &action.cluster_specifier {
                Some(ClusterSpecifier::Cluster(cluster)) => {
                    links.needs.insert(cluster.clone());
                }
                Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                    links.needs.extend(weighted.clusters.iter().map(|w| w.name.clone()));
                }
                _ => {}
            }
        }
    }
    links
}
