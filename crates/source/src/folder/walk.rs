//! Which files a folder holds.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What tells one version of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Signature {
    /// Tells whether the file was written so recently that another write may
    /// leave the same times.
    pub(super) fn is_recent(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        i64::try_from(now).is_ok_and(|now| self.modified.0.max(self.changed.0) >= now - 1)
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What a folder holds at one moment.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Manifests by name: the path below the folder, `/` between its parts.
    pub(super) files: BTreeMap<Arc<str>, (PathBuf, Signature)>,
    /// Names that could not be looked at, and why; what was below them before
    /// is unknown, not gone.
    pub(super) failed: BTreeMap<Arc<str>, io::Error>,
}

/// Lists the manifests of a folder and of the folders within.
///
/// Links are followed: Kubernetes' volumes are made of them. Whatever is not a
/// regular file is left out; opening a pipe would wait for ever. So is the
/// folder `except`, wherever it stands.
pub(super) fn list(folder: &Path, except: Option<&Path>) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let mut above = Vec::new();
    if let Some(metadata) = except.and_then(|except| fs::metadata(except).ok()) {
        above.push((metadata.dev(), metadata.ino()));
    }
    enter(folder, "", &mut above, &mut listing)?;
    Ok(listing)
}

fn enter(
    folder: &Path,
    name: &str,
    above: &mut Vec<(u64, u64)>,
    listing: &mut Listing,
) -> io::Result<()> {
    let metadata = fs::metadata(folder)?;
    let identity = (metadata.dev(), metadata.ino());
    if above.contains(&identity) || above.len() >= DEPTH_MAX {
        return Ok(());
    }
    above.push(identity);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let part = entry.file_name();
        let part = part.to_string_lossy();
        if part.starts_with('.') {
            continue;
        }
        let path = entry.path();
        let name = if name.is_empty() { part.to_string() } else { format!("{name}/{part}") };
        if let Err(error) = look(&path, &name, above, listing) {
            // Gone since it was listed.
            if error.kind() != io::ErrorKind::NotFound || fs::symlink_metadata(&path).is_ok() {
                listing.failed.insert(Arc::from(name), error);
            }
        }
    }
    above.pop();
    Ok(())
}

fn look(
    path: &Path,
    name: &str,
    above: &mut Vec<(u64, u64)>,
    listing: &mut Listing,
) -> io::Result<()> {
    let metadata = match fs::metadata(path) {
        // A link to nowhere that would not have been read anyway.
        Err(_)
            if !is_manifest(name) && fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink()) =>
        {
            return Ok(());
        }
        outcome => outcome?,
    };
    if metadata.is_dir() {
        let depth = above.len();
        let outcome = enter(path, name, above, listing);
        above.truncate(depth);
        return outcome;
    }
    if metadata.is_file() && is_manifest(name) {
        listing.files.insert(Arc::from(name), (path.to_owned(), Signature::of(&metadata)));
    }
    Ok(())
}

/// Tells whether a file is read, by its name.
fn is_manifest(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let Some((stem, extension)) = file.rsplit_once('.') else {
        return false;
    };
    // Kustomize's own file says which manifests to join; it is none itself.
    matches!(extension, "yaml" | "yml" | "json") && stem != "kustomization"
}

/// Folders within folders; more is a loop that the system does not see.
const DEPTH_MAX: usize = 32;
