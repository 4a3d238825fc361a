//! One type on one stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::payload::Payload;
use crate::{Cache, TypeUrl};

/// Version of a resource that a client may hold or not.
pub(super) const UNKNOWN: u64 = 0;

/// One type on one stream.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    pub(super) wildcard: bool,
    pub(super) names: BTreeSet<Arc<str>>,
    /// What the client has acknowledged, or said it has.
    pub(super) held: BTreeMap<Arc<str>, Held>,
    /// Names whose held version may differ from the served one.
    pub(super) dirty: BTreeSet<Arc<str>>,
    /// Names that must be answered even if nothing changed.
    pub(super) asked: BTreeSet<Arc<str>>,
    /// Held, no longer served; with the time of deletion once that is known.
    pub(super) leaving: BTreeMap<Arc<str>, Option<Instant>>,
    /// Versions this client refused.
    pub(super) refused: BTreeMap<Arc<str>, Refused>,
    /// Sent one by one: a response of several was refused and named none.
    pub(super) suspects: BTreeSet<Arc<str>>,
    /// Everything has to be compared.
    pub(super) compare: bool,
    /// Even an empty answer is awaited.
    pub(super) unanswered: bool,
    pub(super) in_flight: Option<InFlight>,
    /// Since when something waits for its turn.
    pub(super) waiting_since: Option<Instant>,
}

/// One held resource.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) version: u64,
    /// `None` when the client held it before this stream began.
    pub(super) payload: Option<Arc<Payload>>,
}

#[derive(Debug)]
pub(super) struct Refused {
    pub(super) version: u64,
    pub(super) retry_at: Option<Instant>,
}

/// A response that is not acknowledged yet.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) nonce: u64,
    pub(super) sent: Vec<Arc<Payload>>,
    pub(super) removed: Vec<Arc<str>>,
    /// Whether it answers names that were asked for.
    pub(super) fresh: bool,
}

/// What to send.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) send: Vec<Arc<Payload>>,
    pub(super) remove: Vec<Arc<str>>,
}

/// What the order allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    pub(super) send: bool,
    /// It was waited for long enough.
    pub(super) impatient: bool,
    pub(super) remove: bool,
    pub(super) grace: Duration,
}

// === impl Subscription ===

impl Subscription {
    pub(super) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Whether everything is sent and acknowledged.
    pub(super) fn is_quiet(&self) -> bool {
        self.in_flight.is_none() && !self.is_pending()
    }

    /// Whether something is to be sent.
    pub(super) fn is_pending(&self) -> bool {
        self.compare || self.unanswered || !self.dirty.is_empty() || !self.asked.is_empty()
    }

    /// Whether the client has an answer to everything it asked anew.
    pub(super) fn is_answered(&self) -> bool {
        !self.compare
            && self.asked.is_empty()
            && !self.in_flight.as_ref().is_some_and(|flight| flight.fresh)
    }

    /// Whether the client runs nothing in an older version than it was offered.
    pub(super) fn is_up_to_date(&self) -> bool {
        !self.refused.keys().any(|name| self.held.contains_key(name))
    }

    /// Subscribes to a name, which is then answered in any case.
    pub(super) fn subscribe(&mut self, name: &str) {
        let name = Arc::<str>::from(name);
        self.refused.remove(&name);
        self.asked.insert(Arc::clone(&name));
        self.names.insert(name);
    }

    /// Unsubscribes from a name. What only it covered is forgotten: the client
    /// drops it by itself.
    pub(super) fn unsubscribe(&mut self, name: &str) {
        self.names.remove(name);
        if self.wildcard {
            return;
        }
        self.held.remove(name);
        self.dirty.remove(name);
        self.asked.remove(name);
        self.leaving.remove(name);
        self.refused.remove(name);
        self.suspects.remove(name);
    }

    /// Subscribes to every resource of the type.
    pub(super) fn subscribe_all(&mut self) {
        self.wildcard = true;
        self.compare = true;
    }

    /// Ends a subscription to every resource; explicit names stay.
    pub(super) fn unsubscribe_all(&mut self) {
        self.wildcard = false;
        self.unanswered = false;
        let Self { names, held, dirty, asked, leaving, refused, suspects, .. } = self;
        held.retain(|name, _| names.contains(name));
        leaving.retain(|name, _| names.contains(name));
        refused.retain(|name, _| names.contains(name));
        for set in [dirty, asked, suspects] {
            set.retain(|name| names.contains(name));
        }
    }

