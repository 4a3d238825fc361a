//! What can be wrong with an object's text, in words.

use serde_json::Value;

use crate::codes::{
    BAD_VALUE, NOT_AN_OBJECT, REQUIRED_FIELD, UNKNOWN_FIELD, UNKNOWN_KIND, UNSUPPORTED_VERSION,
    WRONG_TYPE,
};
use crate::{Diagnostic, Kind, ObjectKey, Origin, Severity};

/// A finding that does not know its object yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) severity: Severity,
    pub(crate) code: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl Fault {
    /// Returns the finding about `key`, which stands at `origin`.
    pub(crate) fn at(&self, key: Option<&ObjectKey>, origin: &Origin) -> Diagnostic {
        Diagnostic {
            severity: self.severity,
            code: self.code,
            object: key.cloned(),
            origin: origin.clone(),
            field: self.field.clone(),
            message: self.message.clone(),
            remedy: self.remedy.clone(),
        }
    }
}

/// A required field is absent.
pub(crate) fn missing(field: &str) -> Fault {
    Fault {
        severity: Severity::Error,
        code: REQUIRED_FIELD,
        field: field.to_owned(),
        message: format!("{field} in body is required"),
        remedy: format!("add `{}`", field.rsplit('.').next().unwrap_or(field)),
    }
}

/// A field has an impossible value; `what` reads on from `in body`.
pub(crate) fn bad_value(field: &str, what: &str, remedy: &str) -> Fault {
    Fault {
        severity: Severity::Error,
        code: BAD_VALUE,
        field: field.to_owned(),
        message: format!("{field} in body {what}"),
        remedy: remedy.to_owned(),
    }
}

pub(crate) fn unknown_field(field: &str) -> Fault {
    Fault {
        severity: Severity::Warning,
        code: UNKNOWN_FIELD,
        field: field.to_owned(),
        message: format!("{field} is not a field of this kind and has no effect"),
        remedy: "correct its spelling or its indentation, or remove it".to_owned(),
    }
}

pub(crate) fn unknown_kind(kind: &str, api_version: &str) -> Fault {
    let near = nearest(kind, Kind::ALL.iter().filter(|k| k.is_emissary()).map(|k| k.as_str()));
    Fault {
        severity: Severity::Error,
        code: UNKNOWN_KIND,
        field: "kind".to_owned(),
        message: format!("{api_version} has no kind {kind:?}"),
        remedy: near.map_or_else(
            || "correct the kind or remove the object".to_owned(),
            |near| format!("write `{near}` if that is what you mean"),
        ),
    }
}

pub(crate) fn unsupported_version(api_version: &str, kind: &str) -> Fault {
    let current = if Kind::ALL.iter().any(|k| k.as_str() == kind && !k.is_emissary()) {
        "the version your cluster prints for this kind"
    } else {
        "getambassador.io/v3alpha1"
    };
    Fault {
        severity: Severity::Error,
        code: UNSUPPORTED_VERSION,
        field: "apiVersion".to_owned(),
        message: format!("apiVersion {api_version:?} unsupported for {kind}"),
        remedy: format!("write {current}"),
    }
}

pub(crate) fn not_an_object(message: &str) -> Fault {
    Fault {
        severity: Severity::Error,
        code: NOT_AN_OBJECT,
        field: String::new(),
        message: message.to_owned(),
        remedy: "write an object with apiVersion, kind and metadata, or move the file elsewhere"
            .to_owned(),
    }
}

/// Puts a decoder's complaint about the value at `field` into Emissary's
/// words. Only the value's type is told: it may be a secret.
pub(crate) fn wrong(field: &str, value: &Value, complaint: &str) -> Fault {
    let expected = complaint.rsplit_once("expected ").map(|(_, expected)| expected);
    if complaint.starts_with("unknown variant") {
        let words: Vec<&str> = expected.unwrap_or_default().split('`').skip(1).step_by(2).collect();
        let list = words.join(" ");
        return bad_value(
            field,
            &format!("should be one of [{list}]"),
            &format!("write one of {}", words.join(", ")),
        );
    }
    let Some(wanted) = expected.and_then(type_word).filter(|_| complaint.starts_with("invalid"))
    else {
        return bad_value(field, complaint, "correct the value");
    };
    let actual = type_of(value);
    if wanted == actual {
        let bound = if value.as_f64().is_some_and(|number| number < 0.0) {
            "should be greater than or equal to 0"
        } else {
            "is out of range"
        };
        return bad_value(field, bound, "write a number within the field's range");
    }
    let remedy = match (wanted, actual) {
        ("string", "integer" | "number" | "boolean") => "put the value into quotes",
        ("integer" | "boolean", "string") => "write the value without quotes",
        ("array", _) => "write a list",
        ("object", _) => "write a map of fields",
        ("integer", _) => "write a whole number",
        ("boolean", _) => "write true or false",
        _ => "write a text",
    };
    Fault {
        severity: Severity::Error,
        code: WRONG_TYPE,
        field: field.to_owned(),
        message: format!("{field} in body must be of type {wanted}: {actual:?}"),
        remedy: remedy.to_owned(),
    }
}

fn type_word(expected: &str) -> Option<&'static str> {
    let expected = expected.trim_start_matches("a ").trim_start_matches("an ");
    Some(match expected {
        "string" | "borrowed string" | "string or map" => "string",
        "boolean" => "boolean",
        "sequence" | "array" => "array",
        "map" | "object" => "object",
        _ if expected.starts_with("struct ") => "object",
        // An enum of names is written as one.
        _ if expected.starts_with("variant ") || expected.starts_with("string ") => "string",
        _ if expected.starts_with("enum ") => "string",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => "integer",
        "f32" | "f64" => "number",
        _ => return None,
    })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Returns the word that differs least, when it differs little.
fn nearest<'a>(word: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // The distance below is quadratic; no kind has a longer name.
    if word.len() > 40 {
        return None;
    }
    among
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, candidate)| candidate)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
