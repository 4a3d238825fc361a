//! Make before break: which type may speak now, and when something may go.
//!
//! A route must not reach Envoy before the clusters it names are there and
//! warm, and a cluster must not go before the last route to it is gone. A
//! running Envoy acknowledges clusters when all of them are warm: endpoints,
//! keys and first health checks are there. One that starts acknowledges its
//! first clusters at once, and asks for listeners when they are warm. Other
//! clients acknowledge at once always, so the endpoints of new and changed
//! clusters are waited for too. Every wait is bounded: a client that never asks
//! for something, or a health check that never ends, must not leave it with old
//! routes for ever.
//!
//! | Type | New and changed ones wait for | Deletions wait for |
//! |---|---|---|
//! | clusters | nothing | listeners and routes acknowledged, then a grace |
//! | endpoints, keys | nothing | listeners and routes acknowledged, clusters gone |
//! | listeners | clusters acknowledged, their endpoints and keys too | nothing more |
//! | routes | as listeners, and listeners acknowledged | listeners acknowledged |
//! | other types | nothing | nothing |

use std::time::Duration;

use crate::TypeUrl;

/// How patient the order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Longest wait of listeners and routes for what must come before them.
    pub hold: Duration,
    /// Wait between the acknowledgement of the last route to a cluster and the
    /// deletion of that cluster, for requests that are on their way.
    pub grace: Duration,
    /// Wait before a listener is offered again that could not open its port.
    pub retry: Duration,
}

/// Place of a type in the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Free,
    Clusters,
    Details,
    Listeners,
    Routes,
}

/// What one stream has still to say or to hear, as far as the order cares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Every cluster is sent and acknowledged.
    pub(crate) clusters: bool,
    /// The endpoints of every new or changed cluster are acknowledged, and so
    /// are keys asked for the first time.
    pub(crate) details: bool,
    /// Every listener is sent and acknowledged.
    pub(crate) listeners: bool,
    /// Every route table is sent and acknowledged.
    pub(crate) routes: bool,
    /// No cluster waits for its deletion.
    pub(crate) no_cluster_leaving: bool,
    /// This Envoy runs every listener and route table as it is served, none in
    /// an older version.
    pub(crate) nothing_refused: bool,
}

// === impl Rules ===

impl Default for Rules {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(5),
            grace: Duration::from_secs(30),
            retry: Duration::from_secs(15),
        }
    }
}

// === impl Rank ===

impl Rank {
    pub(crate) fn of(type_url: &TypeUrl) -> Self {
        match type_url {
            url if *url == TypeUrl::CLUSTER => Self::Clusters,
            url if *url == TypeUrl::ENDPOINTS || *url == TypeUrl::SECRET => Self::Details,
            url if *url == TypeUrl::LISTENER => Self::Listeners,
            url if *url == TypeUrl::ROUTES => Self::Routes,
            _ => Self::Free,
        }
    }

    /// Says whether new and changed resources may be sent.
    pub(crate) fn may_send(self, progress: Progress) -> bool {
        let made = progress.clusters && progress.details;
        match self {
            Self::Free | Self::Clusters | Self::Details => true,
            Self::Listeners => made,
            Self::Routes => made && progress.listeners,
        }
    }

    /// Says whether deletions may be sent, or their grace may begin.
    pub(crate) fn may_remove(self, progress: Progress) -> bool {
        let unused = progress.listeners && progress.routes && progress.nothing_refused;
        match self {
            Self::Free => true,
            Self::Listeners => self.may_send(progress),
            Self::Clusters => unused,
            Self::Details => unused && progress.clusters && progress.no_cluster_leaving,
            Self::Routes => progress.listeners && progress.nothing_refused,
        }
    }
}
