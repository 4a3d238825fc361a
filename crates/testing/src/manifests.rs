//! YAML text into objects, for tests that start from what users write.

use std::sync::Arc;

use nuncio_api::manifest::{Format, Item, Manifest};
use nuncio_api::{Change, Diagnostic, Object, Reading};

/// Reads YAML documents as the file `test.yaml`, namespace `default`.
///
/// Returns what a source would tell of them: one change an object and, where
/// the text itself is at fault, one about the file.
pub fn changes(text: &str) -> Vec<Change> {
    changes_of("test.yaml", text)
}

/// Like [`changes`], with the name of the file.
pub fn changes_of(name: &str, text: &str) -> Vec<Change> {
    changes_with(name, text, &Reading::of_namespace("default"))
}

/// Like [`changes_of`], read as a gateway of the caller's would.
pub fn changes_with(name: &str, text: &str, reading: &Reading) -> Vec<Change> {
    let name: Arc<str> = Arc::from(name);
    let mut changes =
        Manifest::read(&name, text.as_bytes(), Format::Yaml, reading).into_changes(name);
    changes
        .retain(|change| !matches!(change, Change::Input { findings, .. } if findings.is_empty()));
    changes
}

/// Reads YAML documents that must all be good objects, unknown fields
/// included among the mistakes.
///
/// # Panics
/// Any finding.
pub fn objects(text: &str) -> Vec<Arc<Object>> {
    let manifest = Manifest::read(
        &Arc::from("test.yaml"),
        text.as_bytes(),
        Format::Yaml,
        &Reading::of_namespace("default"),
    );
    let good = |item: Item| match item {
        Item::Good { object, findings } if findings.is_empty() => object,
        Item::Good { findings, .. } | Item::Bad { findings, .. } => complain(&findings),
    };
    if !manifest.findings.is_empty() {
        complain(&manifest.findings);
    }
    manifest.items.into_iter().map(good).collect()
}

/// Reads one YAML document that must be a good object.
///
/// # Panics
/// Any finding, and more or fewer objects than one.
pub fn object(text: &str) -> Arc<Object> {
    let mut objects = objects(text);
    assert_eq!(objects.len(), 1, "the text should hold one object");
    objects.remove(0)
}

fn complain(findings: &[Diagnostic]) -> ! {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    panic!("the manifest has faults:\n{}", lines.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_objects_come_out_and_bad_ones_are_told() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
        assert_eq!(object(text).meta.name, "a");
        assert!(matches!(changes(text).as_slice(), [Change::Apply { .. }]));
        let bad = "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {name: m}\n";
        assert!(matches!(changes(bad).as_slice(), [Change::Broken { .. }]));
        assert!(matches!(changes("a: [").as_slice(), [Change::Input { .. }]));
    }
}
