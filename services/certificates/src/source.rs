//! Objects in, Secrets and statuses out, as the worker wants them.

use async_trait::async_trait;
use nuncio_api::core::Secret;
use nuncio_api::{Change, Kind, ObjectKey};
use nuncio_renewal::plan::{HostId, SecretId};
use nuncio_renewal::status::HostStatus;
use nuncio_source::{Event, Sink};
use tokio::sync::mpsc;

use crate::outbox::{Outbox, OutboxError, SecretText};

/// What the worker is told.
#[derive(Debug)]
pub(crate) enum Input {
    /// Objects came, changed or went.
    Changes(Vec<Change>),
    /// Everything there is has been told once.
    Synced,
}

/// Hands a source's events to the worker until either ends.
pub(crate) async fn pump(mut events: mpsc::Receiver<Event>, inputs: mpsc::Sender<Input>) {
    while let Some(event) = events.recv().await {
        let input = match event {
            Event::Changes(changes) => Input::Changes(changes),
            Event::Synced => Input::Synced,
        };
        if inputs.send(input).await.is_err() {
            return;
        }
    }
}

#[async_trait]
impl Outbox for Sink {
    async fn secret(&self, id: &SecretId, secret: SecretText) -> Result<(), OutboxError> {
        let data = secret
            .data
            .into_iter()
            .map(|(key, text)| (key.to_owned(), text.into_bytes()))
            .collect();
        let secret = Secret { kind: secret.kind.to_owned(), data };
        self.write_secret(&id.namespace, &id.name, &secret)
            .await
            .map_err(|source| OutboxError { what: format!("Secret {id}"), source: source.into() })
    }

    async fn status(&self, host: &HostId, status: &HostStatus) -> Result<(), OutboxError> {
        let fault = |source| OutboxError { what: format!("status of Host {host}"), source };
        let value = serde_json::to_value(status).map_err(|error| fault(error.into()))?;
        let key = ObjectKey::new(Kind::Host, &host.namespace, &host.name);
        self.write_status(&key, &value).await.map_err(|error| fault(error.into()))
    }
}
