//! Clusters, encoded without the generated types: there is one to each of many
//! Mappings.

use envoy_types::pb::envoy::config::cluster::v3::cluster as pb;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;

use super::wire::{nested, number, plain_number, plain_text};
use super::{ads, any, append_any_map, append_message, append_millis, socket_address, tls};
use crate::ir::cluster::{Balance, Cluster, Discovery, Family};

mod extras;

pub(super) use extras::header_key_format;

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Fields of `envoy.config.cluster.v3.Cluster`.
const NAME: u32 = 1;
const TYPE: u32 = 2;
const EDS_CLUSTER_CONFIG: u32 = 3;
const CONNECT_TIMEOUT: u32 = 4;
const LB_POLICY: u32 = 6;
const HEALTH_CHECKS: u32 = 8;
const CIRCUIT_BREAKERS: u32 = 10;
const DNS_LOOKUP_FAMILY: u32 = 17;
const OUTLIER_DETECTION: u32 = 19;
const TRANSPORT_SOCKET: u32 = 24;
const ALT_STAT_NAME: u32 = 28;
const UPSTREAM_CONNECTION_OPTIONS: u32 = 30;
const LOAD_ASSIGNMENT: u32 = 33;
const EXTENSION_PROTOCOL_OPTIONS: u32 = 36;
const RESPECT_DNS_TTL: u32 = 39;
/// Fields of `envoy.config.endpoint.v3.ClusterLoadAssignment`.
const CLUSTER_NAME: u32 = 1;
const ENDPOINTS: u32 = 2;
/// `LocalityLbEndpoints.lb_endpoints`.
const LB_ENDPOINTS: u32 = 2;
/// `LbEndpoint.endpoint`.
const ENDPOINT: u32 = 1;
/// `Endpoint.address`, and `envoy.config.core.v3.Address.socket_address`.
const ADDRESS: u32 = 1;
const SOCKET_ADDRESS: u32 = 1;
/// Fields of `envoy.config.core.v3.SocketAddress`.
const HOST: u32 = 2;
const PORT_VALUE: u32 = 3;

/// Encodes a cluster under its published name.
pub(crate) fn encode(name: &str, cluster: &Cluster) -> Vec<u8> {
    // Few are longer.
    let mut out = Vec::with_capacity(256);
    let (kind, family, respect_ttl) = discovery(&cluster.discovery);
    plain_text(NAME, name, &mut out);
    number(TYPE, kind as u64, &mut out);
    if let Discovery::Eds { service } = &cluster.discovery {
        let eds_config = ads();
        let config = pb::EdsClusterConfig { eds_config, service_name: service.to_string() };
        append_message(EDS_CLUSTER_CONFIG, &config, &mut out);
    }
    append_millis(CONNECT_TIMEOUT, cluster.connect_timeout_ms, &mut out);
    plain_number(LB_POLICY, balance(cluster.balance) as u64, &mut out);
    for check in &cluster.health_checks {
        append_message(HEALTH_CHECKS, &extras::health_check(check, cluster), &mut out);
    }
    if let Some(breakers) = extras::breakers(&cluster.breakers) {
        append_message(CIRCUIT_BREAKERS, &breakers, &mut out);
    }
    plain_number(DNS_LOOKUP_FAMILY, family as u64, &mut out);
    if let Some(outliers) = &cluster.outliers {
        append_message(OUTLIER_DETECTION, &extras::outlier_detection(outliers), &mut out);
    }
    if let Some(tls) = &cluster.tls {
        append_message(TRANSPORT_SOCKET, &tls::upstream(tls), &mut out);
    }
    plain_text(ALT_STAT_NAME, &cluster.stat_name, &mut out);
    if let Some(keepalive) = &cluster.keepalive {
        append_message(UPSTREAM_CONNECTION_OPTIONS, &extras::keepalive(keepalive), &mut out);
    }
    match &cluster.discovery {
        Discovery::Dns { host, port, .. } => assignment(name, [(host.as_str(), *port)], &mut out),
        Discovery::Several { targets, .. } => {
            assignment(name, targets.iter().map(|(host, port)| (host.as_str(), *port)), &mut out);
        }
        Discovery::Closed => assignment(name, [], &mut out),
        Discovery::Eds { .. } => {}
    }
    if let Some(options) = extras::http_options(cluster) {
        append_any_map(EXTENSION_PROTOCOL_OPTIONS, vec![(HTTP_OPTIONS, any(&options))], &mut out);
    }
    plain_number(RESPECT_DNS_TTL, u64::from(respect_ttl), &mut out);
    out
}

/// Returns the type, the families asked of DNS, and whether its lifetimes count.
#[allow(deprecated, reason = "its successor is an extension that the oldest Envoy served lacks")]
fn discovery(of: &Discovery) -> (pb::DiscoveryType, pb::DnsLookupFamily, bool) {
    use pb::DiscoveryType;
    match of {
        Discovery::Dns { logical: true, respect_ttl, family, .. } => {
            (DiscoveryType::LogicalDns, dns_family(*family), *respect_ttl)
        }
        Discovery::Dns { respect_ttl, family, .. } => {
            (DiscoveryType::StrictDns, dns_family(*family), *respect_ttl)
        }
        Discovery::Several { family, .. } => (DiscoveryType::StrictDns, dns_family(*family), false),
        Discovery::Eds { .. } => (DiscoveryType::Eds, pb::DnsLookupFamily::default(), false),
        Discovery::Closed => (DiscoveryType::Static, pb::DnsLookupFamily::default(), false),
    }
}

/// Appends the endpoints that are no matter of EDS, in one locality.
fn assignment<'a>(
    name: &str,
    targets: impl IntoIterator<Item = (&'a str, u16)>,
    out: &mut Vec<u8>,
) {
    let mut targets = targets.into_iter().peekable();
    nested(LOAD_ASSIGNMENT, out, |out| {
        plain_text(CLUSTER_NAME, name, out);
        if targets.peek().is_some() {
            nested(ENDPOINTS, out, |out| {
                targets.for_each(|(host, port)| append_endpoint(host, port, out));
            });
        }
    });
}

fn append_endpoint(host: &str, port: u16, out: &mut Vec<u8>) {
    let socket_address = |out: &mut Vec<u8>| {
        plain_text(HOST, host, out);
        number(PORT_VALUE, port.into(), out);
    };
    nested(LB_ENDPOINTS, out, |out| {
        nested(ENDPOINT, out, |out| {
            nested(ADDRESS, out, |out| nested(SOCKET_ADDRESS, out, socket_address));
        });
    });
}

/// One endpoint at this address.
pub(super) fn lb_endpoint(host: &str, port: u16) -> endpoint::LbEndpoint {
    endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
            endpoint::Endpoint {
                address: Some(socket_address(host, port, false)),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}

fn dns_family(family: Family) -> pb::DnsLookupFamily {
    match family {
        Family::V4 => pb::DnsLookupFamily::V4Only,
        Family::V6 => pb::DnsLookupFamily::V6Only,
        Family::Both => pb::DnsLookupFamily::Auto,
    }
}

fn balance(balance: Balance) -> pb::LbPolicy {
    match balance {
        Balance::RoundRobin => pb::LbPolicy::RoundRobin,
        Balance::LeastRequest => pb::LbPolicy::LeastRequest,
        Balance::RingHash => pb::LbPolicy::RingHash,
        Balance::Maglev => pb::LbPolicy::Maglev,
    }
}

#[cfg(test)]
mod tests;
