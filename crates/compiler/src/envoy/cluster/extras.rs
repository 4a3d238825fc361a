//! What few clusters have, as generated messages.

use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as upstream;
use nuncio_api::{BreakerPriority, DurationText, OutlierDetection};

use super::super::{any, bool_value, millis, u32_value};
use crate::ir::cluster::{Breaker, Cluster, HeaderCase, HealthCheck, Keepalive, Probe};
use crate::ir::upstream::millis as upstream_millis;

pub(super) fn breakers(breakers: &[Breaker]) -> Option<pb::CircuitBreakers> {
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

pub(super) fn outlier_detection(given: &OutlierDetection) -> pb::OutlierDetection {
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

pub(super) fn keepalive(keepalive: &Keepalive) -> pb::UpstreamConnectionOptions {
    pb::UpstreamConnectionOptions {
        tcp_keepalive: Some(core::TcpKeepalive {
            keepalive_probes: keepalive.probes.and_then(u32_value),
            keepalive_time: keepalive.time.and_then(u32_value),
            keepalive_interval: keepalive.interval.and_then(u32_value),
        }),
        ..Default::default()
    }
}

pub(super) fn http_options(cluster: &Cluster) -> Option<upstream::HttpProtocolOptions> {
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
pub(in super::super) fn header_key_format(
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

pub(super) fn health_check(check: &HealthCheck, cluster: &Cluster) -> core::HealthCheck {
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
