//! Objects inside the annotation `getambassador.io/config`.

use serde_json::{Map, Value, json};

use super::document::Unreadable;
use super::yaml;
use crate::codes::BAD_ANNOTATION;
use crate::object::CONFIG_ANNOTATION;
use crate::{
    Carrier, Decoded, Diagnostic, Kind, Meta, Object, ObjectKey, Origin, Reading, Severity, decode,
};

/// Decodes the objects inside the annotation of one object; other sources than
/// files use this.
///
/// Each object's origin carries its carrier. The second list says what is
/// wrong with the annotation itself.
pub fn expand(carrier: &Object, reading: &Reading) -> (Vec<Decoded>, Vec<Diagnostic>) {
    let Some(text) = carrier
        .meta
        .annotations
        .get(CONFIG_ANNOTATION)
        .filter(|_| matches!(carrier.spec.kind(), Kind::Service | Kind::Ingress))
    else {
        return (Vec::new(), Vec::new());
    };
    let (inner, unreadable) = documents(&carrier.meta, carrier.spec.kind(), text);
    let findings = unreadable
        .iter()
        .map(|complaint| finding(&carrier.key(), &carrier.origin, complaint))
        .collect();
    let decoded = inner
        .into_iter()
        .map(|document| {
            let origin = Origin { carrier: Some(document.carrier), ..carrier.origin.clone() };
            decode(document.value, origin, reading)
        })
        .collect();
    (decoded, findings)
}

/// One object of an annotation, in the shape of a free-standing one.
pub(super) struct Inner {
    pub(super) value: Value,
    pub(super) carrier: Carrier,
    /// Line within the annotation, from 1.
    pub(super) line: u32,
}

/// Returns the annotation's text, of objects that may have one.
pub(super) fn text(value: &Value) -> Option<&str> {
    let kind = value.get("kind")?.as_str()?;
    if kind != Kind::Service.as_str() && kind != Kind::Ingress.as_str() {
        return None;
    }
    value.get("metadata")?.get("annotations")?.get(CONFIG_ANNOTATION)?.as_str()
}

/// Returns the objects of an annotation and what cannot be read of it.
pub(super) fn documents(meta: &Meta, kind: Kind, text: &str) -> (Vec<Inner>, Vec<String>) {
    let mut out = Vec::new();
    let mut unreadable = Vec::new();
    let mut index = 0;
    yaml::values(text, |outcome| match outcome {
        Ok((Value::Null, _)) => {}
        Ok((value, line)) => {
            index += 1;
            let carrier =
                Carrier { kind, namespace: meta.namespace.clone(), name: meta.name.clone(), index };
            out.push(Inner { value: nested(value, meta), carrier, line });
        }
        Err(Unreadable { line, message, .. }) => {
            unreadable.push(format!("line {line} of the annotation: {message}"));
        }
    });
    (out, unreadable)
}

/// Makes the finding about an annotation that cannot be read.
pub(super) fn finding(carrier: &ObjectKey, origin: &Origin, complaint: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: BAD_ANNOTATION,
        object: Some(carrier.clone()),
        origin: origin.clone(),
        field: format!("metadata.annotations[{CONFIG_ANNOTATION:?}]"),
        message: complaint.to_owned(),
        remedy: "correct the YAML of the annotation".to_owned(),
    }
}

/// Brings a flat object into the usual shape; namespace and labels default to
/// the carrier's.
fn nested(value: Value, carrier: &Meta) -> Value {
    let Value::Object(mut root) = value else { return value };
    let mut metadata = match root.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    for (flat, name) in [
        ("name", "name"),
        ("namespace", "namespace"),
        ("generation", "generation"),
        ("metadata_labels", "labels"),
    ] {
        if let Some(value) = root.remove(flat) {
            metadata.insert(name.to_owned(), value);
        }
    }
    let missing = |metadata: &Map<String, Value>, key: &str| match metadata.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if missing(&metadata, "namespace") {
        metadata.insert("namespace".to_owned(), json!(carrier.namespace));
    }
    if missing(&metadata, "labels") {
        metadata.insert("labels".to_owned(), json!(carrier.labels));
    }
    let mut out = Map::new();
    let mut spec = match root.remove("spec") {
        Some(Value::Object(spec)) => spec,
        Some(other) => {
            out.insert("spec".to_owned(), other);
            Map::new()
        }
        None => Map::new(),
    };
    for key in ["apiVersion", "kind", "status"] {
        if let Some(value) = root.remove(key) {
            out.insert(key.to_owned(), value);
        }
    }
    for (key, value) in root {
        spec.insert(key, value);
    }
    out.insert("metadata".to_owned(), Value::Object(metadata));
    out.entry("spec").or_insert(Value::Object(spec));
    Value::Object(out)
}
