//! Compression filters. Those of one chain agree among themselves which of them
//! answers a request.

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::compression::brotli::compressor::v3::Brotli;
use envoy_types::pb::envoy::extensions::compression::gzip::compressor::v3::Gzip;
use envoy_types::pb::envoy::extensions::compression::zstd::compressor::v3::Zstd;
use envoy_types::pb::envoy::extensions::filters::http::compressor::v3 as pb;
use envoy_types::pb::google::protobuf::Any;

use super::{any, u32_value};
use crate::ir::http::{Compressor, Encoding};

/// Emits name and configuration of a filter.
#[allow(deprecated, reason = "its successor is unknown to the oldest Envoy served")]
pub(super) fn emit(settings: &Compressor) -> (&'static str, Any) {
    use pb::compressor::{CommonDirectionConfig, ResponseDirectionConfig};
    let (filter, name, library) = library(&settings.encoding);
    let config = any(&pb::Compressor {
        compressor_library: Some(TypedExtensionConfig {
            name: name.to_owned(),
            typed_config: Some(library),
        }),
        choose_first: settings.preferred,
        response_direction_config: Some(ResponseDirectionConfig {
            common_config: Some(CommonDirectionConfig {
                min_content_length: settings.min_content_length.and_then(u32_value),
                content_type: settings.content_types.clone(),
                ..Default::default()
            }),
            disable_on_etag_header: settings.disable_on_etag_header,
            remove_accept_encoding_header: settings.remove_accept_encoding_header,
            ..Default::default()
        }),
        ..Default::default()
    });
    (filter, config)
}

fn library(encoding: &Encoding) -> (&'static str, &'static str, Any) {
    match encoding {
        Encoding::Gzip { memory_level, level, strategy, window_bits } => (
            // Source: Emissary.
            "envoy.filters.http.gzip",
            "envoy.compression.gzip.compressor",
            any(&Gzip {
                memory_level: memory_level.and_then(u32_value),
                compression_level: *level,
                compression_strategy: *strategy,
                window_bits: window_bits.and_then(u32_value),
                ..Default::default()
            }),
        ),
        Encoding::Brotli { quality, mode, window_bits } => (
            "envoy.filters.http.brotli",
            "envoy.compression.brotli.compressor",
            any(&Brotli {
                quality: quality.and_then(u32_value),
                encoder_mode: *mode,
                window_bits: window_bits.and_then(u32_value),
                ..Default::default()
            }),
        ),
        Encoding::Zstd { level, strategy, checksum } => (
            "envoy.filters.http.zstd",
            "envoy.compression.zstd.compressor",
            any(&Zstd {
                compression_level: level.and_then(u32_value),
                enable_checksum: *checksum,
                strategy: *strategy,
                ..Default::default()
            }),
        ),
    }
}
