//! Access logs.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::accesslog::v3 as pb;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::file_access_log;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3 as grpc;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;
use serde_json::Value as Json;

use super::{any, any_encoded, append_message, grpc_service, millis, u32_value};
use crate::ir::http::{AccessLog, LogFormat};

/// `FileAccessLog.json_format` and `FileAccessLog.typed_json_format`.
const JSON_FORMAT: u32 = 3;
const TYPED_JSON_FORMAT: u32 = 4;

/// `google.protobuf.Struct` with sorted fields.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    fields: BTreeMap<String, Value>,
}

/// `google.protobuf.ListValue`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct List {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Kind {
    #[prost(int32, tag = "1")]
    Null(i32),
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
    #[prost(message, tag = "5")]
    Struct(Struct),
    #[prost(message, tag = "6")]
    List(List),
}

/// Emits one access log.
pub(super) fn emit(log: &AccessLog) -> pb::AccessLog {
    let (name, config) = match log {
        AccessLog::File { path, format } => ("envoy.access_loggers.file", file(path, format)),
        AccessLog::Grpc {
            name,
            cluster,
            tcp,
            flush_ms,
            buffer_bytes,
            request_headers,
            response_headers,
            response_trailers,
        } => {
            let common = grpc::CommonGrpcAccessLogConfig {
                log_name: name.clone(),
                grpc_service: Some(core::GrpcService { timeout: None, ..grpc_service(cluster, 0) }),
                transport_api_version: core::ApiVersion::V3 as i32,
                buffer_flush_interval: millis(*flush_ms),
                buffer_size_bytes: u32_value(*buffer_bytes),
                ..Default::default()
            };
            if *tcp {
                let config = grpc::TcpGrpcAccessLogConfig { common_config: Some(common) };
                ("envoy.access_loggers.tcp_grpc", any(&config))
            } else {
                let config = grpc::HttpGrpcAccessLogConfig {
                    common_config: Some(common),
                    additional_request_headers_to_log: request_headers.clone(),
                    additional_response_headers_to_log: response_headers.clone(),
                    additional_response_trailers_to_log: response_trailers.clone(),
                };
                ("envoy.access_loggers.http_grpc", any(&config))
            }
        }
    };
    pb::AccessLog {
        name: name.to_owned(),
        config_type: Some(pb::access_log::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}

fn file(path: &str, format: &LogFormat) -> Any {
    let mut log = FileAccessLog { path: path.to_owned(), ..Default::default() };
    let (tag, map) = match format {
        LogFormat::Text(text) => {
            log.access_log_format =
                Some(file_access_log::AccessLogFormat::LogFormat(core::SubstitutionFormatString {
                    format: Some(core::substitution_format_string::Format::TextFormatSource(
                        core::DataSource {
                            specifier: Some(core::data_source::Specifier::InlineString(
                                text.clone(),
                            )),
                            ..Default::default()
                        },
                    )),
                    ..Default::default()
                }));
            return any(&log);
        }
        LogFormat::Json(map) => (JSON_FORMAT, map),
        LogFormat::TypedJson(map) => (TYPED_JSON_FORMAT, map),
    };
    let mut encoded = log.encode_to_vec();
    append_message(tag, &structure(map), &mut encoded);
    any_encoded::<FileAccessLog>(encoded)
}

pub(super) fn structure(map: &serde_json::Map<String, Json>) -> Struct {
    Struct { fields: map.iter().map(|(key, json)| (key.clone(), value(json))).collect() }
}

fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::Null(0),
        Json::Bool(flag) => Kind::Bool(*flag),
        Json::Number(number) => Kind::Number(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::Text(text.clone()),
        Json::Array(items) => Kind::List(List { values: items.iter().map(value).collect() }),
        Json::Object(map) => Kind::Struct(structure(map)),
    };
    Value { kind: Some(kind) }
}
