//! Labels of a group: what the rate-limit service is told of its requests.

use nuncio_api as api;
use nuncio_api::LabelSpecifier;

use crate::ir::route::{RateLimitAction, RateLimitEntry};
use crate::ir::stage::Stage;

/// Label groups of this name take no defaults. Source: Emissary.
const BARE_GROUP: &str = "v0_ratelimit_";

/// Returns the descriptors of a Mapping in the rate-limit service's domain.
pub(super) fn rate_limits(spec: &api::Mapping, stage: &Stage) -> Vec<RateLimitEntry> {
    let Some(domain) = &stage.label_domain else { return Vec::new() };
    let none = Vec::new();
    let defaults = stage.defaults.labels.get(domain).unwrap_or(&none);
    let entry = |parts: &mut dyn Iterator<Item = &LabelSpecifier>| {
        let mut actions: Vec<RateLimitAction> = parts.filter_map(label_action).collect();
        never_empty(&mut actions);
        RateLimitEntry { actions }
    };
    let entries: Vec<RateLimitEntry> = match spec.labels.get(domain) {
        // Without labels, only the default domain has defaults.
        None if spec.labels.is_empty() && *domain == stage.defaults.label_domain => {
            vec![entry(&mut defaults.iter())]
        }
        None => Vec::new(),
        Some(groups) => groups
            .iter()
            .map(|group| {
                let bare = group.name.starts_with(BARE_GROUP);
                let defaults = if bare { &none } else { defaults };
                entry(&mut defaults.iter().chain(&group.specifiers))
            })
            .collect(),
    };
    entries.into_iter().filter(|entry| !entry.actions.is_empty()).collect()
}

/// Makes the first of labels that all may be left out a condition.
///
/// Without any of its headers a request would otherwise be sent as an empty
/// descriptor, which means all requests; Emissary sends none then.
fn never_empty(actions: &mut [RateLimitAction]) {
    let optional = |action: &RateLimitAction| {
        matches!(action, RateLimitAction::RequestHeader { skip_if_absent: true, .. })
    };
    if actions.iter().all(optional)
        && let Some(RateLimitAction::RequestHeader { skip_if_absent, .. }) = actions.first_mut()
    {
        *skip_if_absent = false;
    }
}

fn label_action(label: &LabelSpecifier) -> Option<RateLimitAction> {
    Some(match label {
        LabelSpecifier::SourceCluster(_) => RateLimitAction::SourceCluster,
        LabelSpecifier::DestinationCluster(_) => RateLimitAction::DestinationCluster,
        LabelSpecifier::RemoteAddress(_) => RateLimitAction::RemoteAddress,
        LabelSpecifier::GenericKey(pair) if !pair.value.is_empty() => RateLimitAction::GenericKey {
            key: pair.key.clone().unwrap_or_else(|| "generic_key".to_owned()),
            value: pair.value.clone(),
        },
        LabelSpecifier::RequestHeaders(header)
            if !header.header_name.is_empty() && !header.key.is_empty() =>
        {
            RateLimitAction::RequestHeader {
                key: header.key.clone(),
                header: header.header_name.clone(),
                skip_if_absent: header.omit_if_not_present.unwrap_or(false),
            }
        }
        _ => return None,
    })
}
