//! The rate-limit service.

use nuncio_api::{Kind, Spec};

use super::{Plugin, built_in, built_in_source, only, spec_of};
use crate::ir::http::RateLimit;
use crate::ir::input::Input;
use crate::ir::item::Item;
use crate::ir::notes::Notes;
use crate::ir::stage::Stage;

const TIMEOUT_MS: u64 = 20;
/// The service's own deadline for its counters is 500 ms; a first request also
/// has to connect.
const BUILT_IN_TIMEOUT_MS: u64 = 1000;

/// Emits the filter; without a RateLimitService object it is ours where
/// RateLimits exist.
pub(super) fn emit(input: &Input<'_>, stage: &Stage, notes: &mut Notes) -> Option<RateLimit> {
    let items: Vec<&Item> = input.of(Kind::RateLimitService).collect();
    if items.is_empty() {
        return implied(input, stage, notes);
    }
    let item = only(&items, notes, "duplicate-rate-limit-service", "RateLimitService")?;
    let spec = spec_of(item, |spec| match spec {
        Spec::RateLimitService(spec) => Some(&**spec),
        _ => None,
    })?;
    if spec.protocol_version.as_deref() != Some("v3") {
        notes.findings.push(item.error(
            "protocol-version",
            "spec.protocol_version",
            "only protocol version v3 is served; requests pass unlimited",
            "write protocol_version: v3",
        ));
        return None;
    }
    let plugin = Plugin {
        item,
        marker: "ratelimit",
        field: "spec.service",
        service: &spec.service,
        tls: spec.tls.as_deref(),
        stats_name: spec.stats_name.as_deref(),
        http2: true,
    };
    let plugged = plugin.target(input, stage, notes)?;
    Some(RateLimit {
        cluster: notes.clusters.add(plugged.target, &item.id.source),
        domain: spec.domain.clone().unwrap_or_else(|| stage.defaults.label_domain.clone()),
        timeout_ms: spec.timeout_ms.unwrap_or(TIMEOUT_MS),
        failure_mode_deny: spec.failure_mode_deny.unwrap_or(false),
        resource_exhausted: spec
            .grpc
            .as_ref()
            .and_then(|grpc| grpc.use_resource_exhausted_code)
            .unwrap_or(false),
    })
}

fn implied(input: &Input<'_>, stage: &Stage, notes: &mut Notes) -> Option<RateLimit> {
    if !input.any(Kind::RateLimit) || input.any_broken(Kind::RateLimitService) {
        return None;
    }
    let address = input.settings.rate_limit.as_ref()?;
    let source = built_in_source(Kind::RateLimitService, &stage.namespace);
    Some(RateLimit {
        cluster: notes.clusters.add(built_in("rate_limit", address, true), &source),
        domain: stage.defaults.label_domain.clone(),
        timeout_ms: BUILT_IN_TIMEOUT_MS,
        failure_mode_deny: false,
        resource_exhausted: false,
    })
}
