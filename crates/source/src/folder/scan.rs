//! One look at the folder after another: which files changed, and whether
//! what they say now is to be believed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nuncio_api::manifest::{Format, Item, Manifest, TOO_LARGE};
use nuncio_api::{Change, Diagnostic, Origin, Reading, Severity, Spec};

use super::catalog::Catalog;
use super::walk::{self, Signature};

/// Code: a file or folder that the system does not let us read.
pub const UNREADABLE: &str = "unreadable";

/// Reads a folder again and again, each time only what changed.
#[derive(Debug)]
pub(super) struct Scanner {
    folder: PathBuf,
    /// The state folder, if there is one: no source of manifests, except of
    /// the Secrets that the gateway made.
    state: Option<PathBuf>,
    reading: Reading,
    catalog: Catalog,
    files: BTreeMap<Arc<str>, Seen>,
    made_files: BTreeMap<Arc<str>, Signature>,
}

/// A file as it was last read.
#[derive(Debug)]
struct Seen {
    signature: Signature,
    hash: u64,
    /// When it was read, while a write within the clock's grain may follow
    /// unnoticed.
    fresh: Option<Instant>,
    /// Since when its text, or its absence, waits for a second look.
    doubt: Option<Doubt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Doubt {
    since: Instant,
    /// Hash of the doubtful text; `None` for a file that is not there.
    hash: Option<u64>,
}

/// What a look has found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) changes: Vec<Change>,
    /// Something is in doubt: look again after this time.
    pub(super) again: Option<Duration>,
}

impl Scanner {
    pub(super) fn new(folder: PathBuf, state: Option<PathBuf>, reading: Reading) -> Self {
        Self {
            folder,
            state,
            reading,
            catalog: Catalog::default(),
            files: BTreeMap::new(),
            made_files: BTreeMap::new(),
        }
    }

    /// Reads everything; what is there counts.
    ///
    /// # Errors
    /// The folder itself cannot be read.
    pub(super) fn first(&mut self) -> io::Result<Vec<Change>> {
        let listing = walk::list(&self.folder, self.state.as_deref())?;
        self.files(&listing, Instant::now(), true);
        self.read_made();
        Ok(self.catalog.changes())
    }

    /// Reads what changed since the last look.
    pub(super) fn next(&mut self, now: Instant) -> Look {
        let root: Arc<str> = Arc::from(ROOT);
        match walk::list(&self.folder, self.state.as_deref()) {
            Ok(listing) => {
                self.catalog.outer(&root, Vec::new());
                self.files(&listing, now, false);
            }
            Err(error) => {
                let finding = unreadable(ROOT, &error, "the last state stays in effect");
                self.catalog.outer(&root, vec![finding]);
            }
        }
        self.read_made();
        let doubtful = self.files.values().any(|seen| seen.doubt.is_some() || seen.fresh.is_some());
        Look { changes: self.catalog.changes(), again: doubtful.then_some(DOUBT) }
    }

    fn files(&mut self, listing: &walk::Listing, now: Instant, trusting: bool) {
        let mut failed: BTreeSet<Arc<str>> = BTreeSet::new();
        for (name, error) in &listing.failed {
            let finding = unreadable(name, error, "its last objects stay in effect");
            self.catalog.outer(name, vec![finding]);
            failed.insert(Arc::clone(name));
        }
        for (name, (path, signature)) in &listing.files {
            if let Err(finding) = self.file(name, path, *signature, now, trusting) {
                self.catalog.outer(name, vec![*finding]);
                failed.insert(Arc::clone(name));
            }
        }
        for name in self.catalog.outer_names() {
            if &*name != ROOT && !failed.contains(&name) {
                self.catalog.outer(&name, Vec::new());
            }
        }
        let gone: Vec<Arc<str>> = self
            .files
            .keys()
            .filter(|name| !listing.files.contains_key(*name) && !below_any(name, &failed))
            .cloned()
            .collect();
        for name in gone {
            self.gone(&name, now);
        }
    }

    /// A file that is not there may be about to come back: editors take the
    /// old one away before they put the new one.
    fn gone(&mut self, name: &Arc<str>, now: Instant) {
        let Some(seen) = self.files.get_mut(name) else { return };
        let doubt = match seen.doubt {
            Some(doubt) if doubt.hash.is_none() => doubt,
            _ => *seen.doubt.insert(Doubt { since: now, hash: None }),
        };
        if now.duration_since(doubt.since) >= DOUBT {
            self.files.remove(name);
            self.catalog.remove(name);
        }
    }

