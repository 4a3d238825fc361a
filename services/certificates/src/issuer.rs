//! One CA: accounts, orders and what becomes of them. The only file that knows
//! the ACME library; the rest of the service sees the traits below.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Error, Identifier, Key, NewOrder,
    Order, Problem,
};
use nuncio_renewal::name::Name;
use nuncio_renewal::order::{AuthorizationView, OrderStatus, OrderView};
use nuncio_renewal::problem::{Class, Failure, class_of_word};
use nuncio_renewal::secret::KeyPem;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::keys;

/// Repeats a call whose nonce was refused. The library tries three times by
/// itself, which a CA that refuses one in five defeats every hundredth time.
macro_rules! retrying {
    ($call:expr) => {{
        let mut left = NONCE_RETRIES;
        loop {
            match $call.await {
                Ok(value) => break Ok(value),
                Err(error) => {
                    let failure = failure(&error);
                    left -= 1;
                    if failure.class != Class::BadNonce || left == 0 {
                        break Err(failure);
                    }
                }
            }
        }
    }};
}

mod client;

use client::Answer;
pub(crate) use client::{Client, trust};

/// The CAs that can be asked.
#[async_trait]
pub(crate) trait Authorities: Send + Sync {
    /// Opens the account of `key` at a CA. Without a `url` the account is
    /// registered, which for a key that has an account already finds that one.
    async fn open(
        &self,
        directory: &str,
        key: &KeyPem,
        url: Option<&str>,
        email: Option<&str>,
    ) -> Result<Arc<dyn Authority>, Failure>;
}

/// One account at one CA.
#[async_trait]
pub(crate) trait Authority: Send + Sync {
    /// Returns the account's URL.
    fn account(&self) -> &str;
    /// Places an order.
    async fn new_order(&self, names: &BTreeSet<Name>) -> Result<Box<dyn OpenOrder>, Failure>;
    /// Reads an order placed before.
    async fn order(&self, url: &str) -> Result<Box<dyn OpenOrder>, Failure>;
}

/// One order at one CA.
#[async_trait]
pub(crate) trait OpenOrder: Send {
    /// Returns the order as last seen.
    fn view(&mut self) -> OrderView;
    /// Reads the order again.
    async fn refresh(&mut self) -> Result<OrderView, Failure>;
    /// Reads all authorizations again.
    async fn authorizations(&mut self) -> Result<Vec<AuthorizationView>, Failure>;
    /// Says that the HTTP-01 challenge with this token is ready.
    async fn accept(&mut self, token: &str) -> Result<(), Failure>;
    /// Sends the request (DER).
    async fn finalize(&mut self, csr: &[u8]) -> Result<OrderView, Failure>;
    /// Fetches the chain of a valid order.
    async fn certificate(&mut self) -> Result<String, Failure>;
}

/// CAs reached over the network.
#[derive(Debug, Clone)]
pub(crate) struct Acme {
    client: Client,
}

struct AcmeAccount(Account);

struct AcmeOrder {
    order: Order,
    retry_after: Option<Duration>,
}

impl Acme {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn account(
        &self,
        directory: &str,
        key: &PrivatePkcs8KeyDer<'static>,
        url: Option<&str>,
    ) -> Result<Account, Error> {
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let directory = directory.to_owned();
        if let Some(url) = url {
            return builder.from_parts(url.to_owned(), key.clone_key(), directory).await;
        }
        let pair = (Key::from_pkcs8_der(key.clone_key())?, PrivateKeyDer::Pkcs8(key.clone_key()));
        Ok(builder.create_from_key(pair, directory).await?.0)
    }
}

#[async_trait]
impl Authorities for Acme {
    async fn open(
        &self,
        directory: &str,
        key: &KeyPem,
        url: Option<&str>,
        email: Option<&str>,
    ) -> Result<Arc<dyn Authority>, Failure> {
        let fault = |fault: keys::KeyFault| Failure::new(Class::Rejected, fault.to_string());
        let (pkcs8, _) = keys::account(key).map_err(fault)?;
        let der = PrivatePkcs8KeyDer::from(pkcs8);
        let contact = email.map(|email| format!("mailto:{email}"));
        let contacts: Vec<&str> = contact.as_deref().into_iter().collect();
        let account = retrying!(self.account(directory, &der, url))?;
        if url.is_none() && !contacts.is_empty() {
            retrying!(account.update_contacts(&contacts))?;
        }
        Ok(Arc::new(AcmeAccount(account)))
    }
}

#[async_trait]
impl Authority for AcmeAccount {
    fn account(&self) -> &str {
        self.0.id()
    }

    async fn new_order(&self, names: &BTreeSet<Name>) -> Result<Box<dyn OpenOrder>, Failure> {
        let identifiers: Vec<Identifier> = names
            .iter()
            .map(|name| match name.ip() {
                Some(address) => Identifier::Ip(address),
                None => Identifier::Dns(name.to_string()),
            })
            .collect();
        let order = retrying!(self.0.new_order(&NewOrder::new(&identifiers)))?;
        Ok(Box::new(AcmeOrder { order, retry_after: None }))
    }

    async fn order(&self, url: &str) -> Result<Box<dyn OpenOrder>, Failure> {
        let (order, retry_after) =
            client::noting_retry_after(async { retrying!(self.0.order(url.to_owned())) }).await;
        Ok(Box::new(AcmeOrder { order: order.map_err(unknown_status)?, retry_after }))
    }
}

