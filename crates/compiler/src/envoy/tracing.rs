//! Tracing, per listener, so that changing it restarts nothing.

use envoy_types::pb::envoy::config::trace::v3 as trace;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager as manager;
use envoy_types::pb::envoy::r#type::tracing::v3 as tag;
use envoy_types::pb::envoy::r#type::v3::Percent;

use super::{any, bool_value, grpc_service};
use crate::ir::http::{Provider, Tag, Tracing};

/// Emits the tracing block of a connection manager.
pub(super) fn emit(tracing: &Tracing) -> manager::Tracing {
    let percent = |value: Option<u32>| value.map(|value| Percent { value: f64::from(value) });
    manager::Tracing {
        client_sampling: percent(tracing.client),
        random_sampling: percent(tracing.random),
        overall_sampling: percent(tracing.overall),
        custom_tags: tracing.tags.iter().map(|(name, value)| custom_tag(name, value)).collect(),
        provider: Some(provider(&tracing.provider)),
        spawn_upstream_span: bool_value(true),
        ..Default::default()
    }
}

fn provider(provider: &Provider) -> trace::tracing::Http {
    use trace::zipkin_config::CollectorEndpointVersion;
    let (name, config) = match provider {
        Provider::Zipkin {
            cluster,
            endpoint,
            proto,
            trace_id_128bit,
            shared_span_context,
            hostname,
        } => {
            let version = if *proto {
                CollectorEndpointVersion::HttpProto
            } else {
                CollectorEndpointVersion::HttpJson
            };
            let config = trace::ZipkinConfig {
                collector_cluster: cluster.to_string(),
                collector_endpoint: endpoint.clone(),
                trace_id_128bit: *trace_id_128bit,
                shared_span_context: shared_span_context.and_then(bool_value),
                collector_endpoint_version: version as i32,
                collector_hostname: hostname.clone(),
                ..Default::default()
            };
            ("envoy.tracers.zipkin", any(&config))
        }
        Provider::Datadog { cluster, service_name } => (
            "envoy.tracers.datadog",
            any(&trace::DatadogConfig {
                collector_cluster: cluster.to_string(),
                service_name: service_name.clone(),
                ..Default::default()
            }),
        ),
        Provider::OpenTelemetry { cluster, service_name } => (
            "envoy.tracers.opentelemetry",
            any(&trace::OpenTelemetryConfig {
                grpc_service: Some(grpc_service(cluster, 250)),
                service_name: service_name.clone(),
                ..Default::default()
            }),
        ),
    };
    trace::tracing::Http {
        name: name.to_owned(),
        config_type: Some(trace::tracing::http::ConfigType::TypedConfig(config)),
    }
}

fn custom_tag(name: &str, value: &Tag) -> tag::CustomTag {
    use tag::custom_tag::{Environment, Header, Literal, Type};
    let kind = match value {
        Tag::Literal(value) => Type::Literal(Literal { value: value.clone() }),
        Tag::Environment { name, default } => {
            Type::Environment(Environment { name: name.clone(), default_value: default.clone() })
        }
        Tag::RequestHeader { name, default } => {
            Type::RequestHeader(Header { name: name.clone(), default_value: default.clone() })
        }
    };
    tag::CustomTag { tag: name.to_owned(), r#type: Some(kind) }
}
