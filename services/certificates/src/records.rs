//! Where accounts, issues under way and histories are kept.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use nuncio_renewal::plan::SecretId;

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shelf {
    /// Accounts, by the Secret of their key.
    Accounts,
    /// Issues under way, by the Secret of the pair.
    Inflight,
    /// What happened to certificates, by the Secret of the pair.
    History,
}

impl Shelf {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Inflight => "inflight",
            Self::History => "history",
        }
    }
}

/// A record could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} record `{path}`")]
pub(crate) struct RecordsError {
    action: &'static str,
    path: String,
    #[source]
    source: std::io::Error,
}

/// Keeps records; a record that was put survives a crash right after.
#[async_trait]
pub(crate) trait Records: Send + Sync {
    /// Puts a record in place of a former one.
    async fn put(&self, shelf: Shelf, id: &SecretId, bytes: Vec<u8>) -> Result<(), RecordsError>;
    /// Reads a record.
    async fn take(&self, shelf: Shelf, id: &SecretId) -> Result<Option<Vec<u8>>, RecordsError>;
    /// Removes a record, if there is one.
    async fn remove(&self, shelf: Shelf, id: &SecretId) -> Result<(), RecordsError>;
    /// Reads all records of a shelf.
    async fn all(&self, shelf: Shelf) -> Result<BTreeMap<SecretId, Vec<u8>>, RecordsError>;
}

/// Records as JSON files `<folder>/<shelf>/<namespace>/<name>`, folders 0700
/// and files 0600, for they hold private keys.
///
/// One process at a time: a lock on the folder is held as long as this lives.
#[derive(Debug, Clone)]
pub(crate) struct FileRecords {
    folder: Arc<Path>,
    _lock: Arc<File>,
}

impl FileRecords {
    /// Opens a folder, which is made when missing.
    pub(crate) fn open(folder: &Path) -> Result<Self, RecordsError> {
        let fault = |action| {
            move |source| RecordsError { action, path: folder.display().to_string(), source }
        };
        private_folder(folder).map_err(fault("make the folder of"))?;
        let lock = File::create(folder.join("lock")).map_err(fault("lock the folder of"))?;
        lock.try_lock()
            .map_err(std::io::Error::from)
            .map_err(fault("lock (does another manager run?) the folder of"))?;
        Ok(Self { folder: folder.into(), _lock: Arc::new(lock) })
    }

    fn path(&self, shelf: Shelf, id: &SecretId) -> PathBuf {
        let folder = self.folder.join(shelf.as_str()).join(file_name(&id.namespace));
        folder.join(file_name(&id.name))
    }

    /// Runs file work where it may block, and names what failed.
    async fn blocking<T: Send + 'static>(
        action: &'static str,
        path: PathBuf,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, RecordsError> {
        let shown = path.display().to_string();
        tokio::task::spawn_blocking(move || work(&path))
            .await
            .unwrap_or_else(|_| Err(std::io::Error::other("the work was cut short")))
            .map_err(|source| RecordsError { action, path: shown, source })
    }
}

#[async_trait]
impl Records for FileRecords {
    async fn put(&self, shelf: Shelf, id: &SecretId, bytes: Vec<u8>) -> Result<(), RecordsError> {
        Self::blocking("write", self.path(shelf, id), move |path| write(path, &bytes)).await
    }

    async fn take(&self, shelf: Shelf, id: &SecretId) -> Result<Option<Vec<u8>>, RecordsError> {
        Self::blocking("read", self.path(shelf, id), |path| absent(fs::read(path))).await
    }

    async fn remove(&self, shelf: Shelf, id: &SecretId) -> Result<(), RecordsError> {
        let work = |path: &Path| match absent(fs::remove_file(path))? {
            Some(()) => sync_folder(path),
            None => Ok(()),
        };
        Self::blocking("remove", self.path(shelf, id), work).await
    }

    async fn all(&self, shelf: Shelf) -> Result<BTreeMap<SecretId, Vec<u8>>, RecordsError> {
        Self::blocking("list", self.folder.join(shelf.as_str()), list).await
    }
}

/// Writes beside, flushes, renames, flushes the folder: after a crash there is
/// the old record or the new one, whole.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().expect("a record lies in a folder");
    private_folder(folder)?;
    let mut beside = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    beside.write_all(bytes)?;
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|error| error.error)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path.parent().expect("a record lies in a folder"))?.sync_all()
}

fn private_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn list(folder: &Path) -> std::io::Result<BTreeMap<SecretId, Vec<u8>>> {
    let mut records = BTreeMap::new();
    let Some(namespaces) = absent(fs::read_dir(folder))? else { return Ok(records) };
    for namespace in namespaces {
        let namespace = namespace?;
        for file in fs::read_dir(namespace.path())? {
            let file = file?;
            // What a crash left of an unfinished write begins with a dot.
            let (Some(namespace), Some(name)) =
                (text_of(&namespace.file_name()), text_of(&file.file_name()))
            else {
                continue;
            };
            records.insert(SecretId { namespace, name }, fs::read(file.path())?);
        }
    }
    Ok(records)
}

fn absent<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns a file name for an object's name: the name itself, with what could
/// lead out of the folder written as `%` and two hexadecimal digits.
fn file_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'.' && index > 0);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    out
}

/// Undoes [`file_name`]; `None` for files that are no records.
fn text_of(name: &std::ffi::OsStr) -> Option<String> {
    let name = name.to_str()?;
    if name.starts_with('.') {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(namespace: &str, name: &str) -> SecretId {
        SecretId { namespace: namespace.into(), name: name.into() }
    }

    #[tokio::test]
    async fn records_are_private_whole_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("records");
        let records = FileRecords::open(&root).unwrap();
        let hostile = id("../..", "/etc/%p..");
        for id in [id("default", "a.org"), hostile.clone()] {
            assert_eq!(records.take(Shelf::Inflight, &id).await.unwrap(), None);
            records.put(Shelf::Inflight, &id, b"one".to_vec()).await.unwrap();
            records.put(Shelf::Inflight, &id, b"two".to_vec()).await.unwrap();
            assert_eq!(records.take(Shelf::Inflight, &id).await.unwrap(), Some(b"two".to_vec()));
            let mode = fs::metadata(records.path(Shelf::Inflight, &id)).unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing leads outside");
        let all = records.all(Shelf::Inflight).await.unwrap();
        assert_eq!(all.keys().cloned().collect::<Vec<_>>(), [hostile, id("default", "a.org")]);
        records.remove(Shelf::Inflight, &id("default", "a.org")).await.unwrap();
        records.remove(Shelf::Inflight, &id("default", "a.org")).await.unwrap();
        assert_eq!(records.all(Shelf::Inflight).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_folder_serves_one_manager_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = FileRecords::open(folder.path()).unwrap();
        assert!(FileRecords::open(folder.path()).is_err());
        drop(first);
        FileRecords::open(folder.path()).unwrap();
    }
}
