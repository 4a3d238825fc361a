//! The clusters of the overview.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint};
use nuncio_xds::{Cache, TypeUrl};
use prost::Message as _;
use serde_json::{Map, Value, json};

use crate::questions::ClusterNames;

/// Returns clusters by Emissary's full names, a cluster that is served but not
/// in effect any more by its name in Envoy.
///
/// Shape of each: `name` (the key), `envoy_name` (shortened above 60
/// characters), `stat_name`; `targets` as Emissary has them: host and port of
/// the service, or its endpoints where a resolver of endpoints finds them;
/// `endpoints`, the name under which endpoints are sent, and `addresses`, those
/// that were sent.
pub(super) fn info(cache: &Cache, names: &ClusterNames) -> Map<String, Value> {
    let sent: BTreeMap<Arc<str>, ClusterLoadAssignment> = cache
        .all(&TypeUrl::ENDPOINTS)
        .filter_map(|payload| {
            let endpoints = ClusterLoadAssignment::decode(payload.message()).ok()?;
            Some((payload.name().clone(), endpoints))
        })
        .collect();
    let mut clusters = Map::new();
    for payload in cache.all(&TypeUrl::CLUSTER) {
        let Ok(cluster) = Cluster::decode(payload.message()) else { continue };
        let known = names.get(payload.name());
        let addresses = addresses(payload.endpoints().and_then(|name| sent.get(name)));
        let services = known.map(|known| &known.services[..]).unwrap_or_default();
        let targets = match (&cluster.load_assignment, services) {
            (inline @ Some(_), _) => self::addresses(inline.as_ref()),
            (None, []) => addresses.clone(),
            (None, services) => services.iter().map(|(host, port)| target(host, *port)).collect(),
        };
        let name = known.map_or_else(|| cluster.name.clone(), |known| known.full.to_string());
        let info = json!({
            "name": name,
            "envoy_name": cluster.name,
            "stat_name": cluster.alt_stat_name,
            "endpoints": payload.endpoints().map(|name| &**name),
            "addresses": addresses,
            "targets": targets,
        });
        clusters.insert(name, info);
    }
    clusters
}

fn addresses(assignment: Option<&ClusterLoadAssignment>) -> Vec<Value> {
    assignment
        .into_iter()
        .flat_map(|assignment| &assignment.endpoints)
        .flat_map(|locality| &locality.lb_endpoints)
        .filter_map(address)
        .collect()
}

fn address(endpoint: &LbEndpoint) -> Option<Value> {
    use envoy_types::pb::envoy::config::core::v3::address::Address;
    use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
    use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;

    let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else { return None };
    let Some(Address::SocketAddress(socket)) = endpoint.address.as_ref()?.address.as_ref() else {
        return None;
    };
    let port = match socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => u16::try_from(port).unwrap_or_default(),
        _ => 0,
    };
    Some(target(&socket.address, port))
}

fn target(host: &str, port: u16) -> Value {
    json!({"ip": host, "port": port})
}
