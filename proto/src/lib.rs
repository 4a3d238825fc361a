//! Nuncio's own protobuf messages. Envoy's messages come from `envoy-types`
//! and are never declared again here.

/// Descriptors of these messages: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// Filters and policies as the auth service receives them.
pub mod auth {
    #[allow(missing_docs, clippy::all, reason = "generated; documented in the .proto file")]
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("nuncio.auth.v1");
    }
}

/// Limits beyond envoyproxy/ratelimit's own configuration.
pub mod ratelimit {
    #[allow(missing_docs, clippy::all, reason = "generated; documented in the .proto file")]
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("nuncio.ratelimit.v1");
    }
}
