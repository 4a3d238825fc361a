//! Objects from a folder or from Kubernetes; status and Secrets back.
//!
//! A [`Source`] yields changes of typed objects and takes back what the
//! gateway has to say: status of objects and Secrets it made. Nothing above
//! this crate knows where objects come from. This crate decides nothing about
//! what objects mean.

use tokio::sync::mpsc;

mod consul;
mod files;
mod folder;
mod scope;
mod sink;

pub use consul::{ConsulSettings, consul};
pub use files::Files;
pub use folder::{DUPLICATE_OBJECT, FolderError, FolderSettings, UNREADABLE, default_state, load};
pub use scope::Scope;
pub use sink::{Sink, SinkError};

use nuncio_api::Change;
use nuncio_process::Context;

/// What a source tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The set of objects has changed. Changes of one event belong together.
    Changes(Vec<Change>),
    /// Everything that existed when the source was opened has been told. Comes
    /// once.
    Synced,
}

/// Where objects come from and status goes to.
#[derive(Debug)]
pub struct Source {
    /// What happens, in order. The sender waits when nobody reads.
    pub events: mpsc::Receiver<Event>,
    /// Takes status and Secrets back. Clones share one place.
    pub sink: Sink,
}

impl Source {
    /// Opens a folder of manifests and keeps watching it.
    ///
    /// The folder has been read once when this returns: its first events wait.
    ///
    /// # Errors
    /// The folder cannot be read, or the state folder cannot be made. Mistakes
    /// in manifests are changes, not errors.
    pub async fn folder(settings: FolderSettings, context: &Context) -> Result<Self, FolderError> {
        folder::open(settings, context).await
    }
}
