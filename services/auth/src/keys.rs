//! Key sets by URL: fetched once for all requests, ahead of their expiry, kept
//! while their server is away.
//!
//! One owned task a URL does all fetching, so that no number of requests makes
//! more than one fetch at a time. Requests read what the task published; one
//! whose token names an unknown key may ask the task for an extra fetch, at
//! most one in [`EXTRA_INTERVAL`], and all such requests wait for that one.

mod fetch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nuncio_authz::KeysUnavailable;
use nuncio_authz::filter::jwks::KeySet;
use nuncio_authz::filter::jwt::KeySource;
use nuncio_process::Context;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::metrics::Metrics;
use fetch::Fetcher;

/// Least time between extra fetches of one URL.
const EXTRA_INTERVAL: Duration = Duration::from_secs(30);
/// How long a key id that an extra fetch did not bring is known to be unknown.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// Most such key ids of one URL.
const MAX_UNKNOWN: usize = 1000;
/// How long keys are used past their lifetime while no new ones can be had.
const STALE_FOR: Duration = Duration::from_secs(3600);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The key sets of all filters.
pub(crate) struct KeyStore {
    context: Context,
    fetcher: Arc<Fetcher>,
    metrics: Metrics,
    entries: Mutex<BTreeMap<Arc<KeySource>, Arc<Entry>>>,
}

struct Entry {
    state: watch::Receiver<State>,
    /// Holds one request for an extra fetch: one serves everybody. Closing it
    /// ends the task.
    extra: mpsc::Sender<()>,
    extras: Mutex<Extras>,
}

#[derive(Default)]
struct Extras {
    /// When the last extra fetch was asked for, and the count of fetches that
    /// will include it.
    last: Option<(Instant, u64)>,
    unknown: BTreeMap<String, Instant>,
}

#[derive(Clone, Default)]
struct State {
    keys: Option<Held>,
    /// Fetches that have ended, whatever their outcome.
    fetches: u64,
    error: String,
}

#[derive(Clone)]
struct Held {
    keys: Arc<KeySet>,
    dead_at: Instant,
}

impl KeyStore {
    pub(crate) fn new(context: &Context, metrics: Metrics) -> anyhow::Result<Self> {
        Ok(Self {
            context: context.clone(),
            fetcher: Arc::new(Fetcher::new()?),
            metrics,
            entries: Mutex::default(),
        })
    }

    /// Begins to fetch the sets that are new and forgets those not in use.
    pub(crate) fn retain(&self, sources: &BTreeSet<Arc<KeySource>>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|source, _| sources.contains(source));
        for source in sources {
            entries.entry(Arc::clone(source)).or_insert_with(|| self.begin(source));
        }
    }

    fn entry(&self, source: &Arc<KeySource>) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // A request may still run under a configuration that was replaced.
        Arc::clone(entries.entry(Arc::clone(source)).or_insert_with(|| self.begin(source)))
    }

    fn begin(&self, source: &Arc<KeySource>) -> Arc<Entry> {
        let (publish, state) = watch::channel(State::default());
        let (extra, wanted) = mpsc::channel(1);
        let task = Task {
            source: Arc::clone(source),
            fetcher: Arc::clone(&self.fetcher),
            metrics: self.metrics.clone(),
            publish,
            wanted,
        };
        let drain = self.context.drain.clone();
        self.context.tasks.spawn_finite("jwks", async move {
            tokio::select! {
                () = task.run() => {}
                () = drain.stopping() => {}
            }
            Ok(())
        });
        Arc::new(Entry { state, extra, extras: Mutex::default() })
    }

    /// Returns the keys of a source; waits for the first fetch, and for an
    /// extra one when `missing` is a key the set lacks and that is due.
    pub(crate) async fn find(
        &self,
        source: &Arc<KeySource>,
        missing: Option<&str>,
    ) -> Result<Arc<KeySet>, KeysUnavailable> {
        let entry = self.entry(source);
        let mut state = entry.state.clone();
        let target = missing.map_or(1, |key| entry.wanted_fetch(key));
        let gone = |_| KeysUnavailable(format!("fetching of {} has stopped", source.url));
        let current = state.wait_for(|state| state.fetches >= target).await.map_err(gone)?.clone();
        let held = current.keys.filter(|held| Instant::now() < held.dead_at);
        let Some(held) = held else {
            return Err(KeysUnavailable(format!("no keys of {}: {}", source.url, current.error)));
        };
        if let Some(key) = missing
            && !held.keys.has(key)
        {
            entry.remember_unknown(key, current.fetches >= target);
        }
        Ok(held.keys)
    }
}

impl Entry {
    /// Returns the count of fetches to wait for on behalf of an unknown key.
    fn wanted_fetch(&self, key: &str) -> u64 {
        let now = Instant::now();
        let done = self.state.borrow().fetches;
        let mut extras = self.extras.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, target)) = extras.last.filter(|(_, target)| *target > done) {
            // One is under way: its answer may bring the key.
            return target;
        }
        let known_unknown = extras.unknown.get(key).is_some_and(|until| now < *until);
        let recent = extras.last.is_some_and(|(at, _)| now < at + EXTRA_INTERVAL);
        if known_unknown || recent {
            return 1;
        }
        // Full: an extra fetch is asked for already.
        let _asked = self.extra.try_send(());
        extras.last = Some((now, done + 1));
        done + 1
    }

    fn remember_unknown(&self, key: &str, was_fetched_for: bool) {
        let mut extras = self.extras.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let just_asked = extras.last.is_some_and(|(at, _)| now < at + EXTRA_INTERVAL);
        if !(was_fetched_for && just_asked) {
            return;
        }
        if extras.unknown.len() >= MAX_UNKNOWN {
            extras.unknown.retain(|_, until| now < *until);
        }
        if extras.unknown.len() < MAX_UNKNOWN {
            extras.unknown.insert(key.to_owned(), now + UNKNOWN_FOR);
        }
    }
}

struct Task {
    source: Arc<KeySource>,
    fetcher: Arc<Fetcher>,
    metrics: Metrics,
    publish: watch::Sender<State>,
    wanted: mpsc::Receiver<()>,
}

impl Task {
    /// Fetches until nobody wants the source any more.
    async fn run(mut self) {
        let mut retry = FIRST_RETRY;
        loop {
            let wait = match self.fetcher.fetch(&self.source).await {
                Ok(fetched) => {
                    retry = FIRST_RETRY;
                    self.metrics.jwks_fetch(true);
                    let dead_at = Instant::now() + fetched.lifetime + STALE_FOR;
                    let held = Held { keys: Arc::new(fetched.keys), dead_at };
                    self.publish.send_modify(|state| {
                        state.keys = Some(held);
                        state.fetches += 1;
                    });
                    fetched.lifetime.mul_f64(REFRESH_AT)
                }
                Err(error) => {
                    self.metrics.jwks_fetch(false);
                    let text = nuncio_process::chain(&error);
                    tracing::warn!(url = self.source.url, error = text, "keys cannot be fetched");
                    self.publish.send_modify(|state| {
                        state.error = text;
                        state.fetches += 1;
                    });
                    let wait = retry;
                    retry = (retry * 2).min(LONGEST_RETRY);
                    wait
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                asked = self.wanted.recv() => if asked.is_none() {
                    return;
                },
            }
        }
    }
}

/// Share of their lifetime after which keys are fetched anew.
const REFRESH_AT: f64 = 0.8;
