//! Clusters.

use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as upstream;
use nuncio_api::{BreakerPriority, DurationText, OutlierDetection};
use prost::Message;

use super::{ads, any, bool_value, millis, socket_address, tls, u32_value};
use crate::ir::cluster::{
    Balance, Breaker, Cluster, Discovery, Family, HeaderCase, HealthCheck, Keepalive, Probe,
};
use crate::ir::upstream::millis as upstream_millis;

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Encodes a cluster under its published name.
pub(crate) fn encode(name: &str, cluster: &Cluster) -> Vec<u8> {
    let mut message = pb::Cluster {
        name: name.to_owned(),
        alt_stat_name: cluster.stat_name.clone(),
        connect_timeout: millis(cluster.connect_timeout_ms),
        lb_policy: balance(cluster.balance) as i32,
        circuit_breakers: breakers(&cluster.breakers),
        health_checks: cluster.health_checks.iter().map(|c| health_check(c, cluster)).collect(),
        outlier_detection: cluster.outliers.as_ref().map(outlier_detection),
        upstream_connection_options: cluster.keepalive.as_ref().map(keepalive),
        transport_socket: cluster.tls.as_deref().map(tls::upstream),
        ..Default::default()
    };
    if let Some(options) = http_options(cluster) {
        // One entry at most: the order of a HashMap is no order.
        message.typed_extension_protocol_options =
            [(HTTP_OPTIONS.to_owned(), any(&options))].into();
    }
    discover(name, cluster, &mut message);
    message.encode_to_vec()
}

#[allow(deprecated, reason = "its successor is an extension that the oldest Envoy served lacks")]
fn discover(name: &str, cluster: &Cluster, message: &mut pb::Cluster) {
    use pb::cluster::{ClusterDiscoveryType, DiscoveryType};
    let kind = match &cluster.discovery {
        Discovery::Dns { host, port, logical, respect_ttl, family } => {
            message.dns_lookup_family = dns_family(*family) as i32;
            message.respect_dns_ttl = *respect_ttl;
            message.load_assignment = Some(assignment(name, &[(host.clone(), *port)]));
            if *logical { DiscoveryType::LogicalDns } else { DiscoveryType::StrictDns }
        }
        Discovery::Several { targets, family } => {
            message.dns_lookup_family = dns_family(*family) as i32;
            message.load_assignment = Some(assignment(name, targets));
            DiscoveryType::StrictDns
        }
        Discovery::Eds { service } => {
            message.eds_cluster_config = Some(pb::cluster::EdsClusterConfig {
                eds_config: ads(),
                service_name: service.to_string(),
            });
            DiscoveryType::Eds
        }
        Discovery::Closed => {
            message.load_assignment = Some(assignment(name, &[]));
            DiscoveryType::Static
        }
    };
    message.cluster_discovery_type = Some(ClusterDiscoveryType::Type(kind as i32));
}

fn assignment(name: &str, targets: &[(String, u16)]) -> endpoint::ClusterLoadAssignment {
    let lb_endpoints: Vec<_> =
        targets.iter().map(|(host, port)| lb_endpoint(host, *port)).collect();
    endpoint::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: if lb_endpoints.is_empty() {
            Vec::new()
        } else {
            vec![endpoint::LocalityLbEndpoints { lb_endpoints, ..Default::default() }]
        },
        ..Default::default()
    }
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

fn dns_family(family: Family) -> pb::cluster::DnsLookupFamily {
    match family {
        Family::V4 => pb::cluster::DnsLookupFamily::V4Only,
        Family::V6 => pb::cluster::DnsLookupFamily::V6Only,
        Family::Both => pb::cluster::DnsLookupFamily::Auto,
    }
}

fn balance(balance: Balance) -> pb::cluster::LbPolicy {
    match balance {
        Balance::RoundRobin => pb::cluster::LbPolicy::RoundRobin,
        Balance::LeastRequest => pb::cluster::LbPolicy::LeastRequest,
        Balance::RingHash => pb::cluster::LbPolicy::RingHash,
        Balance::Maglev => pb::cluster::LbPolicy::Maglev,
    }
}

fn breakers(breakers: &[Breaker]) -> Option<pb::CircuitBreakers> {
    if breakers.is_empty() {
        return None;
    }
    let thresholds = breakers.iter().map(|breaker| pb::circuit_breakers::Thresholds {
        priority: i32::from(breaker.priority == Some(BreakerPriority::High)),
        max_connections: breaker.max_connections.and_then(u32_value),
        max_pending_requests: breaker.max_pending_requests.and_then(u32_value),
        max_requests: breaker.max_requests.and_then(u32_value),
        max_retries: breaker.max_retries.and_then(u32_value),
        ..Default::default()
    });
    Some(pb::CircuitBreakers { thresholds: thresholds.collect(), ..Default::default() })
}

fn outlier_detection(given: &OutlierDetection) -> pb::OutlierDetection {
    let time = |given: Option<DurationText>| given.and_then(|time| millis(upstream_millis(time)));
    let number = |given: Option<u32>| given.and_then(u32_value);
    let gateway = given.consecutive_gateway_failure;
    pb::OutlierDetection {
        consecutive_5xx: number(given.consecutive_5xx),
        consecutive_gateway_failure: number(gateway),
        consecutive_local_origin_failure: number(given.consecutive_local_origin_failure),
        split_external_local_origin_errors: given
            .split_external_local_origin_errors
            .unwrap_or(false),
        interval: time(given.interval),
        base_ejection_time: time(given.base_ejection_time),
        max_ejection_time: time(given.max_ejection_time),
        max_ejection_percent: number(given.max_ejection_percent),
        enforcing_consecutive_5xx: number(given.enforcing_consecutive_5xx),
        enforcing_consecutive_gateway_failure: number(
            given.enforcing_consecutive_gateway_failure.or(gateway.map(|_| 100)),
        ),
        enforcing_success_rate: number(given.enforcing_success_rate),
        success_rate_minimum_hosts: number(given.success_rate_minimum_hosts),
        success_rate_request_volume: number(given.success_rate_request_volume),
        success_rate_stdev_factor: number(given.success_rate_stdev_factor),
        ..Default::default()
    }
}

