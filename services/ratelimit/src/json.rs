//! Checks as JSON: the mapping of protobuf to JSON, for these two messages.
//!
//! Reading accepts both spellings of field names, numbers as text, and `null`
//! for a default; unknown fields are refused. Writing leaves defaults out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::{
    Entry, RateLimitOverride,
};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{
    Code, DescriptorStatus, rate_limit::Unit,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use envoy_types::pb::envoy::r#type::v3::RateLimitUnit;
use envoy_types::pb::google::protobuf::UInt64Value;
use serde_json::{Map, Value};

use crate::wire::json_of_struct;

/// Why JSON is no request.
///
/// Shape: `<path>: <what is expected>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {fault}")]
pub(crate) struct JsonError {
    path: String,
    fault: String,
}

/// Reads a request.
///
/// # Errors
/// The first thing that does not fit.
pub(crate) fn read(body: &[u8]) -> Result<RateLimitRequest, JsonError> {
    let value = serde_json::from_slice(body)
        .map_err(|e| JsonError { path: "body".into(), fault: format!("not JSON: {e}") })?;
    let mut request = RateLimitRequest::default();
    for (name, value) in fields("request", value)? {
        match name.as_str() {
            "domain" => request.domain = text(&name, value)?,
            "descriptors" => request.descriptors = list(&name, value, descriptor)?,
            "hitsAddend" | "hits_addend" => request.hits_addend = number(&name, &value)?,
            _ => return Err(unknown(&name)),
        }
    }
    Ok(request)
}

fn descriptor(path: &str, value: Value) -> Result<RateLimitDescriptor, JsonError> {
    let mut descriptor = RateLimitDescriptor::default();
    for (name, value) in fields(path, value)? {
        let path = format!("{path}.{name}");
        match name.as_str() {
            "entries" => descriptor.entries = list(&path, value, entry)?,
            "limit" => descriptor.limit = Some(limit(&path, value)?),
            "hitsAddend" | "hits_addend" => {
                descriptor.hits_addend = Some(UInt64Value { value: number(&path, &value)? });
            }
            "isNegativeHits" | "is_negative_hits" => {
                descriptor.is_negative_hits =
                    value.as_bool().ok_or_else(|| wrong(&path, "true or false"))?;
            }
            _ => return Err(unknown(&path)),
        }
    }
    Ok(descriptor)
}

fn entry(path: &str, value: Value) -> Result<Entry, JsonError> {
    let mut entry = Entry::default();
    for (name, value) in fields(path, value)? {
        let path = format!("{path}.{name}");
        match name.as_str() {
            "key" => entry.key = text(&path, value)?,
            "value" => entry.value = text(&path, value)?,
            _ => return Err(unknown(&path)),
        }
    }
    Ok(entry)
}

fn limit(path: &str, value: Value) -> Result<RateLimitOverride, JsonError> {
    let mut limit = RateLimitOverride::default();
    for (name, value) in fields(path, value)? {
        let path = format!("{path}.{name}");
        match name.as_str() {
            "requestsPerUnit" | "requests_per_unit" => {
                limit.requests_per_unit = number(&path, &value)?;
            }
            "unit" => {
                limit.unit = match &value {
                    Value::String(name) => RateLimitUnit::from_str_name(name)
                        .ok_or_else(|| wrong(&path, "a unit such as MINUTE"))?
                        .into(),
                    _ => number(&path, &value)?,
                }
            }
            _ => return Err(unknown(&path)),
        }
    }
    Ok(limit)
}

/// Returns the fields of an object, those that are null left out.
fn fields(path: &str, value: Value) -> Result<Map<String, Value>, JsonError> {
    let Value::Object(mut fields) = value else { return Err(wrong(path, "an object")) };
    fields.retain(|_, value| !value.is_null());
    Ok(fields)
}

fn list<T>(
    path: &str,
    value: Value,
    element: fn(&str, Value) -> Result<T, JsonError>,
) -> Result<Vec<T>, JsonError> {
    let Value::Array(items) = value else { return Err(wrong(path, "a list")) };
    let element = |(index, item)| element(&format!("{path}[{index}]"), item);
    items.into_iter().enumerate().map(element).collect()
}

fn text(path: &str, value: Value) -> Result<String, JsonError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(wrong(path, "a string")),
    }
}

