//! The task behind a subscription: connect, follow, reconnect.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nuncio_xds::TypeUrl;
use nuncio_xds::client::Batch;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tokio_stream::{StreamExt as _, StreamMap};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::Endpoint;
use tonic::{Request, Status};

use super::dialect::{AdsClient, Dialect};
use super::{Options, Resources, Want};
use crate::{Drain, ReadyGuard, chain};

/// Requests waiting for the connection: one acknowledgement for each response
/// and one change of interest for each change of names, both of which pause
/// their sender when this is full.
const REQUESTS: usize = 64;

pub(super) struct Connection {
    pub(super) endpoint: Endpoint,
    pub(super) headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
    pub(super) options: Options,
    pub(super) drain: Drain,
}

/// What is held and who is told.
pub(super) struct State<T, D> {
    publish: watch::Sender<Arc<Resources<T>>>,
    decode: D,
    names: StreamMap<TypeUrl, WatchStream<BTreeSet<String>>>,
    unready: Option<ReadyGuard>,
}

/// How one connection ended.
enum End {
    Drained,
    /// The server closed it in good order, as it does to spread load.
    Closed,
    Failed(Status),
}

pub(super) async fn run<C, T, D>(
    connection: Connection,
    mut client: C,
    mut state: State<T, D>,
) -> anyhow::Result<()>
where
    C: Dialect,
    T: Send + Sync + 'static,
    D: Fn(&TypeUrl, &str, &Bytes) -> Result<T, String> + Send + Sync + 'static,
{
    let (first, longest) = connection.options.backoff;
    let mut wait = first;
    let mut failures = 0_u32;
    loop {
        let mut heard = false;
        let end = follow(&connection, &mut client, &mut state, &mut heard).await;
        if heard {
            wait = first;
            failures = 0;
        }
        match end {
            End::Drained => return Ok(()),
            End::Closed => tracing::debug!("xds stream closed by the server"),
            End::Failed(status) => {
                failures += 1;
                let server = &connection.options.server;
                let error = chain(&status);
                // A server that starts a moment later is the usual case.
                if failures == 5 {
                    tracing::warn!(%server, error, "xds server cannot be reached, still trying");
                } else {
                    tracing::debug!(%server, error, "xds stream failed");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(wait)) => {}
            () = connection.drain.stopping() => return Ok(()),
        }
        wait = (wait * 2).min(longest);
    }
}

/// Runs one connection to its end.
async fn follow<C, T, D>(
    connection: &Connection,
    client: &mut C,
    state: &mut State<T, D>,
    heard: &mut bool,
) -> End
where
    C: Dialect,
    D: Fn(&TypeUrl, &str, &Bytes) -> Result<T, String>,
{
    let (send, requests) = mpsc::channel(REQUESTS);
    let opening = open(connection, client, &send, requests);
    let mut responses = tokio::select! {
        opened = opening => match opened {
            Ok(responses) => responses,
            Err(status) => return End::Failed(status),
        },
        () = connection.drain.stopping() => return End::Drained,
    };
    loop {
        tokio::select! {
            () = connection.drain.stopping() => return End::Drained,
            response = responses.message() => {
                let response = match response {
                    Ok(Some(response)) => response,
                    Ok(None) => return End::Closed,
                    Err(status) => return End::Failed(status),
                };
                *heard = true;
                let Some(batch) = client.receive(response) else { continue };
                let reply = state.take(client, batch);
                if let Some(reply) = reply && send.send(reply).await.is_err() {
                    return End::Closed;
                }
            }
            Some((type_url, names)) = state.names.next(), if !state.names.is_empty() => {
                let (dropped, request) = client.want(&type_url, names);
                state.forget(&type_url, &dropped);
                if let Some(request) = request && send.send(request).await.is_err() {
                    return End::Closed;
                }
            }
        }
    }
}

async fn open<C: Dialect>(
    connection: &Connection,
    client: &mut C,
    send: &mpsc::Sender<C::Request>,
    requests: mpsc::Receiver<C::Request>,
) -> Result<tonic::Streaming<C::Response>, Status> {
    let channel =
        connection.endpoint.connect().await.map_err(|error| Status::unavailable(chain(&error)))?;
    let mut ads =
        AdsClient::new(channel).max_decoding_message_size(connection.options.message_limit);
    // As many as there are types, far below the channel's bound.
    for request in client.open() {
        send.try_send(request).map_err(|_| Status::internal("too many types subscribed"))?;
    }
    let mut request = Request::new(ReceiverStream::new(requests));
    for (name, value) in &connection.headers {
        request.metadata_mut().insert(name.clone(), value.clone());
    }
    C::call(&mut ads, request).await
}

// === impl State ===

impl<T, D> State<T, D> {
    pub(super) fn new(
        publish: watch::Sender<Arc<Resources<T>>>,
        decode: D,
        wants: Vec<(TypeUrl, Want)>,
        unready: ReadyGuard,
    ) -> Self {
        let names = wants
            .into_iter()
            .filter_map(|(type_url, want)| match want {
                Want::All => None,
                Want::Names(names) => Some((type_url, WatchStream::new(names))),
            })
            .collect();
        Self { publish, decode, names, unready: Some(unready) }
    }

    /// Judges a batch, publishes the outcome, and returns the acknowledgement.
    fn take<C: Dialect>(&mut self, client: &mut C, batch: Batch) -> Option<C::Request>
    where
        D: Fn(&TypeUrl, &str, &Bytes) -> Result<T, String>,
    {
        let type_url = batch.type_url.clone();
        let mut good = Vec::new();
        let mut refused = BTreeMap::new();
        for (name, bytes) in &batch.changed {
            match (self.decode)(&type_url, name, bytes) {
                Ok(resource) => good.push((name.clone(), Arc::new(resource))),
                Err(reason) => {
                    tracing::warn!(kind = type_url.short(), name, reason, "resource refused");
                    refused.insert(name.clone(), reason);
                }
            }
        }
        let untouched = batch.all_or_nothing && !refused.is_empty();
        let removed = batch.removed.clone();
        let reply = client.settle(batch, &refused);
        let answered = client.all_answered();
        self.publish.send_modify(|published| {
            let mut next = Resources::clone(published);
            next.answered = answered;
            if !untouched {
                let held = next.by_type.entry(type_url.clone()).or_default();
                for name in &removed {
                    held.remove(name);
                    next.refused.remove(&(type_url.clone(), name.clone()));
                }
                for (name, resource) in good {
                    next.refused.remove(&(type_url.clone(), name.clone()));
                    held.insert(name, resource);
                }
            }
            for (name, reason) in refused {
                next.refused.insert((type_url.clone(), name), reason);
            }
            *published = Arc::new(next);
        });
        if answered {
            self.unready = None;
        }
        reply
    }

    /// Drops resources that are no longer wanted.
    fn forget(&self, type_url: &TypeUrl, names: &[String]) {
        if names.is_empty() {
            return;
        }
        self.publish.send_modify(|published| {
            let mut next = Resources::clone(published);
            if let Some(held) = next.by_type.get_mut(type_url) {
                for name in names {
                    held.remove(name);
                }
            }
            *published = Arc::new(next);
        });
    }
}

/// Returns between half of `wait` and all of it, so that replicas which lost
/// one server do not return to it in step.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 512;
    #[allow(clippy::cast_possible_truncation, reason = "below 512")]
    let share = 512 + random as u32;
    wait * share / 1024
}
