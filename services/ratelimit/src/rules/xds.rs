//! Limits from a control plane, as envoyproxy/ratelimit's messages, with what
//! RateLimit objects say beyond them in the same bytes.

use bytes::Bytes;
use envoy_types::pb::ratelimit::config::ratelimit::v3 as pb;
use nuncio_limits::config::{
    DescriptorConfig, DomainConfig, ErrorResponse, HeaderTemplate, Label, PatternLimit, RateLimit,
};
use nuncio_limits::{Table, Unit};
use nuncio_process::xds_client::{
    Options, OptionsError, Protocol, Resources, TypeUrl, Want, subscribe,
};
use nuncio_process::{Context, chain};
use nuncio_proto::ratelimit::v1 as overlay;
use prost::Message as _;

use super::Live;
use crate::settings::{ConfigType, RuleSource};
use crate::wire::json_of_struct;

/// Type of the resources.
pub(crate) const TYPE_URL: &str =
    "type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig";

/// The fleet that the control plane knows rate-limit services as.
const CLUSTER: &str = "ratelimit";

/// Subscribes to limits and keeps them in force, as owned tasks. The service
/// stays unready until the control plane has answered once.
///
/// # Errors
/// When the control plane's address is none.
pub(crate) fn start(
    context: &Context,
    live: Live,
    source: &RuleSource,
) -> Result<(), OptionsError> {
    let mut options = Options::new(&source.xds_server, &source.xds_node_id, CLUSTER);
    options.protocol = match source.config_type {
        ConfigType::GrpcXdsSotw => Protocol::Sotw,
        _ => Protocol::Delta,
    };
    let wants = [(TypeUrl::from(TYPE_URL), Want::All)];
    let mut resources = subscribe(context, options, wants, |_, name, bytes| {
        let config = decode(name, bytes)?;
        // Faults within one resource are refused to the control plane.
        match Table::build(std::slice::from_ref(&config), true) {
            Ok(_) => Ok(config),
            Err(error) => Err(error.to_string()),
        }
    })?;
    let drain = context.drain.clone();
    let first = context.ready.guard("limits");
    context.tasks.spawn("limits-xds", async move {
        let mut first = Some(first);
        loop {
            let present = resources.borrow_and_update().clone();
            if present.answered {
                apply(&live, &present);
                first.take();
            }
            tokio::select! {
                // First: a drain also ends the subscription, which is no fault.
                biased;
                () = drain.stopping() => return Ok(()),
                changed = resources.changed() => changed?,
            }
        }
    });
    Ok(())
}

/// Puts the resources in force. One that contradicts an earlier one, by name,
/// is left out; the rest proceed.
fn apply(live: &Live, resources: &Resources<DomainConfig>) {
    let type_url = TypeUrl::from(TYPE_URL);
    let mut configs: Vec<DomainConfig> =
        resources.of(&type_url).map(|(_, config)| config.as_ref().clone()).collect();
    while let Err(error) = live.replace(&configs, true) {
        tracing::error!(error = chain(&error), "limits left out");
        let count = configs.len();
        configs.retain(|config| config.source != error.source_name);
        if configs.len() == count {
            return;
        }
    }
}

/// Decodes one resource: the message itself, and the overlay from the same
/// bytes. Limits of the overlay replace the message's descriptors.
///
/// # Errors
/// A text that says what cannot be used.
pub(crate) fn decode(name: &str, bytes: &Bytes) -> Result<DomainConfig, String> {
    let message = pb::RateLimitConfig::decode(bytes.as_ref())
        .map_err(|error| format!("{name}: not a RateLimitConfig: {error}"))?;
    let overlay = overlay::RateLimitConfigOverlay::decode(bytes.as_ref())
        .map_err(|error| format!("{name}: not a RateLimitConfigOverlay: {error}"))?;
    let limits: Vec<PatternLimit> = overlay.limits.into_iter().map(pattern_limit).collect();
    let descriptors = if limits.is_empty() {
        let descriptors = message.descriptors.into_iter().map(|d| descriptor(name, d));
        descriptors.collect::<Result<_, _>>()?
    } else {
        Vec::new()
    };
    Ok(DomainConfig { source: name.to_owned(), domain: message.domain, descriptors, limits })
}