    /// Decides what to send now and takes it in flight under `nonce`.
    pub(super) fn plan(
        &mut self,
        type_url: &TypeUrl,
        cache: &Cache,
        leave: Leave,
        nonce: u64,
        now: Instant,
    ) -> Option<Plan> {
        if self.in_flight.is_some() {
            return None;
        }
        self.compare_all(type_url, cache);
        self.retry(now);
        let (mut send, mut remove) = self.compare_dirty(type_url, cache);
        if leave.remove {
            remove.extend(self.depart(leave.grace, now));
        }
        if !leave.send {
            send.clear();
        }
        self.set_suspects_apart(&mut send);
        let may_be_empty = self.unanswered && leave.send;
        if send.is_empty() && remove.is_empty() && !may_be_empty {
            return None;
        }
        if leave.send {
            self.unanswered = false;
        }
        let fresh = send.iter().any(|payload| self.asked.contains(payload.name()));
        for payload in &send {
            self.dirty.remove(payload.name());
            self.asked.remove(payload.name());
        }
        self.in_flight =
            Some(InFlight { nonce, sent: send.clone(), removed: remove.clone(), fresh });
        Some(Plan { send, remove })
    }

    fn compare_all(&mut self, type_url: &TypeUrl, cache: &Cache) {
        if !std::mem::take(&mut self.compare) {
            return;
        }
        self.dirty.extend(self.held.keys().cloned());
        if self.wildcard {
            self.dirty.extend(cache.all(type_url).map(|payload| Arc::clone(payload.name())));
        } else {
            self.dirty.extend(self.names.iter().cloned());
        }
    }

    fn retry(&mut self, now: Instant) {
        for (name, refused) in &mut self.refused {
            if refused.retry_at.is_some_and(|at| at <= now) {
                // Kept, so that it is told when the client takes it after all.
                *refused = Refused { version: UNKNOWN, retry_at: None };
                self.dirty.insert(Arc::clone(name));
            }
        }
    }

    /// Compares dirty and asked names with what is served. Afterwards only
    /// names that must be sent are left in either set.
    fn compare_dirty(
        &mut self,
        type_url: &TypeUrl,
        cache: &Cache,
    ) -> (Vec<Arc<Payload>>, Vec<Arc<str>>) {
        let mut send = BTreeMap::new();
        let mut absent = Vec::new();
        let Self { dirty, asked, held, leaving, refused, .. } = self;
        let mut keep = |name: &Arc<str>, asked: bool| {
            let Some(payload) = cache.served(type_url, name) else {
                let Some(held) = held.get(name) else {
                    if asked {
                        absent.push(Arc::clone(name));
                    }
                    return false;
                };
                leaving.entry(Arc::clone(name)).or_default();
                // Asked about what is about to go: it is answered with what it
                // has, so that nothing waits for an answer.
                match &held.payload {
                    Some(payload) if asked => {
                        send.insert(Arc::clone(name), Arc::clone(payload));
                    }
                    None if asked => absent.push(Arc::clone(name)),
                    _ => return false,
                }
                return held.payload.is_some();
            };
            leaving.remove(name);
            let version = payload.version();
            let same = held.get(name).is_some_and(|held| held.version == version);
            let in_vain = refused.get(name).is_some_and(|refused| refused.version == version);
            if same {
                // The client runs what is served: a refusal is history.
                refused.remove(name);
            }
            if in_vain || (same && !asked) {
                return false;
            }
            send.insert(Arc::clone(name), Arc::clone(payload));
            true
        };
        asked.retain(|name| keep(name, true));
        dirty.retain(|name| asked.contains(name) || keep(name, false));
        (send.into_values().collect(), absent)
    }

    /// Returns the deletions whose time has come.
    fn depart(&mut self, grace: Duration, now: Instant) -> Vec<Arc<str>> {
        let mut gone = Vec::new();
        self.leaving.retain(|name, at| {
            let stays = *at.get_or_insert(now + grace) > now;
            if !stays {
                gone.push(Arc::clone(name));
            }
            stays
        });
        gone
    }

    /// Suspects wait until nothing else is to be sent, then go one by one.
    fn set_suspects_apart(&self, send: &mut Vec<Arc<Payload>>) {
        if self.suspects.is_empty() {
            return;
        }
        let suspect = |payload: &Arc<Payload>| self.suspects.contains(payload.name());
        if send.iter().all(suspect) {
            send.truncate(1);
        } else {
            send.retain(|payload| !suspect(payload));
        }
    }

    /// When this type wants to be looked at again without anything happening.
    pub(super) fn wakes(&self, hold: Duration) -> impl Iterator<Item = Instant> {
        let departures = self.leaving.values().flatten().copied();
        let retries = self.refused.values().filter_map(|refused| refused.retry_at);
        let patience = self.waiting_since.map(|since| since + hold);
        departures.chain(retries).chain(patience)
    }
}
