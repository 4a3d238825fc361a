//! A Module without its bad settings. One Module holds settings of many kinds,
//! some of which protect: a mistake in one must not take the others along.

use std::sync::Arc;

use nuncio_api::{Diagnostic, ModuleConfig, Object, Severity, Spec};
use serde_json::Value;

use super::check;
use super::item::Item;

/// Where a Module's settings stand.
const SETTINGS: &str = "spec.config.";

/// Returns what can be used of an object: all of it when it has no errors, a
/// Module without the settings that have; `None` when nothing can.
pub(crate) fn usable(object: &Arc<Object>) -> Option<Arc<Object>> {
    let findings = check::check(&Item::own(object.clone()));
    if !check::is_unusable(&findings) {
        return Some(object.clone());
    }
    let repaired = Arc::new(without_faults(object, &findings)?);
    let left = check::check(&Item::own(repaired.clone()));
    (!check::is_unusable(&left)).then_some(repaired)
}

/// Returns a Module without the settings that errors name; `None` for other
/// objects, and for errors that are not about a setting.
fn without_faults(object: &Object, findings: &[Diagnostic]) -> Option<Object> {
    let Spec::Module(module) = &object.spec else { return None };
    let ModuleConfig::Ambassador(config) = &module.config else { return None };
    let mut settings = serde_json::to_value(config).ok()?;
    for fault in findings.iter().filter(|finding| finding.severity == Severity::Error) {
        remove(&mut settings, fault.field.strip_prefix(SETTINGS)?);
    }
    let mut repaired = module.clone();
    repaired.config = ModuleConfig::Ambassador(serde_json::from_value(settings).ok()?);
    Some(Object { spec: Spec::Module(repaired), ..object.clone() })
}

/// Removes the field at a path; a list or a map goes with its bad element.
fn remove(settings: &mut Value, path: &str) {
    let path = path.split_once('[').map_or(path, |(list, _)| list);
    match path.split_once('.') {
        Some((parent, rest)) => {
            if let Some(inner) = settings.get_mut(parent) {
                remove(inner, rest);
            }
        }
        None => {
            if let Value::Object(fields) = settings {
                fields.remove(path);
            }
        }
    }
}
