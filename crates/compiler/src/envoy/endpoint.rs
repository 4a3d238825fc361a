//! Endpoint sets.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::endpoint::v3 as pb;
use prost::Message;

use super::cluster::lb_endpoint;

/// Encodes the endpoints of one EDS service name. No endpoints is an answer
/// too: Envoy then says 503 instead of waiting.
pub(crate) fn encode(service: &str, endpoints: &BTreeSet<(String, u16)>) -> Vec<u8> {
    let lb_endpoints: Vec<_> =
        endpoints.iter().map(|(address, port)| lb_endpoint(address, *port)).collect();
    pb::ClusterLoadAssignment {
        cluster_name: service.to_owned(),
        endpoints: if lb_endpoints.is_empty() {
            Vec::new()
        } else {
            vec![pb::LocalityLbEndpoints { lb_endpoints, ..Default::default() }]
        },
        ..Default::default()
    }
    .encode_to_vec()
}
