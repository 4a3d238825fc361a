//! Filters, policies and Secrets from a file or a folder of YAML.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nuncio_api::{Decoded, Kind, ObjectKey, Origin, Spec, decode};
use nuncio_authz::{FilterName, Source, Sources};
use nuncio_process::Context;
use serde_json::Value;

use crate::ads::guarded;
use crate::policies::Policies;
use crate::yaml;

/// How often files are read. Reading, unlike watching, survives every way in
/// which editors and volumes replace a file.
const INTERVAL: Duration = Duration::from_secs(1);
/// Most bytes of one file.
const MAX_FILE: u64 = 100 * 1024 * 1024;

/// Which objects of files count.
#[derive(Clone)]
pub(crate) struct Selection {
    pub(crate) ambassador_id: String,
    pub(crate) namespace: String,
}

/// Why files cannot be used at start.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{path}`")]
pub(crate) struct ReadError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// The texts of files, by path.
type Texts = BTreeMap<PathBuf, String>;

/// Reads the files, applies them, and follows their changes as an owned task.
pub(crate) fn follow(
    context: &Context,
    path: PathBuf,
    selection: Selection,
    policies: Arc<Policies>,
) -> Result<(), ReadError> {
    let mut texts = read(&path)?;
    let mut reader = Reader { selection, good: BTreeMap::new(), last: BTreeMap::new() };
    policies.apply(&reader.sources(&texts));
    let drain = context.drain.clone();
    context.tasks.spawn("policy-files", async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = drain.stopping() => return Ok(()),
            }
            let folder = path.clone();
            let found = match tokio::task::spawn_blocking(move || read(&folder)).await? {
                Ok(found) => found,
                Err(error) => {
                    let error = nuncio_process::chain(&error);
                    tracing::warn!(error, "policy files cannot be read, the last state stays");
                    continue;
                }
            };
            if found != texts {
                texts = found;
                policies.apply(&reader.sources(&texts));
            }
        }
    });
    Ok(())
}

fn read(path: &Path) -> Result<Texts, ReadError> {
    let fail = |path: &Path, source| ReadError { path: path.to_owned(), source };
    let mut texts = Texts::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let about = std::fs::metadata(&path).map_err(|error| fail(&path, error))?;
        if about.is_dir() {
            for entry in std::fs::read_dir(&path).map_err(|error| fail(&path, error))? {
                let entry = entry.map_err(|error| fail(&path, error))?.path();
                let hidden =
                    entry.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
                let yaml =
                    entry.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
                if !hidden && (yaml || entry.is_dir()) {
                    waiting.push(entry);
                }
            }
        } else if about.len() <= MAX_FILE {
            let bytes = std::fs::read(&path).map_err(|error| fail(&path, error))?;
            texts.insert(path, String::from_utf8_lossy(&bytes).into_owned());
        } else {
            tracing::error!(file = %path.display(), "file is too large and left out");
        }
    }
    Ok(texts)
}

struct Reader {
    selection: Selection,
    /// The objects of each file as it last could be read.
    good: BTreeMap<PathBuf, Vec<(usize, Value)>>,
    /// Filters and policies as they last could be understood.
    last: BTreeMap<ObjectKey, Spec>,
}

impl Reader {
    /// Reads every text; one that is not YAML stands for what it last said, and
    /// so does an object that cannot be understood.
    fn sources(&mut self, texts: &Texts) -> Sources {
        self.good.retain(|path, _| texts.contains_key(path));
        let mut reading = Reading {
            selection: &self.selection,
            before: std::mem::take(&mut self.last),
            understood: BTreeMap::new(),
            sources: Sources::default(),
        };
        for (path, text) in texts {
            match yaml::parse(text) {
                Ok(documents) => {
                    self.good.insert(path.clone(), documents);
                }
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "file is not YAML, its last good state stays");
                }
            }
            for (line, document) in self.good.get(path).into_iter().flatten() {
                reading.document(path, *line, document);
            }
        }
        self.last = reading.understood;
        reading.sources
    }
}

/// One reading of all files.
struct Reading<'a> {
    selection: &'a Selection,
    /// What the reading before understood.
    before: BTreeMap<ObjectKey, Spec>,
    understood: BTreeMap<ObjectKey, Spec>,
    sources: Sources,
}

impl Reading<'_> {
    fn document(&mut self, path: &Path, line: usize, document: &Value) {
        if let Some(items) = document.get("items").and_then(Value::as_array) {
            items.iter().for_each(|item| self.object(path, line, item));
        } else if !document.is_null() {
            self.object(path, line, document);
        }
    }

    fn object(&mut self, path: &Path, line: usize, value: &Value) {
        let origin = Origin {
            file: Some(path.to_string_lossy().into()),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            ..Origin::default()
        };
        let reading = nuncio_api::Reading::of_namespace(self.selection.namespace.clone());
        match decode(value.clone(), origin, &reading) {
            Decoded::Foreign => {}
            Decoded::Object { object, findings } => {
                findings.iter().for_each(|finding| tracing::warn!("{finding}"));
                let key = object.key();
                self.add(&key, object.spec);
            }
            Decoded::Broken { key, findings } => {
                findings.iter().for_each(|finding| tracing::error!("{finding}"));
                if let Some(key) = key {
                    self.broken(&key, value);
                }
            }
        }
    }

    /// An object that cannot be understood: its last good version stays, and
    /// what it was to guard is closed where there is none.
    fn broken(&mut self, key: &ObjectKey, value: &Value) {
        if let Some(spec) = self.before.get(key) {
            return self.add(key, spec.clone());
        }
        let rejected = Some("the object cannot be read".to_owned());
        if key.kind == Kind::Filter {
            self.sources.filters.insert(name(key), Source { spec: None, rejected });
        } else if key.kind == Kind::FilterPolicy {
            let spec = value.get("spec").and_then(guarded);
            self.sources.policies.insert(name(key), Source { spec, rejected });
        }
    }

    fn add(&mut self, key: &ObjectKey, spec: Spec) {
        if matches!(spec, Spec::Filter(_) | Spec::FilterPolicy(_)) {
            self.understood.insert(key.clone(), spec.clone());
        }
        match spec {
            Spec::Filter(filter) if self.is_ours(filter.ambassador_ids()) => {
                self.sources.filters.insert(name(key), Source::accepted(*filter));
            }
            Spec::FilterPolicy(policy) if self.is_ours(policy.ambassador_ids()) => {
                self.sources.policies.insert(name(key), Source::accepted(*policy));
            }
            Spec::Secret(secret) => {
                self.sources.secrets.insert(name(key), secret.data);
            }
            _ => {}
        }
    }

    fn is_ours(&self, ids: &[String]) -> bool {
        let own = &self.selection.ambassador_id;
        if ids.is_empty() { own == "default" } else { ids.contains(own) }
    }
}

fn name(key: &ObjectKey) -> FilterName {
    FilterName { namespace: key.namespace.clone(), name: key.name.clone() }
}
