//! Every field that users can write has a golden case, or a reason for having
//! none in `tests/unsupported.txt`.
//!
//! Fields are read from the sources of the `api` crate, so that a new one
//! cannot be forgotten here. A line of `unsupported.txt` is
//! `<kind> <path>: <reason>` and speaks for everything below the path.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nuncio_api::{Change, Kind};
use schema::{Schema, Shape};
use serde_json::Value;

#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "support/cases.rs"]
mod cases;
#[path = "support/schema.rs"]
mod schema;

/// Kinds of which only Kubernetes writes most fields, and whose few that
/// matter are part of the cases for resolvers, TLS and Ingress.
const BYSTANDERS: [Kind; 6] = [
    Kind::ConfigMap,
    Kind::EndpointSlice,
    Kind::Endpoints,
    Kind::Namespace,
    Kind::Secret,
    Kind::Service,
];

#[test]
fn every_field_has_a_case_or_a_reason() {
    let schema = Schema::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src"));
    let mut known = BTreeSet::new();
    for kind in Kind::ALL.into_iter().filter(|kind| !BYSTANDERS.contains(kind)) {
        let shape = schema.kind(kind);
        assert!(!shape.fields().is_empty(), "no fields of {kind} were found");
        paths(&schema, kind, &shape, "", &mut known);
    }
    let used = used(&schema);
    let reasons = reasons();
    let excused = |field: &(Kind, String)| {
        reasons.keys().any(|(kind, path)| {
            *kind == field.0 && (field.1 == *path || field.1.starts_with(&format!("{path}.")))
        })
    };
    let missing: Vec<_> =
        known.iter().filter(|field| !used.contains(*field) && !excused(field)).collect();
    let unknown: Vec<_> = reasons.keys().filter(|field| !known.contains(*field)).collect();
    let idle: Vec<_> = reasons.keys().filter(|field| used.contains(*field)).collect();
    assert!(missing.is_empty(), "neither case nor reason: {missing:#?}");
    assert!(unknown.is_empty(), "reasons for fields that do not exist: {unknown:#?}");
    assert!(idle.is_empty(), "reasons for fields that have a case: {idle:#?}");
}

/// Adds the path of every field below a shape.
fn paths(
    schema: &Schema,
    kind: Kind,
    shape: &Shape,
    before: &str,
    found: &mut BTreeSet<(Kind, String)>,
) {
    for (name, inner) in shape.fields() {
        let path = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        found.insert((kind, path.clone()));
        paths(schema, kind, &schema.resolve(&inner), &path, found);
    }
}

/// Returns the fields that the objects of all cases have.
fn used(schema: &Schema) -> BTreeSet<(Kind, String)> {
    let mut found = BTreeSet::new();
    for case in cases::all() {
        for change in case.changes() {
            let Change::Apply { object, .. } = change else { continue };
            let kind = object.spec.kind();
            let value = serde_json::to_value(&object.spec).unwrap();
            mark(schema, kind, &schema.kind(kind), &value, "", &mut found);
        }
    }
    found
}

fn mark(
    schema: &Schema,
    kind: Kind,
    shape: &Shape,
    value: &Value,
    before: &str,
    found: &mut BTreeSet<(Kind, String)>,
) {
    match (shape, value) {
        (Shape::Struct(fields), Value::Object(object)) => {
            for (name, value) in object {
                let Some(inner) = fields.get(name) else { continue };
                let path =
                    if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
                found.insert((kind, path.clone()));
                mark(schema, kind, &schema.resolve(inner), value, &path, found);
            }
            // The name of a label group is a key beside no others.
            if fields.len() == 2 && fields.contains_key("specifiers") {
                let specifiers = schema.resolve(&fields["specifiers"]);
                let path = format!("{before}.specifiers");
                found.insert((kind, format!("{before}.name")));
                found.insert((kind, path.clone()));
                for value in object.values() {
                    mark(schema, kind, &specifiers, value, &path, found);
                }
            }
        }
        (shape, Value::Array(list)) => {
            for value in list {
                mark(schema, kind, shape, value, before, found);
            }
        }
        (Shape::Map(inner), Value::Object(object)) => {
            let inner = schema.resolve(inner);
            let path = format!("{before}.*");
            found.insert((kind, path.clone()));
            for value in object.values() {
                mark(schema, kind, &inner, value, &path, found);
            }
        }
        _ => {}
    }
}

fn reasons() -> BTreeMap<(Kind, String), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/unsupported.txt");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (field, reason) = line.split_once(": ").expect("a line is `kind path: reason`");
            let (kind, path) = field.split_once(' ').expect("a field is `kind path`");
            let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
            ((kind.expect("the kind exists"), path.to_owned()), reason.to_owned())
        })
        .collect()
}
