//! Compression of responses, as the Module `ambassador` sets it.
//!
//! A client that accepts several encodings alike gets brotli where that is set,
//! else zstd where that is; one that does not accept it gets what it names
//! first.

use serde::{Deserialize, Serialize};

use crate::common::{non_empty, one_or_many};

/// Compression by gzip. Source: Envoy `Gzip` and `Compressor`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gzip {
    /// zlib memory level, 1–9. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_level: Option<u32>,
    /// Shortest body to compress, in bytes. Default: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_content_length: Option<u32>,
    /// `BEST`, `SPEED` or `DEFAULT`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub compression_level: Option<String>,
    /// `FILTERED`, `HUFFMAN`, `RLE` or `DEFAULT`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub compression_strategy: Option<String>,
    /// zlib window bits, 9–15. Default: 12.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_bits: Option<u32>,
    /// Content types to compress. Default: Envoy's.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub content_type: Vec<String>,
    /// Do not compress responses with an `etag`. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_on_etag_header: Option<bool>,
    /// Hide `accept-encoding` from services. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_accept_encoding_header: Option<bool>,
}

/// Compression by brotli. Source: Envoy `Brotli` and `Compressor`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Brotli {
    /// Effort, 0–11. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<u32>,
    /// What is compressed: `GENERIC`, `TEXT`, `FONT` or `DEFAULT`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub encoder_mode: Option<String>,
    /// Size of the window, 10–24 bits. Default: 18.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_bits: Option<u32>,
    /// Shortest body to compress, in bytes. Default: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_content_length: Option<u32>,
    /// Content types to compress. Default: Envoy's.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub content_type: Vec<String>,
    /// Do not compress responses with an `etag`. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_on_etag_header: Option<bool>,
    /// Hide `accept-encoding` from services. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_accept_encoding_header: Option<bool>,
}

/// Compression by zstd. Source: Envoy `Zstd` and `Compressor`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Zstd {
    /// Effort, 1–22. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_level: Option<u32>,
    /// `FAST`, `DFAST`, `GREEDY`, `LAZY`, `LAZY2`, `BTLAZY2`, `BTOPT`,
    /// `BTULTRA`, `BTULTRA2` or `DEFAULT`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Write a checksum behind the body. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_checksum: Option<bool>,
    /// Shortest body to compress, in bytes. Default: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_content_length: Option<u32>,
    /// Content types to compress. Default: Envoy's.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub content_type: Vec<String>,
    /// Do not compress responses with an `etag`. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_on_etag_header: Option<bool>,
    /// Hide `accept-encoding` from services. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_accept_encoding_header: Option<bool>,
}