fn keepalive(keepalive: &Keepalive) -> pb::UpstreamConnectionOptions {
    pb::UpstreamConnectionOptions {
        tcp_keepalive: Some(core::TcpKeepalive {
            keepalive_probes: keepalive.probes.and_then(u32_value),
            keepalive_time: keepalive.time.and_then(u32_value),
            keepalive_interval: keepalive.interval.and_then(u32_value),
        }),
        ..Default::default()
    }
}

fn http_options(cluster: &Cluster) -> Option<upstream::HttpProtocolOptions> {
    use upstream::http_protocol_options::explicit_http_config::ProtocolConfig;
    use upstream::http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions};
    let timed = cluster.idle_timeout_ms.is_some() || cluster.max_lifetime_ms.is_some();
    let cased = cluster.header_case != HeaderCase::Lower && !cluster.http2;
    if !timed && !cluster.http2 && !cased {
        return None;
    }
    let protocol = if cluster.http2 {
        ProtocolConfig::Http2ProtocolOptions(core::Http2ProtocolOptions::default())
    } else {
        ProtocolConfig::HttpProtocolOptions(core::Http1ProtocolOptions {
            header_key_format: header_key_format(&cluster.header_case),
            ..Default::default()
        })
    };
    Some(upstream::HttpProtocolOptions {
        common_http_protocol_options: timed.then(|| core::HttpProtocolOptions {
            idle_timeout: cluster.idle_timeout_ms.and_then(millis),
            max_connection_duration: cluster.max_lifetime_ms.and_then(millis),
            ..Default::default()
        }),
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(
            ExplicitHttpConfig { protocol_config: Some(protocol) },
        )),
        ..Default::default()
    })
}

/// Spelling of header names, for both sides of the proxy.
pub(super) fn header_key_format(
    case: &HeaderCase,
) -> Option<core::http1_protocol_options::HeaderKeyFormat> {
    use core::http1_protocol_options::HeaderKeyFormat;
    use core::http1_protocol_options::header_key_format::{HeaderFormat, ProperCaseWords};
    use envoy_types::pb::envoy::extensions::http::header_formatters::preserve_case::v3 as keep;
    let format = match case {
        HeaderCase::Lower => return None,
        HeaderCase::Proper => HeaderFormat::ProperCaseWords(ProperCaseWords {}),
        // Stock Envoy has no table of spellings; keeping what the peer sent is
        // the nearest it can do.
        HeaderCase::Custom(_) => HeaderFormat::StatefulFormatter(core::TypedExtensionConfig {
            name: "envoy.http.stateful_header_formatters.preserve_case".to_owned(),
            typed_config: Some(any(&keep::PreserveCaseFormatterConfig::default())),
        }),
    };
    Some(HeaderKeyFormat { header_format: Some(format) })
}

fn health_check(check: &HealthCheck, cluster: &Cluster) -> core::HealthCheck {
    use core::health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck};
    use envoy_types::pb::envoy::r#type::v3::{CodecClientType, Int64Range};
    let checker = match &check.probe {
        Probe::Http { path, host, add, remove, expected } => {
            HealthChecker::HttpHealthCheck(HttpHealthCheck {
                host: host.clone(),
                path: path.clone(),
                request_headers_to_add: add
                    .iter()
                    .map(|(name, value, append)| header(name, value, *append))
                    .collect(),
                request_headers_to_remove: remove.clone(),
                expected_statuses: expected
                    .iter()
                    .map(|(first, last)| Int64Range {
                        start: i64::from(*first),
                        end: i64::from(*last) + 1,
                    })
                    .collect(),
                codec_client_type: if cluster.http2 {
                    CodecClientType::Http2 as i32
                } else {
                    CodecClientType::Http1 as i32
                },
                ..Default::default()
            })
        }
        Probe::Grpc { service, authority } => HealthChecker::GrpcHealthCheck(GrpcHealthCheck {
            service_name: service.clone(),
            authority: authority.clone(),
            ..Default::default()
        }),
    };
    core::HealthCheck {
        timeout: millis(check.timeout_ms),
        interval: millis(check.interval_ms),
        healthy_threshold: u32_value(check.healthy),
        unhealthy_threshold: u32_value(check.unhealthy),
        // Envoy's default is a minute: an idle cluster would learn of a sick
        // endpoint that late.
        no_traffic_interval: millis(check.interval_ms),
        reuse_connection: bool_value(true),
        health_checker: Some(checker),
        ..Default::default()
    }
}

fn header(name: &str, value: &str, append: bool) -> core::HeaderValueOption {
    use core::header_value_option::HeaderAppendAction;
    core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            ..Default::default()
        }),
        append_action: if append {
            HeaderAppendAction::AppendIfExistsOrAdd as i32
        } else {
            HeaderAppendAction::OverwriteIfExistsOrAdd as i32
        },
        ..Default::default()
    }
}
