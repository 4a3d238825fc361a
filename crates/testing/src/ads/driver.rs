//! A simulated Envoy connected to a real server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::Envoy;

/// Requests that wait for the connection: each response causes at most two.
const REQUESTS: usize = 64;
/// Longest wait for a state in a test.
const PATIENCE: Duration = Duration::from_secs(20);

/// A simulated Envoy connected to a real server until it is dropped.
#[derive(Debug)]
pub struct Driver {
    envoy: Arc<Mutex<Envoy>>,
    changes: watch::Receiver<u64>,
    task: JoinHandle<anyhow::Result<()>>,
}

// === impl Driver ===

impl Driver {
    /// Connects to the ADS server at `http://host:port`.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn connect(url: String, envoy: Envoy) -> anyhow::Result<Self> {
        let client = AggregatedDiscoveryServiceClient::connect(url).await?;
        let envoy = Arc::new(Mutex::new(envoy));
        let (changed, changes) = watch::channel(0);
        let task = tokio::spawn(run(client, Arc::clone(&envoy), changed));
        Ok(Self { envoy, changes, task })
    }

    /// Gives access to what the Envoy holds.
    pub fn envoy(&self) -> MutexGuard<'_, Envoy> {
        self.envoy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the Envoy is as `wanted` says.
    ///
    /// # Errors
    /// When it is not so in time; the text shows the state.
    pub async fn until(&self, wanted: impl Fn(&Envoy) -> bool) -> anyhow::Result<()> {
        let mut changes = self.changes.clone();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !wanted(&self.envoy()) {
                changes.changed().await.context("the stream ended")?;
            }
            anyhow::Ok(())
        });
        waited.await.with_context(|| format!("not in time: {:?}", self.envoy()))?
    }

    /// Ends the connection and returns the Envoy with all it holds.
    pub fn disconnect(self) -> Envoy {
        self.task.abort();
        std::mem::take(&mut *self.envoy())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    mut client: AggregatedDiscoveryServiceClient<tonic::transport::Channel>,
    envoy: Arc<Mutex<Envoy>>,
    changed: watch::Sender<u64>,
) -> anyhow::Result<()> {
    let lock = || envoy.lock().unwrap_or_else(PoisonError::into_inner);
    let (send, requests) = mpsc::channel(REQUESTS);
    let opening = lock().connect();
    for request in opening {
        send.send(request).await?;
    }
    let requests = ReceiverStream::new(requests);
    let mut responses = client.delta_aggregated_resources(requests).await?.into_inner();
    while let Some(response) = responses.message().await? {
        let answers = lock().receive(&response);
        for answer in answers {
            send.send(answer).await?;
        }
        changed.send_modify(|count| *count += 1);
    }
    Ok(())
}
