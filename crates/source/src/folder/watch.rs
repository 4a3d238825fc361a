//! When to look at the folder again.
//!
//! The system's notices are hints: each only leads to another look, and a look
//! from time to time finds what no notice tells (network file systems, links
//! that lead elsewhere, queues that ran over).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::scan::Scanner;
use crate::Event;

/// What wakes the watch of a folder.
pub(super) struct Wake {
    folder: PathBuf,
    secrets: PathBuf,
    pub(super) hint: Arc<Notify>,
    /// Since it was last asked: a file was written where it stands, and more
    /// of it may follow.
    written: Arc<AtomicBool>,
    watcher: Option<RecommendedWatcher>,
    /// The folder that is being watched; another one may take its name.
    identity: Option<(u64, u64)>,
    /// It has been said that changes are not announced.
    complained: bool,
}

impl Wake {
    pub(super) fn new(folder: &Path, secrets: &Path) -> Self {
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut wake = Self {
            folder: whole(folder),
            secrets: whole(secrets),
            hint: Arc::new(Notify::new()),
            written: Arc::default(),
            watcher: None,
            identity: None,
            complained: false,
        };
        wake.renew();
        wake
    }

    /// Starts watching, or starts again when the folder is another one now.
    fn renew(&mut self) {
        let identity = std::fs::metadata(&self.folder).ok().map(|m| (m.dev(), m.ino()));
        if self.watcher.is_some() && identity == self.identity {
            return;
        }
        match self.watch(identity.is_some()) {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                self.complained = false;
                // A change between the last look and this is not missed.
                self.hint.notify_one();
            }
            Err(error) => {
                self.watcher = None;
                if !std::mem::replace(&mut self.complained, true) {
                    tracing::warn!(
                        folder = %self.folder.display(),
                        error = nuncio_process::chain(&error),
                        "changes are not announced here, looking every two seconds"
                    );
                }
            }
        }
        self.identity = identity;
    }

    /// Watches the folder if it is there, and what is around it.
    fn watch(&self, there: bool) -> Result<RecommendedWatcher, notify::Error> {
        let (hint, written) = (Arc::clone(&self.hint), Arc::clone(&self.written));
        let (folder, secrets) = (self.folder.clone(), self.secrets.clone());
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let matters = event.as_ref().map_or(true, |event| {
                    changes(event.kind)
                        && (event.paths.is_empty()
                            || event.paths.iter().any(|path| {
                                path.starts_with(&folder) || path.starts_with(&secrets)
                            }))
                });
                if matters {
                    let whole = event.is_ok_and(|event| is_whole(event.kind));
                    written.fetch_or(!whole, Ordering::Relaxed);
                    hint.notify_one();
                }
            })?;
        if there {
            watcher.watch(&self.folder, RecursiveMode::Recursive)?;
        }
        // The rest is of use without being needed: who may not watch them is
        // told of changes a little later.
        for extra in [self.folder.parent(), Some(self.secrets.as_path())].into_iter().flatten() {
            let mode = if extra == self.secrets {
                RecursiveMode::Recursive
            } else {
                RecursiveMode::NonRecursive
            };
            if let Err(error) = watcher.watch(extra, mode) {
                tracing::debug!(
                    path = %extra.display(),
                    error = nuncio_process::chain(&error),
                    "not watched"
                );
            }
        }
        Ok(watcher)
    }

    /// Waits until nothing has happened for a moment, but not for ever.
    async fn settle(&self) {
        let quiet = async {
            let mut silence = QUIET_BETWEEN_FILES;
            loop {
                if self.written.swap(false, Ordering::Relaxed) {
                    silence = QUIET;
                }
                if timeout(silence, self.hint.notified()).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = quiet => {}
            () = sleep(QUIET_MAX) => {}
        }
    }
}

/// Tells whether a file that took another's name, or went, caused an event: no
/// more of it follows.
fn is_whole(kind: EventKind) -> bool {
    matches!(kind, EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_))
}

/// Tells whether something may read differently after an event. Our own
/// reading causes events too.
fn changes(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// Looks at the folder whenever something may have changed; ends when nobody
/// listens any more.
pub(super) async fn run(
    mut scanner: Scanner,
    mut wake: Wake,
    sender: &mpsc::Sender<Event>,
) -> anyhow::Result<()> {
    let mut pause = GRAIN_AFTER_START;
    loop {
        let hinted = timeout(pause, wake.hint.notified()).await.is_ok();
        if hinted {
            wake.settle().await;
        }
        let looked = tokio::task::spawn_blocking(move || {
            wake.renew();
            let begun = Instant::now();
            let look = scanner.next(begun);
            (scanner, wake, look, begun.elapsed())
        });
        let (back, same, look, cost) = looked.await?;
        (scanner, wake) = (back, same);
        // Looking takes one part in fifty of the time at most.
        pause = look.again.unwrap_or(IDLE).max(cost * 50);
        if !look.changes.is_empty() {
            tracing::debug!(changes = look.changes.len(), "folder changed");
            sender.send(Event::Changes(look.changes)).await?;
        }
    }
}

/// Until the first look after the folder was read: files written just before
/// that may have changed within the clock's grain.
const GRAIN_AFTER_START: Duration = Duration::from_millis(100);

/// Between looks when nothing is announced.
const IDLE: Duration = Duration::from_secs(2);

/// A burst of writes is over after this much silence.
const QUIET: Duration = Duration::from_millis(15);

/// The same for files that come and go whole.
const QUIET_BETWEEN_FILES: Duration = Duration::from_millis(3);

/// Endless bursts are looked at this often.
const QUIET_MAX: Duration = Duration::from_millis(150);
