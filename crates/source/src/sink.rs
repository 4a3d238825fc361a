//! Status and Secrets back to where objects come from.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nuncio_api::core::Secret;
use nuncio_api::{Kind, ObjectKey};
use serde_json::{Value, json};
use tokio::sync::Notify;

mod files;

/// Takes status and Secrets back. Clones share one place.
///
/// Folder mode: files of the state folder, each replaced whole, for the owner
/// alone. A Secret written here comes back as an object of the source, unless
/// the user's folder has one of the same name; it survives restarts.
#[derive(Debug, Clone)]
pub struct Sink {
    state: Arc<Path>,
    /// Wakes the source, which reads Secrets back.
    nudge: Option<Arc<Notify>>,
}

/// Why something could not be written or read back.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The status of an object.
    #[error("failed to write the status of {key}")]
    WriteStatus {
        /// The object.
        key: ObjectKey,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The status of an object.
    #[error("failed to read the status of {key}")]
    ReadStatus {
        /// The object.
        key: ObjectKey,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A Secret.
    #[error("failed to write {key}")]
    WriteSecret {
        /// The Secret.
        key: ObjectKey,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Sink {
    pub(crate) fn folder(state: PathBuf) -> Self {
        Self { state: Arc::from(state), nudge: None }
    }

    pub(crate) fn nudging(self, nudge: Arc<Notify>) -> Self {
        Self { nudge: Some(nudge), ..self }
    }

    pub(crate) fn secrets_folder(&self) -> PathBuf {
        self.state.join("secrets")
    }

    /// Makes the folders.
    pub(crate) async fn prepare(&self) -> io::Result<()> {
        let (state, secrets) = (Arc::clone(&self.state), self.secrets_folder());
        blocking(move || {
            files::make_folder(&secrets)?;
            // What is kept here is nobody's to commit, keys least of all.
            files::replace(&state.join(".gitignore"), b"*\n")
        })
        .await
    }

    /// Writes the status of an object; the same status again costs nothing.
    ///
    /// # Errors
    /// The file cannot be written; the earlier status is still there.
    pub async fn write_status(&self, key: &ObjectKey, status: &Value) -> Result<(), SinkError> {
        let path = self.status_path(key);
        let text = pretty(status);
        blocking(move || files::replace(&path, text.as_bytes()))
            .await
            .map_err(|source| SinkError::WriteStatus { key: key.clone(), source })
    }

    /// Removes the status of an object that is gone.
    ///
    /// # Errors
    /// The file cannot be removed; a missing one is no error.
    pub async fn remove_status(&self, key: &ObjectKey) -> Result<(), SinkError> {
        let path = self.status_path(key);
        blocking(move || files::remove(&path))
            .await
            .map_err(|source| SinkError::WriteStatus { key: key.clone(), source })
    }

    /// Reads back the status of an object; `None` when there is none, or none
    /// that is JSON.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub async fn read_status(&self, key: &ObjectKey) -> Result<Option<Value>, SinkError> {
        let path = self.status_path(key);
        let bytes = blocking(move || files::read(&path))
            .await
            .map_err(|source| SinkError::ReadStatus { key: key.clone(), source })?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes a Secret that the gateway made, whole: once this returns it
    /// survives a crash of the machine.
    ///
    /// # Errors
    /// The file cannot be written; the earlier Secret is still there.
    pub async fn write_secret(
        &self,
        namespace: &str,
        name: &str,
        secret: &Secret,
    ) -> Result<(), SinkError> {
        let key = ObjectKey::new(Kind::Secret, namespace, name);
        let object = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                // Tells what the gateway may replace from what it may not.
                "labels": {"app.kubernetes.io/managed-by": "nuncio"},
            },
        });
        let text = with_secret(object, secret);
        let path = self.secret_path(namespace, name);
        let written = blocking(move || files::replace(&path, text.as_bytes())).await;
        self.wake();
        written.map_err(|source| SinkError::WriteSecret { key, source })
    }

    /// Removes a Secret that the gateway made.
    ///
    /// # Errors
    /// The file cannot be removed; a missing one is no error.
    pub async fn remove_secret(&self, namespace: &str, name: &str) -> Result<(), SinkError> {
        let path = self.secret_path(namespace, name);
        let removed = blocking(move || files::remove(&path)).await;
        self.wake();
        removed.map_err(|source| SinkError::WriteSecret {
            key: ObjectKey::new(Kind::Secret, namespace, name),
            source,
        })
    }

    fn wake(&self) {
        if let Some(nudge) = &self.nudge {
            nudge.notify_one();
        }
    }

    /// Shape: `status/<Kind>/<namespace>/<name>.json`; objects of annotations
    /// have their carrier's names before theirs.
    fn status_path(&self, key: &ObjectKey) -> PathBuf {
        let mut name = key.name.clone();
        if let Some(carrier) = &key.carrier {
            let n = carrier.index;
            name = format!("{}/{}/{n}/{name}", carrier.kind, carrier.name);
        }
        let folder = self.state.join("status").join(key.kind.as_str());
        folder.join(files::encoded(&key.namespace)).join(files::encoded(&name) + ".json")
    }

    /// Shape: `secrets/<namespace>/<name>.json`.
    fn secret_path(&self, namespace: &str, name: &str) -> PathBuf {
        let folder = self.secrets_folder().join(files::encoded(namespace));
        folder.join(files::encoded(name) + ".json")
    }
}

fn with_secret(mut object: Value, secret: &Secret) -> String {
    if let Ok(Value::Object(fields)) = serde_json::to_value(secret)
        && let Value::Object(object) = &mut object
    {
        object.extend(fields);
    }
    pretty(&object)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    async fn sink() -> (tempfile::TempDir, Sink) {
        let folder = tempfile::tempdir().unwrap();
        let sink = Sink::folder(folder.path().join("state"));
        sink.prepare().await.unwrap();
        (folder, sink)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn status_is_written_read_and_removed() {
        let (_folder, sink) = sink().await;
        let key = ObjectKey::new(Kind::Host, "ns", "x");
        assert_eq!(sink.read_status(&key).await.unwrap(), None);
        let status = json!({"state": "Ready"});
        sink.write_status(&key, &status).await.unwrap();
        assert_eq!(sink.read_status(&key).await.unwrap(), Some(status));
        sink.remove_status(&key).await.unwrap();
        sink.remove_status(&key).await.unwrap();
        assert_eq!(sink.read_status(&key).await.unwrap(), None);
    }

    #[tokio::test]
    async fn secrets_are_for_the_owner_alone() {
        let (_folder, sink) = sink().await;
        let mut secret = Secret { kind: "Opaque".to_owned(), ..Secret::default() };
        secret.data.insert("k".to_owned(), b"v".to_vec());
        sink.write_secret("ns", "s", &secret).await.unwrap();
        let path = sink.secrets_folder().join("ns/s.json");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(&sink.secrets_folder()), 0o700);
        let kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(kept["data"]["k"], "dg==");
        sink.remove_secret("ns", "s").await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn names_never_lead_out_of_the_state_folder() {
        let (folder, sink) = sink().await;
        let long = "x".repeat(5000);
        for name in ["../../../etc/passwd", "..", ".", "", "a/b", "/abs", &long, "a\0b"] {
            sink.write_secret(name, name, &Secret::default()).await.unwrap();
            let key = ObjectKey::new(Kind::Host, name, name);
            sink.write_status(&key, &json!(1)).await.unwrap();
            assert_eq!(sink.read_status(&key).await.unwrap(), Some(json!(1)), "{name}");
        }
        let beside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(beside.len(), 1);
    }
}
