//! Opens the account of a certificate: its key is made and kept before the CA
//! hears of it, and what the CA calls it is kept before it is used.

use std::sync::Arc;

use nuncio_renewal::plan::SecretId;
use nuncio_renewal::problem::{Class, Failure};
use nuncio_renewal::schedule::hash;
use nuncio_renewal::secret::KeyPem;
use nuncio_renewal::store::{self, Account};
use nuncio_renewal::thumbprint::Thumbprint;

use super::Deps;
use crate::issuer::Authority;
use crate::keys;
use crate::outbox::SecretText;
use crate::records::Shelf;

/// An account, by the Secret of its key and the CA.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AccountId {
    pub(crate) secret: SecretId,
    pub(crate) directory: String,
}

/// An account that can be used.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) thumbprint: Thumbprint,
    pub(crate) key: KeyPem,
}

/// What is known of an account before it is opened.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Key in the account's Secret.
    pub(crate) key: Option<KeyPem>,
    /// URL that a Host's `registration` names.
    pub(crate) url: Option<String>,
    /// Contact.
    pub(crate) email: Option<String>,
    /// The CA does not know the URL kept so far.
    pub(crate) forget: bool,
}

impl AccountId {
    /// Returns the name of the record: one Secret may hold the key of
    /// accounts at several CAs.
    fn record(&self) -> SecretId {
        let name = format!("{:016x}-{}", hash(&self.directory), self.secret.name);
        SecretId { namespace: self.secret.namespace.clone(), name: shorten(&name) }
    }
}

/// Opens an account. `stored` is awaited when its key is durable.
pub(crate) async fn open(
    deps: &Deps,
    id: &AccountId,
    known: Known,
    stored: impl Future<Output = ()> + Send,
) -> Result<Opened, Failure> {
    let former = read(deps, id).await?;
    let key = match (&known.key, &former) {
        (Some(key), _) => key.clone(),
        (None, Some(former)) => former.key.clone(),
        (None, None) => keys::generate()
            .map_err(|fault| Failure::new(Class::Store, nuncio_process::chain(&fault)))?,
    };
    let (_, thumbprint) = keys::account(&key)
        .map_err(|fault| Failure::new(Class::Rejected, format!("{}: {fault}", id.secret)))?;
    // A URL belongs to a key: that of another key names another account.
    let kept = former.as_ref().filter(|former| former.key == key).and_then(|one| one.url.clone());
    let url = known.url.or(kept).filter(|_| !known.forget);
    let mut account = Account {
        directory: id.directory.clone(),
        key: key.clone(),
        url: url.clone(),
        email: known.email.clone(),
    };
    if former.as_ref() != Some(&account) {
        write(deps, id, &account).await?;
    }
    if known.key.is_none() {
        let secret = SecretText::account(&key);
        deps.outbox
            .secret(&id.secret, secret)
            .await
            .map_err(|error| Failure::new(Class::Store, nuncio_process::chain(&error)))?;
    }
    stored.await;
    let email = known.email.as_deref();
    let authority = deps.authorities.open(&id.directory, &key, url.as_deref(), email).await?;
    if url.as_deref() != Some(authority.account()) {
        account.url = Some(authority.account().to_owned());
        write(deps, id, &account).await?;
        tracing::info!(directory = id.directory, account = authority.account(), "registered");
    }
    Ok(Opened { authority, thumbprint, key })
}

async fn read(deps: &Deps, id: &AccountId) -> Result<Option<Account>, Failure> {
    let bytes = deps
        .records
        .take(Shelf::Accounts, &id.record())
        .await
        .map_err(|error| Failure::new(Class::Store, nuncio_process::chain(&error)))?;
    bytes
        .map(|bytes| store::decode(&bytes))
        .transpose()
        // Not to be taken for no record: that would make another account.
        .map_err(|fault| Failure::new(Class::Store, format!("account of {}: {fault}", id.secret)))
}

async fn write(deps: &Deps, id: &AccountId, account: &Account) -> Result<(), Failure> {
    deps.records
        .put(Shelf::Accounts, &id.record(), store::encode(account))
        .await
        .map_err(|error| Failure::new(Class::Store, nuncio_process::chain(&error)))
}

/// File systems take 255 bytes; the hash in front keeps names apart.
fn shorten(name: &str) -> String {
    name.chars().take(240).collect()
}
