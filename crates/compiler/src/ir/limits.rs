//! RateLimit objects, by domain, as the rate-limit service reads them.

use std::collections::BTreeMap;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Spec};

use super::item::Item;

const DEFAULT_DOMAIN: &str = "ambassador";

/// All limits of one domain, in processing order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Domain {
    pub(crate) limits: Vec<Limit>,
    pub(crate) sources: Vec<api::ObjectKey>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limit {
    pub(crate) name: String,
    /// Positions; at each one any of the pairs may stand.
    pub(crate) pattern: Vec<Vec<(String, String)>>,
    pub(crate) rate: u64,
    pub(crate) unit: Unit,
    pub(crate) log_only: bool,
    pub(crate) burst_factor: u32,
    pub(crate) request_headers: Vec<api::TemplatedHeader>,
    pub(crate) response_headers: Vec<api::TemplatedHeader>,
    pub(crate) error_response: Option<api::LimitErrorResponse>,
}

/// Length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
}

impl Unit {
    pub(crate) const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "second" => Some(Self::Second),
            "minute" => Some(Self::Minute),
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            _ => None,
        }
    }
}

/// Returns what is wrong with the limits of an object.
pub(crate) fn faults(item: &Item, spec: &api::RateLimit) -> Vec<Diagnostic> {
    let all = spec.limits.iter().enumerate();
    all.filter_map(|(index, given)| terms(item, index, given).err().map(|finding| *finding))
        .collect()
}

/// Reads RateLimit objects. A limit that cannot be understood refuses what it
/// matches: an object in which one stands is in effect only when no better
/// version of it was ever seen, and to let everything through would be worse.
pub(crate) fn read<'a>(items: impl Iterator<Item = &'a Item>) -> BTreeMap<String, Domain> {
    let mut domains: BTreeMap<String, Domain> = BTreeMap::new();
    for item in items {
        let Spec::RateLimit(spec) = &item.object.spec else { continue };
        let name = spec.domain.clone().unwrap_or_else(|| DEFAULT_DOMAIN.to_owned());
        let domain = domains.entry(name).or_default();
        domain.sources.push((*item.id.source).clone());
        let limits = spec.limits.iter().enumerate();
        domain.limits.extend(limits.map(|(index, given)| limit(item, index, given)));
    }
    domains
}

/// How much, for how long, and whether it counts only.
struct Terms {
    rate: u64,
    unit: Unit,
    log_only: bool,
}

fn terms(item: &Item, index: usize, given: &api::Limit) -> Result<Terms, Box<Diagnostic>> {
    let wrong = |field: &str, message: String, remedy| {
        let field = format!("spec.limits[{index}].{field}");
        Box::new(item.error("invalid-limit", &field, message, remedy))
    };
    let unit = given.unit.as_deref().unwrap_or_default();
    let unit = Unit::parse(unit).ok_or_else(|| {
        wrong("unit", format!("`{unit}` is no unit"), "use second, minute, hour or day")
    })?;
    let rate =
        given.rate.ok_or_else(|| wrong("rate", "in body is required".into(), "set a rate"))?;
    let log_only = log_only(given).ok_or_else(|| {
        let action = given.action.as_deref().unwrap_or_default();
        wrong("action", format!("`{action}` is no action"), "use Enforce or LogOnly")
    })?;
    Ok(Terms { rate, unit, log_only })
}

/// Whether a limit counts without refusing; `None` for an unknown action.
fn log_only(given: &api::Limit) -> Option<bool> {
    match given.action.as_deref().unwrap_or("Enforce").to_ascii_lowercase().as_str() {
        "enforce" => Some(false),
        "logonly" => Some(true),
        _ => None,
    }
}

fn limit(item: &Item, index: usize, given: &api::Limit) -> Limit {
    let closed =
        || Terms { rate: 0, unit: Unit::Second, log_only: log_only(given).unwrap_or(false) };
    let Terms { rate, unit, log_only } = terms(item, index, given).unwrap_or_else(|_| closed());
    let pairs = |labels: &BTreeMap<String, String>| {
        labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    Limit {
        name: given
            .name
            .clone()
            .unwrap_or_else(|| format!("{}.{}-{index}", item.name(), item.namespace())),
        pattern: given.pattern.iter().map(pairs).collect(),
        rate,
        unit,
        log_only,
        burst_factor: given.burst_factor.unwrap_or(0),
        request_headers: given.inject_request_headers.clone(),
        response_headers: given.inject_response_headers.clone(),
        error_response: given.error_response.clone(),
    }
}
