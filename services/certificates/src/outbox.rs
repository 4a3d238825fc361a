//! Where Secrets and statuses go.

use std::collections::BTreeMap;

use async_trait::async_trait;
use nuncio_renewal::plan::{HostId, SecretId};
use nuncio_renewal::secret::KeyPem;
use nuncio_renewal::status::HostStatus;

/// Something could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {what}")]
pub(crate) struct OutboxError {
    /// What.
    pub(crate) what: String,
    /// Why.
    #[source]
    pub(crate) source: Box<dyn std::error::Error + Send + Sync>,
}

/// A Secret to be written. It has no `Debug`: it holds a private key.
pub(crate) struct SecretText {
    /// Kubernetes type.
    pub(crate) kind: &'static str,
    /// Texts by key.
    pub(crate) data: BTreeMap<&'static str, String>,
}

/// Takes Secrets and statuses to where the objects came from.
#[async_trait]
pub(crate) trait Outbox: Send + Sync {
    /// Writes a Secret, marked as ours, in place of a former one; it is
    /// durable when this returns.
    async fn secret(&self, id: &SecretId, secret: SecretText) -> Result<(), OutboxError>;
    /// Replaces the status of a Host.
    async fn status(&self, host: &HostId, status: &HostStatus) -> Result<(), OutboxError>;
}

impl SecretText {
    /// A certificate and its key, `kubernetes.io/tls`.
    pub(crate) fn pair(chain: &str, key: &KeyPem) -> Self {
        let data = [("tls.crt", chain.to_owned()), ("tls.key", key.reveal().to_owned())];
        Self { kind: "kubernetes.io/tls", data: BTreeMap::from(data) }
    }

    /// An account key, as Ambassador Edge Stack keeps it.
    pub(crate) fn account(key: &KeyPem) -> Self {
        let data = BTreeMap::from([(ACCOUNT_KEY, key.reveal().to_owned())]);
        Self { kind: "Opaque", data }
    }
}

/// Key of an account Secret under which the private key stands.
pub(crate) const ACCOUNT_KEY: &str = "user.key";

/// Label of Secrets that were made here.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "nuncio");

/// Name of the self-signed pair for Hosts that wait for theirs.
pub(crate) const FALLBACK: &str = "fallback-self-signed-cert";
