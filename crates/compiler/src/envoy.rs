//! Intermediate form to Envoy messages.
//!
//! Each file emits one family of messages and reads only [`crate::ir`].
//! `HashMap` fields of the generated messages are never filled with more than
//! one entry: their encoding order is random. Where Envoy wants several, the
//! entries are encoded here, sorted, and appended: fields of a protobuf
//! message may come in any order.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration, UInt32Value};
use prost::{Message, Name};

pub(crate) mod access_log;
pub(crate) mod cluster;
mod compressor;
pub(crate) mod endpoint;
pub(crate) mod error_response;
mod header;
pub(crate) mod http_filter;
pub(crate) mod limits;
pub(crate) mod listener;
mod local_reply;
pub(crate) mod manager;
pub(crate) mod policy;
pub(crate) mod route;
pub mod route_index;
pub(crate) mod secret;
pub(crate) mod tls;
pub(crate) mod tracing;
pub(crate) mod virtual_host;
mod wire;

/// One entry of a `map<string, Any>` field, ready to append to a message.
#[derive(Clone, PartialEq, Message)]
struct AnyEntry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

/// One entry of a `map<string, string>` field.
#[derive(Clone, PartialEq, Message)]
struct TextEntry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Appends `message` as field `tag` of the message whose encoding `out` holds.
pub(crate) fn append_message<M: Message>(tag: u32, message: &M, out: &mut Vec<u8>) {
    prost::encoding::message::encode(tag, message, out);
}

/// Appends already encoded bytes as the message field `tag`.
pub(crate) fn append_encoded(tag: u32, encoded: &[u8], out: &mut Vec<u8>) {
    wire::head(tag, encoded.len(), out);
    out.extend_from_slice(encoded);
}

/// Appends milliseconds as the field `tag`, which is a duration.
fn append_millis(tag: u32, ms: u64, out: &mut Vec<u8>) {
    millis(ms).iter().for_each(|duration| append_message(tag, duration, out));
}

/// Appends the entries of a `map<string, Any>` field, in the given order.
fn append_any_map(tag: u32, entries: Vec<(&str, Any)>, out: &mut Vec<u8>) {
    for (key, value) in entries {
        append_message(tag, &AnyEntry { key: key.to_owned(), value: Some(value) }, out);
    }
}

/// Appends the entries of a `map<string, string>` field, sorted.
fn append_text_map(tag: u32, entries: &BTreeMap<String, String>, out: &mut Vec<u8>) {
    for (key, value) in entries {
        append_message(tag, &TextEntry { key: key.clone(), value: value.clone() }, out);
    }
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// An `Any` of a message whose maps were appended by hand.
fn any_encoded<M: Name>(encoded: Vec<u8>) -> Any {
    Any { type_url: M::type_url(), value: encoded }
}

fn bool_value(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

fn u32_value(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

fn millis(ms: u64) -> Option<Duration> {
    // Envoy refuses durations beyond about 292 years; 100 years is "never".
    const LIMIT_MS: u64 = 100 * 365 * 24 * 3600 * 1000;
    let ms = ms.min(LIMIT_MS);
    Some(Duration {
        seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(ms % 1000).unwrap_or(0) * 1_000_000,
    })
}

/// Configuration source: the stream that this resource came by.
fn ads() -> Option<core::ConfigSource> {
    Some(core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource {},
        )),
        ..Default::default()
    })
}

fn socket_address(host: &str, port: u16, udp: bool) -> core::Address {
    let protocol =
        if udp { core::socket_address::Protocol::Udp } else { core::socket_address::Protocol::Tcp };
    core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            protocol: protocol as i32,
            address: host.to_owned(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
            ..Default::default()
        })),
    }
}

fn grpc_service(cluster: &str, timeout_ms: u64) -> core::GrpcService {
    core::GrpcService {
        timeout: millis(timeout_ms),
        target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(
            core::grpc_service::EnvoyGrpc {
                cluster_name: cluster.to_owned(),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}
