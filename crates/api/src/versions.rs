//! Older API versions into the current one, on the JSON text.
//!
//! Source: Emissary's conversion of `getambassador.io` v1 and v2 to v3alpha1.

use serde_json::{Map, Value, json};

use crate::codes::BAD_VALUE;
use crate::fault::Fault;
use crate::identity::Version;
use crate::{Kind, Severity};

mod ingress;
mod labels;

/// Converts the `spec` of an object to the version of the types.
pub(crate) fn convert(kind: Kind, version: Version, body: &mut Value, faults: &mut Vec<Fault>) {
    let Value::Object(spec) = body else { return };
    if kind == Kind::Mapping && spec.get("rewrite").is_some_and(Value::is_null) {
        // Null is Emissary's other way to say that the path stays as it is.
        spec.insert("rewrite".to_owned(), json!(""));
    }
    join_ids(spec);
    match version {
        Version::Current => {}
        Version::IngressBeta => ingress::convert(spec),
        Version::Older => convert_older(kind, spec, faults),
    }
}

/// Joins the two spellings of `ambassador_id` where both are given.
fn join_ids(spec: &mut Map<String, Value>) {
    if !spec.contains_key("ambassadorId") || !spec.contains_key("ambassador_id") {
        return;
    }
    let Some(extra) = spec.remove("ambassadorId") else { return };
    let Some(ids) = spec.get_mut("ambassador_id") else { return };
    let mut joined = as_list(ids.take());
    for id in as_list(extra) {
        if !joined.contains(&id) {
            joined.push(id);
        }
    }
    *ids = Value::Array(joined);
}

fn convert_older(kind: Kind, spec: &mut Map<String, Value>, faults: &mut Vec<Fault>) {
    strip_id_marks(spec);
    restore_later_fields(spec);
    for part in ["tls", "config"] {
        if let Some(Value::Object(inner)) = spec.get_mut(part) {
            restore_later_fields(inner);
        }
    }
    match kind {
        Kind::Mapping => {
            explicit_tls(spec, "service");
            mapping_host(spec);
            presence(spec, "headers", "regex_headers");
            presence(spec, "query_parameters", "regex_query_parameters");
            for field in ["add_request_headers", "add_response_headers"] {
                if let Some(Value::Object(headers)) = spec.get_mut(field) {
                    headers.retain(|_, header| !header.is_null());
                }
            }
            comma_origins(spec);
            if let Some(domains) = spec.get_mut("labels") {
                labels::convert_domains(domains);
            }
        }
        Kind::TcpMapping | Kind::RateLimitService | Kind::LogService => {
            explicit_tls(spec, "service");
        }
        Kind::AuthService => explicit_tls(spec, "auth_service"),
        Kind::TracingService => {
            explicit_tls(spec, "service");
            tag_headers(spec, faults);
        }
        Kind::Host => {
            if let Some(selector) = spec.remove("selector") {
                spec.entry("mappingSelector").or_insert(selector);
            }
        }
        Kind::Module => {
            if let Some(Value::Object(config)) = spec.get_mut("config") {
                comma_origins(config);
                if let Some(domains) = config.get_mut("default_labels") {
                    labels::convert_defaults(domains);
                }
            }
        }
        _ => {}
    }
}

/// Takes off the mark that hid current objects from readers of older versions.
fn strip_id_marks(spec: &mut Map<String, Value>) {
    for field in ["ambassador_id", "ambassadorId"] {
        let Some(ids) = spec.get_mut(field) else { continue };
        let list = as_list(ids.take()).into_iter().map(|id| match id {
            Value::String(text) => {
                Value::String(text.strip_prefix(ID_MARK).map_or(text.clone(), str::to_owned))
            }
            other => other,
        });
        *ids = Value::Array(list.collect());
    }
}

/// Gives back their names to fields that older versions keep only for the
/// current one.
fn restore_later_fields(map: &mut Map<String, Value>) {
    for (kept, name) in LATER_FIELDS {
        if let Some(value) = map.remove(kept) {
            map.entry(name).or_insert(value);
        }
    }
}

