//! What a compiler made, for Envoy to judge and to serve.

use std::sync::Arc;

use nuncio_compiler::Resource;
use nuncio_testing::snapshot::{self, Snapshot};

/// Decodes resources for a bootstrap that holds them in itself.
pub(crate) fn decode(resources: &[Arc<Resource>]) -> anyhow::Result<Snapshot> {
    Snapshot::of(resources.iter().map(|it| (it.name.type_url.as_str(), it.bytes.to_bytes())))
}

/// Asks Envoy whether it takes the resources.
///
/// # Errors
/// When it does not; the error holds what it says.
pub(crate) fn validate(resources: &[Arc<Resource>]) -> anyhow::Result<()> {
    snapshot::validate(&decode(resources)?.bootstrap()?)
}
