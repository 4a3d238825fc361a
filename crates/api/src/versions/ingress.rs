//! Ingress before `networking.k8s.io/v1`: flat backends.

use serde_json::{Map, Value, json};

/// Converts the `spec` of a beta Ingress.
pub(super) fn convert(spec: &mut Map<String, Value>) {
    if let Some(mut backend) = spec.remove("backend") {
        convert_backend(&mut backend);
        spec.entry("defaultBackend").or_insert(backend);
    }
    let rules = spec.get_mut("rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let paths = rule.pointer_mut("/http/paths").and_then(Value::as_array_mut);
        for path in paths.into_iter().flatten() {
            if let Some(backend) = path.get_mut("backend") {
                convert_backend(backend);
            }
        }
    }
}

fn convert_backend(backend: &mut Value) {
    let Value::Object(fields) = backend else { return };
    let Some(name) = fields.remove("serviceName") else { return };
    let port = match fields.remove("servicePort") {
        Some(Value::String(name)) => json!({ "name": name }),
        Some(number @ Value::Number(_)) => json!({ "number": number }),
        _ => json!({}),
    };
    fields.insert("service".to_owned(), json!({"name": name, "port": port}));
}