fn descriptor(name: &str, message: pb::RateLimitDescriptor) -> Result<DescriptorConfig, String> {
    let rate_limit = message
        .rate_limit
        .map(|policy| {
            rate_limit(policy).map_err(|fault| format!("{name}: {}: {fault}", message.key))
        })
        .transpose()?;
    let below = message.descriptors.into_iter().map(|below| descriptor(name, below));
    Ok(DescriptorConfig {
        descriptors: below.collect::<Result<_, _>>()?,
        key: message.key,
        value: message.value,
        rate_limit,
        shadow_mode: message.shadow_mode,
        quota_mode: message.quota_mode,
        detailed_metric: message.detailed_metric,
        value_to_metric: false,
        share_threshold: false,
        metadata: message.metadata.map(json_of_struct),
    })
}

fn rate_limit(policy: pb::RateLimitPolicy) -> Result<RateLimit, String> {
    let unit = match pb::RateLimitUnit::try_from(policy.unit) {
        Ok(pb::RateLimitUnit::Unknown) => None,
        Ok(unit) => Unit::parse(unit.as_str_name()),
        Err(_unknown) => return Err(format!("invalid rate limit unit {}", policy.unit)),
    };
    Ok(RateLimit {
        unit,
        requests_per_unit: policy.requests_per_unit,
        unlimited: policy.unlimited,
        name: policy.name,
        replaces: policy.replaces.into_iter().map(|replaced| replaced.name).collect(),
    })
}

fn pattern_limit(limit: overlay::Limit) -> PatternLimit {
    let label = |label: overlay::Label| Label { key: label.key, value: label.value };
    let pattern = |pattern: overlay::Pattern| {
        let positions = pattern.labels.into_iter();
        positions.map(|labels| labels.any_of.into_iter().map(label).collect()).collect()
    };
    PatternLimit {
        name: limit.name,
        patterns: limit.patterns.into_iter().map(pattern).collect(),
        rate: limit.rate,
        unit_seconds: limit.unit_seconds,
        log_only: limit.log_only,
        burst_factor: limit.burst_factor,
        request_headers: headers(limit.inject_request_headers),
        response_headers: headers(limit.inject_response_headers),
        error_response: limit.error_response.map(|response| ErrorResponse {
            headers: headers(response.headers),
            body_template: response.body_template,
        }),
    }
}

fn headers(headers: Vec<overlay::Header>) -> Vec<HeaderTemplate> {
    let header =
        |header: overlay::Header| HeaderTemplate { name: header.name, value: header.value };
    headers.into_iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> pb::RateLimitConfig {
        pb::RateLimitConfig {
            name: "r".into(),
            domain: "d".into(),
            descriptors: vec![pb::RateLimitDescriptor {
                key: "k".into(),
                rate_limit: Some(pb::RateLimitPolicy {
                    unit: pb::RateLimitUnit::Week.into(),
                    requests_per_unit: 7,
                    ..Default::default()
                }),
                shadow_mode: true,
                ..Default::default()
            }],
        }
    }

    #[test]
    fn a_message_of_envoyproxy_ratelimit_becomes_a_tree() {
        let decoded = decode("r", &config().encode_to_vec().into()).unwrap();
        assert_eq!(decoded.domain, "d");
        assert!(decoded.descriptors[0].shadow_mode);
        let limit = decoded.descriptors[0].rate_limit.as_ref().unwrap();
        assert_eq!((limit.unit, limit.requests_per_unit), (Some(Unit::Week), 7));
    }

    #[test]
    fn an_overlay_in_the_same_bytes_replaces_the_tree() {
        let mut bytes = config().encode_to_vec();
        let limit = overlay::Limit {
            name: "l".into(),
            rate: 3,
            unit_seconds: 60,
            burst_factor: 2,
            patterns: vec![overlay::Pattern {
                labels: vec![overlay::Labels {
                    any_of: vec![overlay::Label { key: "k".into(), value: "*".into() }],
                }],
            }],
            ..Default::default()
        };
        let added = overlay::RateLimitConfigOverlay { limits: vec![limit] };
        bytes.extend(added.encode_to_vec());
        let decoded = decode("r", &bytes.into()).unwrap();
        assert!(decoded.descriptors.is_empty());
        let limit = &decoded.limits[0];
        assert_eq!((limit.rate, limit.unit_seconds, limit.burst_factor), (3, 60, 2));
        assert_eq!(limit.patterns[0][0][0].key, "k");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(decode("r", &Bytes::from_static(b"\xff\xff")).is_err());
        let mut unknown = config();
        unknown.descriptors[0].rate_limit.as_mut().unwrap().unit = 99;
        assert!(decode("r", &unknown.encode_to_vec().into()).unwrap_err().contains("unit 99"));
    }
}
