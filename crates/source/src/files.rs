//! Text files that objects name, such as pages for error answers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nuncio_api::{Change, FileText};

/// Longest text that is taken.
const BYTES_MAX: u64 = 64 * 1024;

/// Reads the files that objects name, as far as they lie in one folder: whoever
/// may write an object is not to see every file of the machine.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    known: BTreeMap<Arc<str>, FileText>,
}

// === impl Files ===

impl Files {
    /// Makes a reader of the files in a folder and below. Relative names count
    /// from it.
    pub fn below(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), known: BTreeMap::new() }
    }

    /// Adds to changes what the files hold that they name for the first time.
    pub fn follow(&mut self, changes: &mut Vec<Change>) {
        let mut found = Vec::new();
        for change in &*changes {
            let Change::Apply { object, .. } = change else { continue };
            for name in object.spec.files() {
                if !self.known.contains_key(name) {
                    let name: Arc<str> = name.into();
                    let text = read(&self.folder, &name);
                    self.known.insert(Arc::clone(&name), text.clone());
                    found.push(Change::File { name, text });
                }
            }
        }
        changes.append(&mut found);
    }

    /// Reads every known file again and returns what has changed.
    pub fn reread(&mut self) -> Vec<Change> {
        let mut changed = Vec::new();
        for (name, known) in &mut self.known {
            let text = read(&self.folder, name);
            if *known != text {
                known.clone_from(&text);
                changed.push(Change::File { name: Arc::clone(name), text });
            }
        }
        changed
    }
}

fn read(folder: &Path, name: &str) -> FileText {
    // A link counts as what it leads to: that is how Kubernetes mounts files.
    let allowed = folder
        .canonicalize()
        .map_err(|error| format!("the folder {} cannot be read: {error}", folder.display()))?;
    let path =
        folder.join(name).canonicalize().map_err(|error| format!("cannot be read: {error}"))?;
    if !path.starts_with(&allowed) {
        return Err(format!("does not lie in {}", folder.display()).into());
    }
    let about = fs::metadata(&path).map_err(|error| format!("cannot be read: {error}"))?;
    if !about.is_file() {
        return Err("is not a file".into());
    }
    if about.len() > BYTES_MAX {
        return Err(format!("is larger than {BYTES_MAX} bytes").into());
    }
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(folder: &Path, name: &str) -> Result<String, String> {
        read(folder, name).map(|text| text.to_string()).map_err(|reason| reason.to_string())
    }

    #[test]
    fn only_files_of_the_folder_are_read() {
        let world = tempfile::tempdir().unwrap();
        let folder = world.path().join("pages");
        fs::create_dir_all(folder.join("data")).unwrap();
        fs::write(world.path().join("secret"), "s").unwrap();
        fs::write(folder.join("data/404.html"), "gone").unwrap();
        std::os::unix::fs::symlink("data/404.html", folder.join("404.html")).unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
        let absolute = folder.join("404.html").display().to_string();
        for good in ["404.html", "data/404.html", &absolute] {
            assert_eq!(text(&folder, good), Ok("gone".to_owned()), "{good}");
        }
        for bad in ["../secret", "link", "/etc/hostname", "data", "absent"] {
            assert!(text(&folder, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn large_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let length = usize::try_from(BYTES_MAX).unwrap() + 1;
        fs::write(folder.path().join("large"), "x".repeat(length)).unwrap();
        assert!(text(folder.path(), "large").unwrap_err().contains("is larger than"));
    }

    #[test]
    fn a_file_is_told_when_it_is_named_and_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("404.html");
        fs::write(&page, "one").unwrap();
        let mut changes = nuncio_testing::manifests::changes(
            "
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: quote}
spec:
  prefix: /
  service: quote
  error_response_overrides:
  - {on_status_code: 404, body: {text_format_source: {filename: 404.html}}}
",
        );
        let told = |text: &str| Change::File { name: "404.html".into(), text: Ok(text.into()) };
        let mut files = Files::below(folder.path());
        files.follow(&mut changes);
        assert_eq!(changes.pop(), Some(told("one")));
        files.follow(&mut changes);
        assert_eq!(changes.len(), 1);
        assert_eq!(files.reread(), []);
        fs::write(&page, "two").unwrap();
        assert_eq!(files.reread(), [told("two")]);
    }
}
