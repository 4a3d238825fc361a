//! Objects from a folder of YAML and JSON.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nuncio_api::{Change, Reading};
use nuncio_process::Context;
use tokio::sync::mpsc;

use crate::sink::Sink;
use crate::{Event, Source};

mod catalog;
mod scan;
mod walk;
mod watch;

pub use catalog::DUPLICATE_OBJECT;
use scan::Scanner;
pub use scan::UNREADABLE;

/// How a folder is opened.
#[derive(Debug, Clone)]
pub struct FolderSettings {
    /// The folder. Nested folders count; names that begin with a dot do not.
    pub folder: PathBuf,
    /// Where status and Secrets are written, and Secrets read back from; see
    /// [`default_state`].
    pub state: PathBuf,
    /// How its texts become objects, and which of them count.
    pub reading: Reading,
}

/// Why a folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder is missing, is no folder, or may not be read.
    #[error("failed to read the folder {}", path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The state folder could not be made.
    #[error("failed to make the state folder {}", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Returns where the state of a folder is kept by default: `.nuncio` beside
/// it.
pub fn default_state(folder: &Path) -> PathBuf {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    match whole.parent() {
        Some(parent) => parent.join(".nuncio"),
        None => whole.join(".nuncio"),
    }
}

/// Reads a folder once, without its state: what `nuncio check` needs.
///
/// The result does not depend on the order in which the system lists files.
///
/// # Errors
/// The folder cannot be read. Files that cannot be are findings.
pub fn load(folder: &Path, reading: &Reading) -> Result<Vec<Change>, FolderError> {
    let mut scanner = Scanner::new(folder.to_owned(), None, reading.clone());
    scanner.first().map_err(|source| FolderError::Read { path: folder.to_owned(), source })
}

pub(crate) async fn open(
    settings: FolderSettings,
    context: &Context,
) -> Result<Source, FolderError> {
    let FolderSettings { folder, state, reading } = settings;
    let mut scanner = Scanner::new(folder.clone(), Some(state.clone()), reading);
    let first = tokio::task::spawn_blocking(move || scanner.first().map(|first| (scanner, first)));
    let (scanner, first) = first
        .await
        .map_err(std::io::Error::other)
        .and_then(|outcome| outcome)
        .map_err(|source| FolderError::Read { path: folder.clone(), source })?;
    // Only now: a folder that is not there leaves nothing beside it.
    let sink = Sink::folder(state.clone());
    sink.prepare().await.map_err(|source| FolderError::State { path: state, source })?;
    let secrets = sink.secrets_folder();

    // A few batches of one folder: more waiting ones would only be overtaken,
    // and the watcher reads the folder again when there is room.
    let (sender, events) = mpsc::channel(4);
    let wake = watch::Wake::new(&folder, &secrets);
    let nudge = Arc::clone(&wake.hint);
    let drain = context.drain.clone();
    context.tasks.spawn("folder", async move {
        let told = async {
            sender.send(Event::Changes(first)).await?;
            sender.send(Event::Synced).await?;
            watch::run(scanner, wake, &sender).await
        };
        tokio::select! {
            () = drain.stopping() => Ok(()),
            outcome = told => outcome,
        }
    });
    Ok(Source { events, sink: sink.nudging(nudge) })
}

#[cfg(test)]
mod tests;
