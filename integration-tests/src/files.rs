//! A folder of YAML as a user would edit it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder of objects and a state folder beside it, both gone on drop.
#[derive(Debug)]
pub struct Files {
    root: TempDir,
}

impl Files {
    /// Makes both folders.
    ///
    /// # Panics
    ///
    /// When the temporary folder cannot be made.
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        for name in ["objects", "state"] {
            std::fs::create_dir(root.path().join(name)).expect("the folder is ours");
        }
        Self { root }
    }

    /// Returns the folder of objects.
    pub fn objects(&self) -> PathBuf {
        self.root.path().join("objects")
    }

    /// Returns the state folder.
    pub fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// Returns a place for a file that is neither object nor state.
    pub fn aside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file at once, as an editor does: a reader sees the old text or
    /// the new.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.objects().join(name);
        let parent = path.parent().expect("the path has the folder above it");
        std::fs::create_dir_all(parent).expect("the folder is ours");
        let draft = self.aside("draft");
        std::fs::write(&draft, text).expect("the folder is ours");
        std::fs::rename(&draft, &path).expect("both lie in one folder");
    }

    /// Writes an object of Emissary's group in namespace `default` to the file
    /// `<kind>-<name>.yaml`; `spec` is YAML.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn put(&self, kind: &str, name: &str, spec: &str) {
        let text = format!(
            "apiVersion: getambassador.io/v3alpha1\nkind: {kind}\n\
             metadata: {{name: {name}, namespace: default}}\nspec: {spec}\n"
        );
        self.write(&format!("{kind}-{name}.yaml"), text);
    }

    /// Removes a file.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.objects().join(name)).expect("the file is there");
    }

    /// Returns the temporary folder that holds everything.
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}
