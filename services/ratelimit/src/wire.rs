//! Envoy's messages to the core's types and back.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit as PbUnit;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{
    Code, DescriptorStatus, RateLimit,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use envoy_types::pb::envoy::r#type::v3::RateLimitUnit;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Duration, ListValue, Struct, Value};
use nuncio_limits::{CurrentLimit, Descriptor, Override, Request, Status, Unit, Verdict};

/// Borrows a request as the core sees it.
pub(crate) fn request(message: &RateLimitRequest) -> Request<'_> {
    let descriptors = message.descriptors.iter().map(|descriptor| Descriptor {
        entries: descriptor.entries.iter().map(|e| (e.key.as_str(), e.value.as_str())).collect(),
        limit: descriptor.limit.as_ref().map(|limit| Override {
            requests_per_unit: limit.requests_per_unit,
            unit: override_unit(limit.unit),
        }),
        hits_addend: descriptor.hits_addend.as_ref().map(|hits| hits.value),
        refund: descriptor.is_negative_hits,
    });
    Request {
        domain: &message.domain,
        hits_addend: message.hits_addend,
        descriptors: descriptors.collect(),
    }
}

/// The override's enumeration has no week and may hold numbers it does not
/// define.
fn override_unit(number: i32) -> Option<Unit> {
    match RateLimitUnit::try_from(number).ok()? {
        RateLimitUnit::Unknown => None,
        RateLimitUnit::Second => Some(Unit::Second),
        RateLimitUnit::Minute => Some(Unit::Minute),
        RateLimitUnit::Hour => Some(Unit::Hour),
        RateLimitUnit::Day => Some(Unit::Day),
        RateLimitUnit::Month => Some(Unit::Month),
        RateLimitUnit::Year => Some(Unit::Year),
    }
}

/// Makes the response.
pub(crate) fn response(verdict: Verdict<'_>) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: code(verdict.over),
        statuses: verdict.statuses.iter().map(status).collect(),
        response_headers_to_add: headers(verdict.response_headers),
        request_headers_to_add: headers(verdict.request_headers),
        raw_body: verdict.body.into_bytes(),
        dynamic_metadata: verdict.metadata.and_then(|metadata| match value(metadata).kind {
            Some(Kind::StructValue(metadata)) => Some(metadata),
            _ => None,
        }),
        quota: None,
    }
}

/// Never `UNKNOWN`: Envoy would take it for OK.
fn code(over: bool) -> i32 {
    if over { Code::OverLimit.into() } else { Code::Ok.into() }
}

fn status(status: &Status<'_>) -> DescriptorStatus {
    DescriptorStatus {
        code: code(status.over),
        current_limit: status.limit.as_ref().map(current_limit),
        limit_remaining: status.remaining,
        duration_until_reset: status.limit.is_some().then(|| Duration {
            seconds: i64::try_from(status.reset.as_secs()).unwrap_or(i64::MAX),
            nanos: 0,
        }),
        quota: None,
    }
}

fn current_limit(limit: &CurrentLimit<'_>) -> RateLimit {
    let unit = match limit.unit {
        None => PbUnit::Unknown,
        Some(Unit::Second) => PbUnit::Second,
        Some(Unit::Minute) => PbUnit::Minute,
        Some(Unit::Hour) => PbUnit::Hour,
        Some(Unit::Day) => PbUnit::Day,
        Some(Unit::Week) => PbUnit::Week,
        Some(Unit::Month) => PbUnit::Month,
        Some(Unit::Year) => PbUnit::Year,
    };
    RateLimit {
        name: limit.name.to_owned(),
        requests_per_unit: limit.requests_per_unit,
        unit: unit.into(),
    }
}

fn headers(headers: Vec<(String, String)>) -> Vec<HeaderValue> {
    let header = |(key, value)| HeaderValue { key, value, raw_value: Vec::new() };
    headers.into_iter().map(header).collect()
}

fn value(json: serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(flag) => Kind::BoolValue(flag),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text),
        serde_json::Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(value).collect() })
        }
        serde_json::Value::Object(map) => {
            let fields: HashMap<_, _> = map.into_iter().map(|(k, v)| (k, value(v))).collect();
            Kind::StructValue(Struct { fields })
        }
    };
    Value { kind: Some(kind) }
}

/// Turns a protobuf struct into JSON; whole numbers stay whole.
pub(crate) fn json_of_struct(message: Struct) -> serde_json::Value {
    let fields = message.fields.into_iter().map(|(name, value)| (name, json_of_value(value)));
    serde_json::Value::Object(fields.collect())
}

fn json_of_value(message: Value) -> serde_json::Value {
    match message.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(flag)) => flag.into(),
        Some(Kind::NumberValue(number)) if number.fract() == 0.0 && number.abs() < 1e15 => {
            (number as i64).into()
        }
        Some(Kind::NumberValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json_of_value).collect(),
        Some(Kind::StructValue(inner)) => json_of_struct(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_a_request_cannot_name_are_unknown() {
        for number in [0, 7, 99, -1] {
            assert_eq!(override_unit(number), None, "{number}");
        }
        assert_eq!(override_unit(6), Some(Unit::Year));
    }

    #[test]
    fn metadata_survives_the_way_there_and_back() {
        let json = serde_json::json!({"a": [1, true, null, "x"], "b": {"c": 1.5}});
        let Some(Kind::StructValue(message)) = value(json.clone()).kind else {
            panic!("an object")
        };
        assert_eq!(json_of_struct(message), json);
    }
}
