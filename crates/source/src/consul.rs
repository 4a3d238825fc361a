//! Instances of services in Consul.
//!
//! Each wanted service is watched by blocking queries of its healthy instances.
//! What Consul told last stays while it does not answer; before its first
//! answer nothing is told, so that nobody loses endpoints he knows from before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nuncio_api::{Change, ConsulService};
use nuncio_process::{Context, Hidden, chain};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

mod query;

use query::{Answer, Client};

/// Pause after the first failure in a row, doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Shortest time between two answered queries of one service, lest a service
/// that changes all the time keeps everybody busy.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

/// How Consul is asked.
#[derive(Debug, Clone, Default)]
pub struct ConsulSettings {
    /// ACL token.
    pub token: Option<Hidden<String>>,
    /// The Consul that the token is for, `host:port` or a URL. Who writes a
    /// ConsulResolver chooses whom to ask, but not who is shown the token.
    pub token_for: Option<String>,
}

/// Watches the services that `wanted` holds, as it changes, and tells their
/// instances.
///
/// # Errors
/// The HTTP client cannot be made.
pub fn consul(
    settings: &ConsulSettings,
    wanted: watch::Receiver<BTreeSet<ConsulService>>,
    context: &Context,
) -> anyhow::Result<mpsc::Receiver<Change>> {
    if settings.token.is_some() && settings.token_for.is_none() {
        tracing::warn!("no query carries the token for consul: it is not said whom it is for");
    }
    let client = Client::new(settings)?;
    // A service tells one change at a time; the next waits until it is taken.
    let (sender, changes) = mpsc::channel(16);
    let drain = context.drain.clone();
    context.tasks.spawn("consul", async move {
        tokio::select! {
            // While stopping, the other ends of both channels may be gone first.
            biased;
            () = drain.stopping() => Ok(()),
            outcome = run(client, wanted, sender) => outcome,
        }
    });
    Ok(changes)
}

/// Keeps one watch for each wanted service.
async fn run(
    client: Client,
    mut wanted: watch::Receiver<BTreeSet<ConsulService>>,
    sender: mpsc::Sender<Change>,
) -> anyhow::Result<()> {
    let mut watches = JoinSet::new();
    let mut running: BTreeMap<ConsulService, AbortHandle> = BTreeMap::new();
    loop {
        let now = wanted.borrow_and_update().clone();
        let gone: Vec<_> = running.keys().filter(|old| !now.contains(*old)).cloned().collect();
        for service in gone {
            if let Some(watch) = running.remove(&service) {
                watch.abort();
            }
            if !now.iter().any(|other| other.name == service.name) {
                let forget = Change::Registered { service: service.name, endpoints: None };
                sender.send(forget).await?;
            }
        }
        for service in now {
            running.entry(service).or_insert_with_key(|service| {
                watches.spawn(follow(client.clone(), service.clone(), sender.clone()))
            });
        }
        tokio::select! {
            changed = wanted.changed() => changed?,
            Some(ended) = watches.join_next() => match ended {
                Ok(outcome) => outcome?,
                Err(error) if error.is_cancelled() => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
}

/// Tells the instances of one service, as often as they change.
async fn follow(
    client: Client,
    service: ConsulService,
    sender: mpsc::Sender<Change>,
) -> anyhow::Result<()> {
    let mut index = 0;
    let mut pause = FIRST_PAUSE;
    let mut failing = false;
    let mut told = None;
    loop {
        match client.ask(&service, index).await {
            Ok(Answer { index: next, endpoints }) => {
                if failing {
                    tracing::info!(service = service.service, "consul answers again");
                }
                (failing, pause) = (false, FIRST_PAUSE);
                // Consul begins anew where its index goes back.
                index = if next < index { 0 } else { next };
                if told.as_ref() != Some(&endpoints) {
                    told = Some(endpoints.clone());
                    let name = Arc::clone(&service.name);
                    let tell = Change::Registered { service: name, endpoints: Some(endpoints) };
                    sender.send(tell).await?;
                }
                // Without an index every query is answered at once.
                let rest = if index == 0 { FIRST_PAUSE } else { LEAST_INTERVAL };
                tokio::time::sleep(rest).await;
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(
                        service = service.service,
                        address = service.address,
                        error = chain(&error),
                        "consul does not tell the instances of a service"
                    );
                }
                (failing, index) = (true, 0);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests;