#[async_trait]
impl OpenOrder for AcmeOrder {
    fn view(&mut self) -> OrderView {
        let url = self.order.url().to_owned();
        let state = self.order.state();
        OrderView {
            url,
            status: match state.status {
                instant_acme::OrderStatus::Pending => OrderStatus::Pending,
                instant_acme::OrderStatus::Ready => OrderStatus::Ready,
                instant_acme::OrderStatus::Processing => OrderStatus::Processing,
                instant_acme::OrderStatus::Valid => OrderStatus::Valid,
                instant_acme::OrderStatus::Invalid => OrderStatus::Invalid,
            },
            error: state.error.as_ref().map(verification_failure),
            retry_after: self.retry_after,
        }
    }

    async fn refresh(&mut self) -> Result<OrderView, Failure> {
        let order = &mut self.order;
        let (read, retry_after) =
            client::noting_retry_after(async { retrying!(order.refresh()).map(|_| ()) }).await;
        read.map_err(unknown_status)?;
        self.retry_after = retry_after;
        Ok(self.view())
    }

    async fn authorizations(&mut self) -> Result<Vec<AuthorizationView>, Failure> {
        let mut views = Vec::new();
        let mut list = self.order.authorizations();
        while let Some(next) = list.next().await {
            let mut handle = next.map_err(|error| failure(&error))?;
            // The library remembers what it read first: ask again.
            retrying!(handle.refresh())?;
            views.push(authorization_view(&handle));
        }
        Ok(views)
    }

    async fn accept(&mut self, token: &str) -> Result<(), Failure> {
        let mut list = self.order.authorizations();
        while let Some(next) = list.next().await {
            let mut handle = next.map_err(|error| failure(&error))?;
            let Some(mut challenge) = handle.challenge(ChallengeType::Http01) else { continue };
            if challenge.token == token {
                return retrying!(challenge.set_ready());
            }
        }
        Err(Failure::new(Class::OrderGone, "the challenge is no longer part of the order"))
    }

    async fn finalize(&mut self, csr: &[u8]) -> Result<OrderView, Failure> {
        let order = &mut self.order;
        let (sent, retry_after) =
            client::noting_retry_after(async { retrying!(order.finalize_csr(csr)) }).await;
        sent?;
        self.retry_after = retry_after;
        Ok(self.view())
    }

    async fn certificate(&mut self) -> Result<String, Failure> {
        let order = &mut self.order;
        let chain = retrying!(order.certificate())?;
        chain.ok_or_else(|| Failure::new(Class::OrderNotReady, "the certificate is not ready"))
    }
}

fn authorization_view(state: &instant_acme::AuthorizationState) -> AuthorizationView {
    let name = state.identifier().to_string();
    let challenge = state.challenges.iter().find(|one| one.r#type == ChallengeType::Http01);
    let failed = state.challenges.iter().find_map(|one| one.error.as_ref());
    let failure = match state.status {
        AuthorizationStatus::Pending | AuthorizationStatus::Valid => None,
        status => Some(failed.map_or_else(
            || {
                let reason = format!("the authorization of {name} is {status:?}");
                Failure::new(Class::Validation, reason.to_lowercase())
            },
            |problem| {
                let failure = verification_failure(problem);
                Failure { reason: format!("{name}: {}", failure.reason), ..failure }
            },
        )),
    };
    AuthorizationView {
        valid: state.status == AuthorizationStatus::Valid,
        http01: challenge.map(|one| one.token.clone()),
        untouched: challenge.is_some_and(|one| one.status == ChallengeStatus::Pending),
        name,
        failure,
    }
}

/// Classifies an error of the library.
fn failure(error: &Error) -> Failure {
    match error {
        Error::Api(problem) => of_problem(problem, 400),
        Error::Other(inner) => inner
            .downcast_ref::<Answer>()
            .map_or_else(|| Failure::new(Class::Transport, chain(inner.as_ref())), Answer::failure),
        Error::Json(_) => {
            Failure::new(Class::Protocol, "the CA answered something that is not ACME")
        }
        Error::Timeout(_) => Failure::new(Class::Transport, "the CA did not answer in time"),
        Error::KeyRejected | Error::Crypto => {
            Failure::new(Class::Rejected, "the account key cannot be used")
        }
        Error::InvalidUri(_) | Error::Http(_) => {
            Failure::new(Class::Protocol, "the CA named an address that cannot be asked")
        }
        other => Failure::new(Class::Protocol, other.to_string()),
    }
}

fn of_problem(problem: &Problem, status: u16) -> Failure {
    let detail = problem.detail.as_deref().unwrap_or_default();
    Failure::of_answer(problem.status.unwrap_or(status), problem.r#type.as_deref(), detail, None)
}

/// Classifies what a CA found when it looked at a name: whatever its word for
/// it, the name could not be verified.
fn verification_failure(problem: &Problem) -> Failure {
    let word = problem.r#type.as_deref().and_then(|text| text.rsplit(':').next());
    let class = match word.and_then(class_of_word) {
        Some(class @ (Class::Caa | Class::Rejected | Class::RateLimited | Class::BadKey)) => class,
        _ => Class::Validation,
    };
    let detail = problem.detail.as_deref().unwrap_or("no detail given");
    Failure::new(class, format!("{}: {detail}", word.unwrap_or("the CA could not verify it")))
}

/// An order the library cannot read is in a state that no order can come back
/// from, such as `deactivated`.
fn unknown_status(failure: Failure) -> Failure {
    match failure.class {
        Class::Protocol => {
            Failure::new(Class::OrderGone, "the order is in a state that cannot be understood")
        }
        _ => failure,
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    nuncio_process::chain(error)
}

/// Nonces are refused at random by some CAs, to keep clients honest.
const NONCE_RETRIES: u32 = 8;
