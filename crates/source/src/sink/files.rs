//! Files that are replaced whole and belong to their owner alone.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// Replaces a file whole: readers see the old bytes or the new ones, after a
/// crash too. Bytes that are already there are left alone.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if read(path)?.is_some_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    // Mode 0600 from the first byte on; the dot hides it from the source.
    let mut file = NamedTempFile::with_prefix_in(".new-", folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Removes a file; a missing one is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Reads a file; `None` when there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a folder and those above it, for the owner alone.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Returns a file name for any text: letters, digits, `-`, `_` and inner dots
/// as they are, other bytes as `%` and two digits, long texts cut and hashed.
/// Different texts get different names.
pub(super) fn encoded(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_')
            || (byte == b'.' && index > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02x}");
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    if name.len() > NAME_MAX {
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        name.truncate(NAME_MAX);
        let _ = write!(name, "%~{:016x}", hasher.finish());
    }
    name
}

/// Bytes of a file's name, without hash and ending; systems allow 255.
const NAME_MAX: usize = 200;
