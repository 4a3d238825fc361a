//! Limits from a folder of envoyproxy/ratelimit files.
//!
//! The folder is read whole and put in force whole: one bad file and
//! everything stays as it was. A change is noticed through the file system and,
//! because a swapped symlink above the folder is easily missed, by looking
//! every second at what the folder resolves to.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::Watcher as _;
use nuncio_limits::config::{ConfigError, DomainConfig};
use nuncio_limits::parse_yaml;
use nuncio_process::{Context, chain};
use tokio::sync::mpsc;

use super::Live;
use crate::settings::RuleSource;

/// A file of limits larger than this is a mistake.
const MAX_BYTES: u64 = 16 << 20;

/// How often the folder is looked at without being told.
const LOOK: Duration = Duration::from_secs(1);

/// A change is read after so much quiet: files are often written in pieces.
const SETTLE: Duration = Duration::from_millis(50);

/// Why a folder of limits cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The folder cannot be listed.
    #[error("cannot read the folder of limits {folder}; set RUNTIME_ROOT and RUNTIME_SUBDIRECTORY")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {file}")]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file is too large.
    #[error("{file} is larger than 16 MiB")]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// The folder has lost all its files.
    #[error("{folder} holds no .yaml file any more")]
    Emptied {
        /// The folder.
        folder: PathBuf,
    },
    /// A file's content cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Loads the folder and keeps following it, as an owned task.
///
/// # Errors
/// When the first load fails and the settings do not force a start.
pub(crate) fn start(context: &Context, live: Live, source: &RuleSource) -> Result<(), LoadError> {
    let mut folder = Folder { source: source.clone(), live, last: None };
    if let Err(error) = folder.reload() {
        if !source.force_start {
            return Err(error);
        }
        tracing::error!(error = chain(&error), "starting without limits");
    }
    context.tasks.spawn("limits-files", folder.follow(context.drain.clone()));
    Ok(())
}

struct Folder {
    source: RuleSource,
    live: Live,
    /// What the last load saw, good or bad.
    last: Option<State>,
}

/// What tells one state of a folder from another.
type State = (PathBuf, BTreeMap<PathBuf, (SystemTime, u64)>);

impl Folder {
    async fn follow(mut self, drain: nuncio_process::Drain) -> anyhow::Result<()> {
        // One pending notice is enough: the folder is read whole.
        let (notices, mut noticed) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |_event| {
            // Full means that a notice is pending.
            let _pending = notices.try_send(());
        });
        let mut watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot watch, looking every second");
                None
            }
        };
        let mut watched = None;
        loop {
            if let Some(watcher) = &mut watcher {
                self.watch(watcher, &mut watched);
            }
            tokio::select! {
                () = drain.stopping() => return Ok(()),
                Some(()) = noticed.recv() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(LOOK) => {}
            }
            while noticed.try_recv().is_ok() {}
            self = tokio::task::spawn_blocking(move || {
                self.look();
                self
            })
            .await?;
        }
    }

    /// Watches what the folder resolves to at present.
    fn watch(&self, watcher: &mut notify::RecommendedWatcher, watched: &mut Option<PathBuf>) {
        let present = self.source.folder().canonicalize().ok();
        if present == *watched {
            return;
        }
        if let Some(old) = watched.take() {
            // The old folder may be gone.
            let _gone = watcher.unwatch(&old);
        }
        if let Some(folder) = present
            && watcher.watch(&folder, notify::RecursiveMode::NonRecursive).is_ok()
        {
            *watched = Some(folder);
        }
    }

    /// Reloads if anything differs from the last load.
    fn look(&mut self) {
        let state = self.state().ok();
        if state == self.last {
            return;
        }
        if let Err(error) = self.reload() {
            tracing::error!(error = chain(&error), "limits stay as they were");
        }
    }

    fn reload(&mut self) -> Result<(), LoadError> {
        let state = self.state();
        self.last = state.as_ref().ok().cloned();
        let loaded = state.and_then(|(_, files)| self.read(files.keys()));
        match loaded {
            Ok(configs) => {
                let merge = self.source.merge_domain_config;
                // Counts its own failures.
                Ok(self.live.replace(&configs, merge)?)
            }
            Err(error) => {
                self.live.count_failure();
                Err(error)
            }
        }
    }

    fn read<'f>(
        &self,
        files: impl ExactSizeIterator<Item = &'f PathBuf>,
    ) -> Result<Vec<DomainConfig>, LoadError> {
        if files.len() == 0 {
            let folder = self.source.folder();
            if !self.live.load().table.rules().is_empty() {
                // Most likely a folder caught between two versions.
                return Err(LoadError::Emptied { folder });
            }
            tracing::warn!(folder = %folder.display(), "no limits: the folder has no .yaml files");
        }
        files.map(|file| read(file)).collect()
    }

    fn state(&self) -> Result<State, LoadError> {
        let folder = self.source.folder();
        let fault = |source| LoadError::Folder { folder: folder.clone(), source };
        let resolved = folder.canonicalize().map_err(fault)?;
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&resolved).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            if !self.is_limits(&path) {
                continue;
            }
            // A file that vanished since is no file of this state.
            if let Ok(about) = std::fs::metadata(&path)
                && about.is_file()
            {
                let changed = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.insert(path, (changed, about.len()));
            }
        }
        Ok((resolved, files))
    }

    fn is_limits(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = self.source.runtime_ignore_dotfiles && name.starts_with('.');
        !hidden && (name.ends_with(".yaml") || name.ends_with(".yml"))
    }
}

fn read(file: &Path) -> Result<DomainConfig, LoadError> {
    let fault = |source| LoadError::File { file: file.to_owned(), source };
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(fault)?;
    opened.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(fault)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(LoadError::TooLarge { file: file.to_owned() });
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(parse_yaml(&name, &text)?)
}
