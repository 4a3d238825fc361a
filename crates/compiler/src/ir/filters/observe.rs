//! Access logs and tracing.

use std::collections::BTreeSet;

use nuncio_api as api;
use nuncio_api::{Kind, LogDriver, Spec, TracingDriver};
use serde_json::{Map, Value};

use super::{Plugin, only, spec_of};
use crate::ir::http::{AccessLog, LogFormat, Provider, Tag, Tracing};
use crate::ir::input::Input;
use crate::ir::item::Item;
use crate::ir::notes::Notes;
use crate::ir::stage::Stage;

const LOG_PATH: &str = "/dev/fd/1";
/// Emissary's own line.
const TEXT_FORMAT: &str = "ACCESS [%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";
const JSON_FORMAT: [(&str, &str); 22] = [
    ("start_time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("istio_policy_status", "%DYNAMIC_METADATA(istio.mixer:status)%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];
const FLUSH_SECONDS: u64 = 1;
const BUFFER_BYTES: u32 = 16_384;

/// Access logs in order: log services, then the file.
pub(super) fn access_logs(
    input: &Input<'_>,
    module: &api::AmbassadorModule,
    stage: &Stage,
    notes: &mut Notes,
) -> Vec<AccessLog> {
    let mut logs = Vec::new();
    let mut names = BTreeSet::new();
    for item in input.of(Kind::LogService) {
        let Spec::LogService(spec) = &item.object.spec else { continue };
        if !names.insert(item.name().to_owned()) {
            notes.findings.push(item.error(
                "duplicate-log-service",
                "metadata.name",
                "another LogService has this name; this one is not in effect",
                "rename one of them",
            ));
            continue;
        }
        logs.extend(log_service(item, spec, input, stage, notes));
    }
    let datadog = input.of(Kind::TracingService).any(|item| {
        matches!(&item.object.spec,
            Spec::TracingService(spec) if spec.driver == Some(TracingDriver::Datadog))
    });
    logs.push(AccessLog::File {
        path: module.envoy_log_path.clone().unwrap_or_else(|| LOG_PATH.to_owned()),
        format: format(module, datadog),
    });
    logs
}

fn format(module: &api::AmbassadorModule, datadog: bool) -> LogFormat {
    let given = module.envoy_log_format.as_ref();
    let map = || match given {
        Some(Value::Object(map)) => map.clone(),
        _ => {
            let mut map: Map<String, Value> = JSON_FORMAT
                .iter()
                .map(|(key, format)| ((*key).to_owned(), Value::from(*format)))
                .collect();
            if datadog {
                map.insert("dd.trace_id".into(), "%REQ(X-DATADOG-TRACE-ID)%".into());
                map.insert("dd.span_id".into(), "%REQ(X-DATADOG-PARENT-ID)%".into());
            }
            map
        }
    };
    match module.envoy_log_type.as_deref() {
        Some("json") => LogFormat::Json(map()),
        Some("typed_json") => LogFormat::TypedJson(map()),
        _ => {
            let text = given.and_then(Value::as_str).unwrap_or(TEXT_FORMAT);
            LogFormat::Text(format!("{text}\n"))
        }
    }
}

fn log_service(
    item: &Item,
    spec: &api::LogService,
    input: &Input<'_>,
    stage: &Stage,
    notes: &mut Notes,
) -> Option<AccessLog> {
    if spec.protocol_version.as_deref() != Some("v3") {
        notes.findings.push(item.error(
            "protocol-version",
            "spec.protocol_version",
            "only protocol version v3 is served; the log sink gets nothing",
            "write protocol_version: v3",
        ));
        return None;
    }
    let plugin = Plugin {
        item,
        marker: "logging",
        field: "spec.service",
        service: &spec.service,
        tls: None,
        stats_name: spec.stats_name.as_deref(),
        // A gRPC sink speaks HTTP/2, said or not.
        http2: true,
    };
    let plugged = plugin.target(input, stage, notes)?;
    let headers = spec.driver_config.as_ref().map(|config| &config.additional_log_headers);
    let headers = |during: fn(&api::LogHeader) -> Option<bool>| -> Vec<String> {
        headers
            .into_iter()
            .flatten()
            .filter(|header| during(header).unwrap_or(true) && !header.header_name.is_empty())
            .map(|header| header.header_name.to_ascii_lowercase())
            .collect()
    };
    Some(AccessLog::Grpc {
        name: item.name().to_owned(),
        cluster: notes.clusters.add(plugged.target, &item.id.source),
        tcp: spec.driver == Some(LogDriver::Tcp),
        flush_ms: spec.flush_interval_time.unwrap_or(FLUSH_SECONDS).max(1).saturating_mul(1000),
        buffer_bytes: spec.flush_interval_byte_size.unwrap_or(BUFFER_BYTES),
        request_headers: headers(|header| header.during_request),
        response_headers: headers(|header| header.during_response),
        response_trailers: headers(|header| header.during_trailer),
    })
}

/// Tracing of every listener, from the one TracingService.
pub(super) fn tracing(input: &Input<'_>, stage: &Stage, notes: &mut Notes) -> Option<Tracing> {
    let items: Vec<&Item> = input.of(Kind::TracingService).collect();
    let item = only(&items, notes, "duplicate-tracing-service", "TracingService")?;
    let spec = spec_of(item, |spec| match spec {
        Spec::TracingService(spec) => Some(&**spec),
        _ => None,
    })?;
    let driver = match spec.driver {
        Some(TracingDriver::Lightstep) | None => {
            notes.findings.push(item.error(
                "unsupported-tracing-driver",
                "spec.driver",
                "this tracing driver is not supported; nothing is traced",
                "use zipkin, datadog or opentelemetry",
            ));
            return None;
        }
        Some(driver) => driver,
    };
    let plugin = Plugin {
        item,
        marker: "tracing",
        field: "spec.service",
        service: &spec.service,
        tls: None,
        stats_name: spec.stats_name.as_deref(),
        http2: driver == TracingDriver::Opentelemetry,
    };
    let plugged = plugin.target(input, stage, notes)?;
    let authority = plugged.uri.split("://").nth(1).unwrap_or_default().to_owned();
    let cluster = notes.clusters.add(plugged.target, &item.id.source);
    let config = spec.config.clone().unwrap_or_default();
    let service_name = config.service_name.clone().unwrap_or_else(|| "ambassador".to_owned());
    let provider = match driver {
        TracingDriver::Datadog => Provider::Datadog { cluster, service_name },
        TracingDriver::Opentelemetry => Provider::OpenTelemetry { cluster, service_name },
        _ => Provider::Zipkin {
            cluster,
            endpoint: config.collector_endpoint.unwrap_or_else(|| "/api/v2/spans".to_owned()),
            proto: config.collector_endpoint_version.as_deref() == Some("HTTP_PROTO"),
            trace_id_128bit: config.trace_id_128bit.unwrap_or(true),
            shared_span_context: config.shared_span_context,
            hostname: config.collector_hostname.unwrap_or(authority),
        },
    };
    let sampling = spec.sampling.clone().unwrap_or_default();
    let percent = |value: Option<u32>| value.map(|value| value.min(100));
    Some(Tracing {
        provider,
        client: percent(sampling.client),
        random: percent(sampling.random),
        overall: percent(sampling.overall),
        tags: tags(spec),
    })
}

fn tags(spec: &api::TracingService) -> Vec<(String, Tag)> {
    let mut tags: Vec<(String, Tag)> = Vec::new();
    for tag in spec.custom_tags.iter().filter(|tag| !tag.tag.is_empty()) {
        let value = match (&tag.literal, &tag.environment, &tag.request_header) {
            (Some(literal), ..) if !literal.value.is_empty() => Tag::Literal(literal.value.clone()),
            (_, Some(source), _) if !source.name.is_empty() => Tag::Environment {
                name: source.name.clone(),
                default: source.default_value.clone().unwrap_or_default(),
            },
            (_, _, Some(source)) if !source.name.is_empty() => Tag::RequestHeader {
                name: source.name.clone(),
                default: source.default_value.clone().unwrap_or_default(),
            },
            _ => continue,
        };
        tags.push((tag.tag.clone(), value));
    }
    if spec.custom_tags.is_empty() {
        tags.extend(spec.tag_headers.iter().filter(|name| !name.is_empty()).map(|name| {
            (name.clone(), Tag::RequestHeader { name: name.clone(), default: String::new() })
        }));
    }
    tags
}