/// Reads a whole number: `5`, `5.0`, `5e0` or `"5"`.
fn number<T: TryFrom<u64>>(path: &str, value: &Value) -> Result<T, JsonError> {
    let parsed = match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().or_else(|| {
            let float = value.as_f64()?;
            let whole = float.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&float);
            whole.then_some(float as u64)
        }),
    };
    parsed
        .and_then(|number: u64| T::try_from(number).ok())
        .ok_or_else(|| wrong(path, "a whole number in range"))
}

fn wrong(path: &str, expected: &str) -> JsonError {
    JsonError { path: path.to_owned(), fault: format!("expected {expected}") }
}

fn unknown(path: &str) -> JsonError {
    JsonError { path: path.to_owned(), fault: "unknown field".into() }
}

/// Writes a response.
pub(crate) fn write(response: RateLimitResponse) -> Value {
    let mut fields = Map::new();
    let code = Code::try_from(response.overall_code).unwrap_or_default();
    put(&mut fields, "overallCode", code.as_str_name().into());
    put(&mut fields, "statuses", response.statuses.into_iter().map(status).collect());
    put(&mut fields, "responseHeadersToAdd", headers(response.response_headers_to_add));
    put(&mut fields, "requestHeadersToAdd", headers(response.request_headers_to_add));
    put(&mut fields, "rawBody", STANDARD.encode(response.raw_body).into());
    if let Some(metadata) = response.dynamic_metadata {
        fields.insert("dynamicMetadata".into(), json_of_struct(metadata));
    }
    Value::Object(fields)
}

fn status(status: DescriptorStatus) -> Value {
    let mut fields = Map::new();
    let code = Code::try_from(status.code).unwrap_or_default();
    put(&mut fields, "code", code.as_str_name().into());
    if let Some(limit) = status.current_limit {
        let mut current = Map::new();
        let unit = Unit::try_from(limit.unit).unwrap_or(Unit::Unknown);
        put(&mut current, "name", limit.name.into());
        put(&mut current, "requestsPerUnit", limit.requests_per_unit.into());
        if unit != Unit::Unknown {
            put(&mut current, "unit", unit.as_str_name().into());
        }
        fields.insert("currentLimit".into(), Value::Object(current));
    }
    put(&mut fields, "limitRemaining", status.limit_remaining.into());
    if let Some(reset) = status.duration_until_reset {
        put(&mut fields, "durationUntilReset", format!("{}s", reset.seconds).into());
    }
    Value::Object(fields)
}

fn headers(headers: Vec<HeaderValue>) -> Value {
    let header =
        |header: HeaderValue| serde_json::json!({"key": header.key, "value": header.value});
    headers.into_iter().map(header).collect()
}

/// Sets a field unless the value is its default.
fn put(fields: &mut Map<String, Value>, name: &str, value: Value) {
    let default = match &value {
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if !default {
        fields.insert(name.into(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_text_numbers_and_nulls_are_read() {
        let body = br#"{"domain":"d","hits_addend":"2","descriptors":[{"entries":[{"key":"k","value":"v"}],
            "limit":{"requestsPerUnit":5.0,"unit":"HOUR"},"hitsAddend":"7","isNegativeHits":true},
            {"entries":[{"key":"k"}],"limit":null}]}"#;
        let request = read(body).unwrap();
        assert_eq!((request.domain.as_str(), request.hits_addend), ("d", 2));
        let first = &request.descriptors[0];
        assert_eq!(first.hits_addend.as_ref().map(|hits| hits.value), Some(7));
        assert!(first.is_negative_hits);
        let limit = first.limit.as_ref().unwrap();
        assert_eq!((limit.requests_per_unit, limit.unit()), (5, RateLimitUnit::Hour));
        assert_eq!(request.descriptors[1].limit, None);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_path() {
        let refused = |body: &str| read(body.as_bytes()).unwrap_err().to_string();
        assert!(refused("{").starts_with("body: not JSON"));
        assert_eq!(refused("[]"), "request: expected an object");
        assert_eq!(refused(r#"{"dom":"d"}"#), "dom: unknown field");
        assert_eq!(
            refused(r#"{"descriptors":[{"entries":[{"key":1}]}]}"#),
            "descriptors[0].entries[0].key: expected a string"
        );
        for number in ["-1", "1.5", "4294967296", "\"x\"", "1e300"] {
            let fault = refused(&format!(r#"{{"hitsAddend":{number}}}"#));
            assert_eq!(fault, "hitsAddend: expected a whole number in range", "{number}");
        }
        assert!(refused(r#"{"descriptors":[{"limit":{"unit":"AEON"}}]}"#).contains("a unit"));
    }
}
