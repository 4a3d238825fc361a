//! A Module without its bad settings. One Module holds settings of many kinds,
//! some of which protect: a mistake in one must not take the others along.

use std::sync::Arc;

use nuncio_api::{Diagnostic, ModuleConfig, Object, Severity, Spec};
use serde_json::{Map, Value};

use super::check::{self, Checked};
use super::item::Item;
use super::refusals::{REFUSED, Refusals};

/// Where a Module's settings stand.
const SETTINGS: &str = "spec.config.";

/// Returns what can be used of an object: all of it when it has no errors, a
/// Module without the settings that have; `None` when nothing can.
///
/// For a setting that Envoy refused, what an `earlier` version says stands in,
/// the last one whose word can be used. Oldest first.
pub(crate) fn usable(
    object: &Arc<Object>,
    refused: &Refusals,
    earlier: &[&Arc<Object>],
) -> Option<Arc<Object>> {
    let findings = judge(object, refused).findings;
    if !check::is_unusable(&findings) {
        return Some(object.clone());
    }
    let mut settings = settings(object)?;
    let mut refused_settings = Vec::new();
    for fault in findings.iter().filter(|finding| finding.severity == Severity::Error) {
        let path = setting(fault)?;
        place(&mut settings, path, None);
        if fault.code == REFUSED && !refused_settings.contains(&path) {
            refused_settings.push(path);
        }
    }
    let usable = |settings: &Value| {
        let object = Arc::new(with_settings(object, settings)?);
        let findings = judge(&object, refused).findings;
        (!check::is_unusable(&findings)).then_some(object)
    };
    let mut repaired = usable(&settings)?;
    for path in refused_settings {
        for version in earlier.iter().rev() {
            // Absence is a word too.
            let Some(value) = value_at(version, path) else { break };
            let mut restored = settings.clone();
            place(&mut restored, path, Some(value));
            if let Some(object) = usable(&restored) {
                (settings, repaired) = (restored, object);
                break;
            }
        }
    }
    Some(repaired)
}

/// Returns what a Module says at the field that a finding names.
pub(crate) fn value(object: &Object, finding: &Diagnostic) -> Option<Value> {
    value_at(object, setting(finding)?)
}

fn judge(object: &Arc<Object>, refused: &Refusals) -> Checked {
    check::check(&Item::own(object.clone()), refused)
}

/// Returns the path of the setting that a finding is about; a list or a map is
/// bad with its element.
fn setting(finding: &Diagnostic) -> Option<&str> {
    let path = finding.field.strip_prefix(SETTINGS)?;
    Some(path.split_once('[').map_or(path, |(list, _)| list))
}

fn settings(object: &Object) -> Option<Value> {
    let Spec::Module(module) = &object.spec else { return None };
    let ModuleConfig::Ambassador(config) = &module.config else { return None };
    serde_json::to_value(config).ok()
}

fn with_settings(object: &Object, settings: &Value) -> Option<Object> {
    let Spec::Module(module) = &object.spec else { return None };
    let mut repaired = module.clone();
    repaired.config = ModuleConfig::Ambassador(serde_json::from_value(settings.clone()).ok()?);
    Some(Object { spec: Spec::Module(repaired), ..object.clone() })
}

fn value_at(object: &Object, path: &str) -> Option<Value> {
    let mut found = settings(object)?;
    for part in path.split('.') {
        found = found.get_mut(part)?.take();
    }
    Some(found)
}

/// Puts a value at a path, or takes away what stands there.
fn place(settings: &mut Value, path: &str, value: Option<Value>) {
    let Value::Object(fields) = settings else { return };
    match (path.split_once('.'), value) {
        (Some((parent, rest)), Some(value)) => {
            let parent = fields.entry(parent).or_insert_with(|| Value::Object(Map::new()));
            place(parent, rest, Some(value));
        }
        (Some((parent, rest)), None) => {
            if let Some(inner) = fields.get_mut(parent) {
                place(inner, rest, None);
            }
        }
        (None, Some(value)) => drop(fields.insert(path.to_owned(), value)),
        (None, None) => drop(fields.remove(path)),
    }
}
