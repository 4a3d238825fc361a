//! Filters: what checks a request, and how a build adds kinds of its own.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use serde_json::Value;

use crate::{Denial, Mutations, Request};

pub mod api_key;
pub mod claims;
pub mod error_response;
pub mod external;
pub mod jwks;
pub mod jwt;
pub mod token;

/// The name of a filter: `name.namespace` in texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for FilterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.namespace)
    }
}

/// A future that may be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A filter kind of a user's own build.
///
/// One instance serves every request that its Filter object guards, many at a
/// time. A panic counts as [`Verdict::Fail`].
pub trait Filter: Send + Sync {
    /// Checks one request.
    fn evaluate<'a>(
        &'a self,
        request: RequestView<'a>,
        context: &'a mut Ctx,
    ) -> BoxFuture<'a, Verdict>;

    /// Returns every request header this filter may set. One that it does not
    /// set is removed from the request, so that no client can pretend to be
    /// the filter.
    fn injectable_headers(&self) -> &[HeaderName];
}

/// Makes filters of one kind.
pub trait FilterFactory: Send + Sync {
    /// Returns the name that `Custom.kind` gives to this factory.
    fn kind(&self) -> &'static str;

    /// Makes a filter of `Custom.config`.
    ///
    /// # Errors
    /// When the configuration cannot be used; requests that the Filter guards
    /// are answered 500 until it can.
    fn build(&self, config: &Value) -> Result<Arc<dyn Filter>, ConfigError>;
}

/// The request as a filter sees it: what earlier filters changed shows.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a>(&'a Request);

impl<'a> RequestView<'a> {
    /// Lends a request to a filter.
    pub const fn new(request: &'a Request) -> Self {
        Self(request)
    }
}

impl std::ops::Deref for RequestView<'_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.0
    }
}

/// What surrounds one evaluation.
#[derive(Debug, Clone, Default)]
pub struct Ctx {
    /// Time since the Unix epoch.
    pub now: Duration,
    /// `arguments` of the FilterPolicy's reference; null when absent.
    pub arguments: Value,
}

/// What a filter says. There is no default.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Pass, with changes.
    Continue(Mutations),
    /// Answer this.
    Respond(Denial),
    /// The filter cannot tell: the request is answered 500.
    Fail(FilterError),
}

/// Why a filter cannot tell. The text goes to the log, not to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(String);

impl FilterError {
    /// Makes an error of a text for the log.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Why a Filter object cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// Path of the field below `spec`; empty for the whole.
    pub field: String,
    /// What is wrong: lower-case, no full stop.
    pub message: String,
}

impl ConfigError {
    /// Makes an error of a field below `spec`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Reads a header name of a Filter that is to be set on requests.
///
/// # Errors
/// For what is no header name, and for those that would move the request.
pub(crate) fn header_name(field: &str, name: &str) -> Result<HeaderName, ConfigError> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| ConfigError::new(field, format!("`{name}` is not a header name")))?;
    match parsed == http::header::HOST {
        true => Err(ConfigError::new(field, "the header Host cannot be set")),
        false => Ok(parsed),
    }
}

/// Tells whether a header carries what a client proves itself with; such a
/// header is the client's own even where a filter may replace it.
pub(crate) fn is_credential(name: &HeaderName) -> bool {
    *name == AUTHORIZATION || *name == COOKIE
}