    fn file(
        &mut self,
        name: &Arc<str>,
        path: &Path,
        signature: Signature,
        now: Instant,
        trusting: bool,
    ) -> Result<(), Box<Diagnostic>> {
        let seen = self.files.get(name);
        let unchanged = seen.is_some_and(|seen| {
            seen.signature == signature
                && seen.doubt.is_none()
                && seen.fresh.is_none_or(|read| now.duration_since(read) < GRAIN)
        });
        if unchanged {
            return Ok(());
        }
        let bytes = read(name, path, signature)?;
        let hash = hash(&bytes);
        // A new version may be written within the clock's grain after this.
        let moved = seen.is_none_or(|seen| seen.signature != signature);
        let fresh = (moved && signature.is_recent()).then_some(now);
        if let Some(seen) = self.files.get_mut(name).filter(|seen| seen.hash == hash) {
            *seen = Seen { signature, hash, fresh, doubt: None };
            return Ok(());
        }
        let format = if name.ends_with(".json") { Format::Json } else { Format::Yaml };
        let manifest = Manifest::read(name, &bytes, format, &self.reading);
        if !trusting && self.is_doubtful(name, &bytes, &manifest) {
            let doubt = Doubt { since: now, hash: Some(hash) };
            // A file never seen has no last version to keep meanwhile.
            let seen = self.files.entry(Arc::clone(name)).or_insert(Seen {
                signature,
                hash: 0,
                fresh: None,
                doubt: None,
            });
            let held = match seen.doubt {
                Some(held) if held.hash == Some(hash) => held,
                _ => *seen.doubt.insert(doubt),
            };
            if now.duration_since(held.since) < DOUBT {
                return Ok(());
            }
        }
        self.files.insert(Arc::clone(name), Seen { signature, hash, fresh, doubt: None });
        self.catalog.put(name, manifest);
        Ok(())
    }

    /// Text that looks half-written gets a second look before it counts.
    fn is_doubtful(&self, name: &str, bytes: &[u8], manifest: &Manifest) -> bool {
        let fewer = manifest.items.len() < self.catalog.count(name);
        let empty = fewer && manifest.items.is_empty();
        let unfinished = bytes.last().is_none_or(|byte| *byte != b'\n');
        let bad = manifest.items.iter().any(|item| matches!(item, Item::Bad { .. }));
        manifest.partial || empty || (unfinished && (fewer || bad))
    }

    fn read_made(&mut self) {
        let Some(state) = &self.state else { return };
        // What cannot be read back is treated as not there: it is the
        // gateway's own, and is made again.
        let listing = walk::list(&state.join("secrets"), None).unwrap_or_default();
        let now: BTreeMap<Arc<str>, Signature> = listing
            .files
            .iter()
            .map(|(name, (_, signature))| (Arc::clone(name), *signature))
            .collect();
        if now == self.made_files {
            return;
        }
        // What the gateway made is there for it, whatever it selects else.
        let reading = Reading::of_namespace(self.reading.default_namespace.clone());
        let mut items = Vec::new();
        for (name, (path, signature)) in &listing.files {
            let Ok(bytes) = read(name, path, *signature) else { continue };
            let name = Arc::from(path.to_string_lossy());
            let manifest = Manifest::read(&name, &bytes, Format::Json, &reading);
            items.extend(manifest.items.into_iter().filter(|item| {
                matches!(item, Item::Good { object, .. } if matches!(object.spec, Spec::Secret(_)))
            }));
        }
        self.catalog.made(items);
        self.made_files = now;
    }
}

fn read(name: &str, path: &Path, signature: Signature) -> Result<Vec<u8>, Box<Diagnostic>> {
    if signature.size > FILE_MAX {
        return Err(Box::new(too_large(name, signature.size)));
    }
    let failed = |error| Box::new(unreadable(name, &error, "its last objects stay in effect"));
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::with_capacity(usize::try_from(signature.size).unwrap_or(0) + 1);
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    let size = bytes.len() as u64;
    if size > FILE_MAX { Err(Box::new(too_large(name, size))) } else { Ok(bytes) }
}

fn unreadable(name: &str, error: &io::Error, meanwhile: &str) -> Diagnostic {
    finding(
        name,
        UNREADABLE,
        format!("cannot be read: {error}; {meanwhile}"),
        "make it readable or remove it",
    )
}

fn too_large(name: &str, size: u64) -> Diagnostic {
    let mebibyte = 1 << 20;
    finding(
        name,
        TOO_LARGE,
        format!(
            "the file has {} MiB, and {} MiB is the most that is read; its last objects stay in \
             effect",
            size.div_ceil(mebibyte),
            FILE_MAX / mebibyte
        ),
        "split it into smaller files",
    )
}

fn finding(name: &str, code: &'static str, message: String, remedy: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code,
        object: None,
        origin: Origin { file: Some(Arc::from(name)), line: 0, carrier: None },
        field: String::new(),
        message,
        remedy: remedy.to_owned(),
    }
}

fn below_any(name: &str, folders: &BTreeSet<Arc<str>>) -> bool {
    folders.iter().any(|folder| {
        name.strip_prefix(&**folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// What diagnostics call the folder itself.
const ROOT: &str = ".";

/// Bytes of one file at most: some 300,000 Mappings.
const FILE_MAX: u64 = 64 << 20;

/// How long text that looks half-written, or a file that is not there, waits
/// for a second look.
const DOUBT: Duration = Duration::from_millis(250);

/// Two writes closer than this may leave the same times on a file.
const GRAIN: Duration = Duration::from_millis(50);