/// `tls: true` belongs into the scheme of the service, `tls: false` nowhere.
fn explicit_tls(spec: &mut Map<String, Value>, field: &str) {
    let Some(wanted) = spec.get("tls").and_then(|tls| match tls {
        Value::Bool(wanted) => Some(*wanted),
        Value::Null => Some(false),
        _ => None,
    }) else {
        return;
    };
    spec.remove("tls");
    if let (true, Some(Value::String(service))) = (wanted, spec.get_mut(field)) {
        let schemes = ["https://", "http://"];
        let bare = schemes.iter().find_map(|scheme| {
            let (head, rest) = service.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        });
        *service = format!("https://{}", bare.unwrap_or(service));
    }
}

/// `host` was exact and an absent one stood for every host.
fn mapping_host(spec: &mut Map<String, Value>) {
    if spec.contains_key("hostname") {
        return;
    }
    let text = |spec: &Map<String, Value>, key: &str| {
        spec.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let host = text(spec, "host");
    let authority = spec.get("headers").is_some_and(|headers| headers.get(":authority").is_some());
    if host.is_empty() {
        spec.remove("host");
        if !authority {
            spec.insert("hostname".to_owned(), json!("*"));
        }
    } else if host == EMPTY_HOST_MARK {
        spec.remove("host");
    } else if spec.get("host_regex").and_then(Value::as_bool) != Some(true) {
        spec.remove("host");
        spec.insert("hostname".to_owned(), json!(host));
    }
}

/// `true` in place of a value asks only that the header is there; `false` asks
/// nothing.
fn presence(spec: &mut Map<String, Value>, exact: &str, regex: &str) {
    let Some(Value::Object(matches)) = spec.get_mut(exact) else { return };
    matches.retain(|_, value| *value != Value::Bool(false));
    let names: Vec<String> = matches
        .iter()
        .filter(|(_, value)| **value == Value::Bool(true))
        .map(|(name, _)| name.clone())
        .collect();
    for name in &names {
        matches.remove(name);
    }
    if names.is_empty() {
        return;
    }
    let target = spec.entry(regex).or_insert_with(|| json!({}));
    if let Value::Object(target) = target {
        for name in names {
            target.entry(name).or_insert_with(|| json!(".*"));
        }
    }
}

fn comma_origins(spec: &mut Map<String, Value>) {
    let Some(origins) = spec.get_mut("cors").and_then(|cors| cors.get_mut("origins")) else {
        return;
    };
    if let Value::String(text) = origins {
        let list = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        *origins = list.map(|origin| json!(origin)).collect();
    }
}

fn tag_headers(spec: &mut Map<String, Value>, faults: &mut Vec<Fault>) {
    let Some(headers) = spec.remove("tag_headers") else { return };
    if spec.get("custom_tags").is_some_and(|tags| !tags.is_null()) {
        faults.push(Fault {
            severity: Severity::Warning,
            code: BAD_VALUE,
            field: "spec.tag_headers".to_owned(),
            message: "spec.tag_headers has no effect beside custom_tags".to_owned(),
            remedy: "move the headers into custom_tags".to_owned(),
        });
        return;
    }
    let tags = as_list(headers)
        .into_iter()
        .map(|header| json!({"tag": header, "request_header": {"name": header}}));
    let tags = tags.collect();
    spec.insert("custom_tags".to_owned(), tags);
}

fn as_list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// Put before each id of a current object that is stored in version v2.
const ID_MARK: &str = "--apiVersion-v3alpha1-only--";

/// Stands in `host` for a current Mapping whose `hostname` is empty.
const EMPTY_HOST_MARK: &str = "_skip_mapping_with_empty_host_";

/// Where version v2 keeps fields that it does not have.
const LATER_FIELDS: [(&str, &str); 9] = [
    ("v3CRLSecret", "crl_secret"),
    ("v3health_checks", "health_checks"),
    ("v3HealthChecks", "health_checks"),
    ("v3StatsName", "stats_name"),
    ("v3CircuitBreakers", "circuit_breakers"),
    ("v3GRPC", "grpc"),
    ("v3ProtocolVersion", "protocol_version"),
    ("v3CustomTags", "custom_tags"),
    ("v3PropagationModes", "propagation_modes"),
];

#[cfg(test)]
mod tests;
