//! `nuncio convert`: objects of older versions as current ones.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use nuncio_api::{Change, Diagnostic, Object, Reading, Severity};
use nuncio_source::load;
use serde_json::{Map, Value, json};

use crate::output;

/// Print the gateway's objects in a folder as getambassador.io/v3alpha1.
///
/// Objects of v1 and v2, and those in annotations, become free-standing
/// objects of the current version; `$NAME` stays as it is written. Prints YAML
/// in the order of the files. What cannot be converted, or would be lost, is
/// told on standard error; exits 1 if an object cannot be converted. Nothing
/// is written to the folder: Nuncio reads the older versions as they are.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Folder of YAML and JSON files, with all folders below it.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(crate) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut objects = Vec::new();
    let mut findings: Vec<Diagnostic> = Vec::new();
    for change in load(&settings.folder, &Reading::default())? {
        match change {
            Change::Apply { object, findings: found } => {
                findings.extend(found);
                objects.extend(object.spec.kind().is_emissary().then_some(object));
            }
            Change::Broken { findings: found, .. } | Change::Input { findings: found, .. } => {
                findings.extend(found);
            }
            Change::Delete(_)
            | Change::Registered { .. }
            | Change::File { .. }
            | Change::Refused { .. } => {}
        }
    }
    objects.sort_by(|a, b| (&a.origin, a.key()).cmp(&(&b.origin, b.key())));
    for object in &objects {
        output::text(&yaml(object)?);
    }
    findings.sort_by(|a, b| a.origin.cmp(&b.origin));
    findings.iter().for_each(output::complaint);
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Returns one document.
fn yaml(object: &Object) -> anyhow::Result<String> {
    let text = serde_saphyr::to_string(&current(object)?)
        .with_context(|| format!("{} has no YAML form", object.key()))?;
    Ok(format!("---\n{}\n", text.trim_start_matches("---\n").trim_end()))
}

/// Returns an object as a free-standing one of the current version.
fn current(object: &Object) -> anyhow::Result<Value> {
    let meta = &object.meta;
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(meta.name));
    if !meta.namespace.is_empty() {
        metadata.insert("namespace".to_owned(), json!(meta.namespace));
    }
    let mut annotations = meta.annotations.clone();
    // It holds the object as it was.
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    for (name, texts) in [("labels", &meta.labels), ("annotations", &annotations)] {
        if !texts.is_empty() {
            metadata.insert(name.to_owned(), json!(texts));
        }
    }
    Ok(json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": object.spec.kind().as_str(),
        "metadata": metadata,
        "spec": serde_json::to_value(&object.spec)?,
    }))
}

#[cfg(test)]
mod tests {
    use nuncio_testing::manifests;

    use super::*;

    #[test]
    fn an_older_object_becomes_a_current_one() {
        let object = manifests::object(
            "apiVersion: getambassador.io/v2\nkind: Mapping\n\
             metadata: {name: m, namespace: shop, labels: {a: b}}\n\
             spec: {ambassador_id: blue, host: a.test, prefix: /m/, service: m, tls: true,\n  \
             headers: {x-a: true, x-b: $NAME}}\n",
        );
        assert_eq!(
            current(&object).unwrap(),
            json!({
                "apiVersion": "getambassador.io/v3alpha1",
                "kind": "Mapping",
                "metadata": {"name": "m", "namespace": "shop", "labels": {"a": "b"}},
                "spec": {
                    "ambassador_id": ["blue"], "hostname": "a.test", "prefix": "/m/",
                    "service": "https://m", "headers": {"x-b": "$NAME"},
                    "regex_headers": {"x-a": ".*"},
                },
            })
        );
    }

    /// Objects of every kind, older and current: reading back what is printed
    /// gives the same object.
    #[test]
    fn what_is_printed_means_what_was_read() {
        let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../crates/compiler/tests/golden");
        let mut compared = 0;
        for change in load(&cases, &Reading::default()).unwrap() {
            let Change::Apply { object, .. } = change else { continue };
            if !object.spec.kind().is_emissary() {
                continue;
            }
            let text = yaml(&object).unwrap();
            let read = Reading::default();
            let again = manifests::changes_with("again.yaml", &text, &read);
            let [Change::Apply { object: again, .. }] = again.as_slice() else {
                panic!("{}\n{text}\n{again:#?}", object.key());
            };
            assert_eq!(
                (&again.spec, &again.meta.labels),
                (&object.spec, &object.meta.labels),
                "{text}"
            );
            compared += 1;
        }
        assert!(compared > 50, "{compared}");
    }
}
