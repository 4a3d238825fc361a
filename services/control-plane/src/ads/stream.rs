//! One stream's task: requests and changes in, responses out.

use std::time::{Instant, SystemTime};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use nuncio_process::Drain;
use nuncio_xds::session::{DeltaSession, Event, ProtocolError, Response, SotwSession};
use nuncio_xds::{Cache, TypeUrl};
use prost::Message;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::Fleet;
use crate::fleet::{Client, Connected};

/// A session of either protocol.
pub(super) trait Session: Send + 'static {
    type Request: Message + Default + 'static;
    const PROTOCOL: &'static str;

    fn node(request: &Self::Request) -> Option<&Node>;
    fn receive(
        &mut self,
        request: &Self::Request,
        now: Instant,
    ) -> Result<Vec<Event>, ProtocolError>;
    fn poll(&mut self, cache: &Cache, now: Instant) -> Vec<Response>;
    fn wake(&self) -> Option<Instant>;
    fn is_settled(&self) -> bool;
    fn asks_for(&self, type_url: &TypeUrl) -> bool;
}

/// Runs a stream to its end: the client leaves, breaks the protocol, or the
/// process drains. Closing in good order makes the client turn to another
/// replica.
pub(super) async fn run<S: Session>(
    fleet: Fleet,
    mut session: S,
    mut requests: Streaming<S::Request>,
    send: mpsc::Sender<Result<Response, Status>>,
    drain: Drain,
) {
    let mut changes = fleet.changes();
    let mut connected: Option<Connected> = None;
    loop {
        let wake = session.wake();
        let timer = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = drain.stopping() => return,
            () = send.closed() => return,
            request = requests.message() => {
                let Ok(Some(request)) = request else { return };
                if connected.is_none() {
                    let node = S::node(&request).cloned().unwrap_or_default();
                    connected = Some(introduce(&fleet, node, S::PROTOCOL));
                }
                match session.receive(&request, Instant::now()) {
                    Ok(events) => fleet.settle(events).await,
                    Err(error) => {
                        tracing::warn!(error = %error, "xds stream refused");
                        let status = Status::resource_exhausted(error.to_string());
                        // The client may be gone already.
                        let _gone = send.send(Err(status)).await;
                        return;
                    }
                }
            }
            changed = changes.changed() => {
                // The sender lives in `fleet`.
                let Ok(()) = changed else { return };
            }
            () = timer => {}
        }
        let open = fleet.is_open();
        let responses =
            if open { session.poll(&fleet.cache(), Instant::now()) } else { Vec::new() };
        for response in responses {
            tracing::debug!(
                kind = response.type_url.short(),
                resources = response.resources.len(),
                removed = response.removed.len(),
                nonce = response.nonce,
                "xds response"
            );
            fleet.metrics().sent(&response);
            if send.send(Ok(response)).await.is_err() {
                return;
            }
        }
        if let Some(connected) = &connected {
            let settled = open && session.is_settled();
            connected.progress(session.asks_for(&TypeUrl::LISTENER), settled);
        }
    }
}

fn introduce(fleet: &Fleet, node: Node, protocol: &'static str) -> Connected {
    let version = match node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => build
            .version
            .map(|v| format!("{}.{}.{}", v.major_number, v.minor_number, v.patch))
            .unwrap_or_default(),
        Some(UserAgentVersionType::UserAgentVersion(version)) => version,
        None => String::new(),
    };
    let agent = format!("{} {version}", node.user_agent_name).trim().to_owned();
    tracing::info!(node = node.id, cluster = node.cluster, agent, protocol, "xds client connected");
    fleet.connect(Client {
        node_id: node.id,
        cluster: node.cluster,
        agent,
        protocol,
        since: SystemTime::now(),
        is_envoy: false,
        settled: false,
    })
}

// Both sessions have these methods under the same names; only the request
// differs.
macro_rules! session {
    ($session:ty, $request:ty, $protocol:literal) => {
        impl Session for $session {
            type Request = $request;
            const PROTOCOL: &'static str = $protocol;

            fn node(request: &Self::Request) -> Option<&Node> {
                request.node.as_ref()
            }

            fn receive(
                &mut self,
                request: &Self::Request,
                now: Instant,
            ) -> Result<Vec<Event>, ProtocolError> {
                Self::receive(self, request, now)
            }

            fn poll(&mut self, cache: &Cache, now: Instant) -> Vec<Response> {
                Self::poll(self, cache, now)
            }

            fn wake(&self) -> Option<Instant> {
                Self::wake(self)
            }

            fn is_settled(&self) -> bool {
                Self::is_settled(self)
            }

            fn asks_for(&self, type_url: &TypeUrl) -> bool {
                Self::asks_for(self, type_url)
            }
        }
    };
}

session!(DeltaSession, DeltaDiscoveryRequest, "delta");
session!(SotwSession, DiscoveryRequest, "sotw");
