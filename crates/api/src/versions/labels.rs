//! Rate-limit labels: shorthand of older versions into typed specifiers.

use serde_json::{Map, Value, json};

/// Converts a Mapping's `labels`: domain to groups.
pub(super) fn convert_domains(domains: &mut Value) {
    let Value::Object(domains) = domains else { return };
    for groups in domains.values_mut().filter_map(Value::as_array_mut) {
        for group in groups.iter_mut().filter_map(Value::as_object_mut) {
            group.values_mut().for_each(convert_list);
        }
    }
}

/// Converts a Module's `default_labels`: domain to `defaults`.
pub(super) fn convert_defaults(domains: &mut Value) {
    let Value::Object(domains) = domains else { return };
    for domain in domains.values_mut().filter_map(Value::as_object_mut) {
        if let Some(defaults) = domain.get_mut("defaults") {
            convert_list(defaults);
        }
    }
}

fn convert_list(specifiers: &mut Value) {
    let Value::Array(list) = specifiers else { return };
    for specifier in list {
        let converted = match &*specifier {
            Value::String(word) => Some(from_word(word)),
            Value::Object(map) if map.len() == 1 => {
                map.iter().next().and_then(|(key, value)| from_pair(key, value))
            }
            Value::Object(map) => from_kept(map),
            _ => None,
        };
        if let Some(converted) = converted {
            *specifier = converted;
        }
    }
}

fn from_word(word: &str) -> Value {
    if FIXED.contains(&word) {
        keyed(word, json!({ "key": word }))
    } else {
        json!({"generic_key": {"value": word}})
    }
}

/// Returns `None` for a specifier that needs no change.
fn from_pair(key: &str, value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if key == "generic_key" => {
            Some(json!({"generic_key": {"value": text}}))
        }
        Value::Object(fields) => {
            let header = fields.get("header")?;
            let mut label = Map::new();
            label.insert("key".to_owned(), json!(key));
            label.insert("header_name".to_owned(), header.clone());
            if let Some(omit) = fields.get("omit_if_not_present") {
                label.insert("omit_if_not_present".to_owned(), omit.clone());
            }
            Some(json!({ "request_headers": label }))
        }
        _ => None,
    }
}

/// Returns a generic key whose own key version v2 keeps for the current one.
fn from_kept(map: &Map<String, Value>) -> Option<Value> {
    let (value, key) = (map.get("generic_key")?.as_str()?, map.get("v3Key")?);
    Some(json!({"generic_key": {"key": key, "value": value}}))
}

fn keyed(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

const FIXED: [&str; 3] = ["source_cluster", "destination_cluster", "remote_address"];
