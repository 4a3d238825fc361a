//! What all streams share: the cache, the news of its changes, who is connected.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use nuncio_xds::nack::{self, News};
use nuncio_xds::session::Event;
use nuncio_xds::{Cache, Rules};
use tokio::sync::{mpsc, watch};

use crate::metrics::Metrics;

/// Refusals waiting to be attributed. Each costs its stream a round trip, and
/// the stream waits when this is full.
const REFUSALS: usize = 64;

/// What all streams share. Clones share one state.
#[derive(Debug, Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Held for lookups and single insertions, never across an await.
    cache: RwLock<Cache>,
    /// Whether the cache holds a whole configuration.
    open: AtomicBool,
    changes: watch::Sender<u64>,
    news: mpsc::Sender<News>,
    rules: Rules,
    clients: Mutex<BTreeMap<u64, Client>>,
    next_client: AtomicU64,
    metrics: Metrics,
}

/// One connected client, for people.
#[derive(Debug, Clone)]
pub struct Client {
    /// `node.id`.
    pub node_id: String,
    /// `node.cluster`.
    pub cluster: String,
    /// Program and version as the client gives them.
    pub agent: String,
    /// `delta` or `sotw`.
    pub protocol: &'static str,
    /// When the stream began.
    pub since: SystemTime,
    /// Whether it runs on listeners of ours.
    pub is_envoy: bool,
    /// Whether it has, at one time, answered everything it was sent.
    pub settled: bool,
}

/// Takes a client off the list when its stream ends, however it ends.
#[derive(Debug)]
pub(crate) struct Connected {
    fleet: Fleet,
    id: u64,
}

// === impl Fleet ===

impl Fleet {
    /// Makes a fleet without resources, not yet open. The receiver hears of refusals; while
    /// nobody receives, streams that have one wait.
    pub fn new(rules: Rules, metrics: Metrics) -> (Self, mpsc::Receiver<News>) {
        let (news, heard) = mpsc::channel(REFUSALS);
        let shared = Shared {
            cache: RwLock::new(Cache::new()),
            open: AtomicBool::new(false),
            changes: watch::Sender::new(0),
            news,
            rules,
            clients: Mutex::default(),
            next_client: AtomicU64::new(0),
            metrics,
        };
        (Self { shared: Arc::new(shared) }, heard)
    }

    /// Gives access to the cache for reading.
    pub fn cache(&self) -> RwLockReadGuard<'_, Cache> {
        self.shared.cache.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the cache and tells every stream.
    pub fn change<R>(&self, change: impl FnOnce(&mut Cache) -> R) -> R {
        let (outcome, end) = {
            let mut cache = self.write();
            let outcome = change(&mut cache);
            (outcome, cache.end())
        };
        self.shared.changes.send_if_modified(|seen| std::mem::replace(seen, end) != end);
        outcome
    }

    /// Notes that the cache holds a whole configuration. Streams are silent
    /// before: a client that comes back to a server that has just started would
    /// else be told that nothing it runs exists any more.
    pub fn open(&self) {
        if !self.shared.open.swap(true, Ordering::AcqRel) {
            self.shared.changes.send_modify(|_| {});
        }
    }

    /// Says whether [`Fleet::open`] was called.
    pub fn is_open(&self) -> bool {
        self.shared.open.load(Ordering::Acquire)
    }

    /// Returns a receiver that is marked whenever the cache has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Returns how patient streams are.
    pub fn rules(&self) -> Rules {
        self.shared.rules
    }

    /// Returns everyone who is connected, in order of arrival.
    pub fn clients(&self) -> Vec<Client> {
        self.list().values().cloned().collect()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Brings a client's answers into the cache and tells what came of it.
    pub(crate) async fn settle(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        self.shared.metrics.answers(&events);
        for news in self.change(|cache| nack::settle(cache, events)) {
            // The receiver ends only with the process.
            let _ended = self.shared.news.send(news).await;
        }
    }

    pub(crate) fn connect(&self, client: Client) -> Connected {
        let id = self.shared.next_client.fetch_add(1, Ordering::Relaxed);
        self.list().insert(id, client);
        self.shared.metrics.connected(1);
        Connected { fleet: self.clone(), id }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Cache> {
        self.shared.cache.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self) -> MutexGuard<'_, BTreeMap<u64, Client>> {
        self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Connected ===

impl Connected {
    /// Notes how far the client is.
    pub(crate) fn progress(&self, is_envoy: bool, settled: bool) {
        if let Some(client) = self.fleet.list().get_mut(&self.id) {
            client.is_envoy = is_envoy;
            client.settled |= settled;
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.fleet.list().remove(&self.id);
        self.fleet.shared.metrics.connected(-1);
    }
}
