//! Pure core of the auth service: which policy a request falls under, what its
//! filters say, and how the request changes.
//!
//! Nothing here does I/O or reads a clock. An [`Evaluation`] is stepped with
//! events and answers with a decision or with an effect for the shell to
//! perform (find keys, call a service, run a custom filter); time is an
//! argument. Everything fails closed: a filter that is missing or cannot be
//! used, a template that cannot be rendered, an event that was not asked for
//! all end in a 5xx, and a [`Decision`] can only be made whole.
//!
//! Not here: Envoy's messages, fetching, files.

mod built_filter;
mod config;
mod decision;
mod evaluation;
pub mod filter;
mod glob;
mod host;
mod json;
mod path;
mod policy;
mod request;
mod sources;
pub mod template;
mod token_cache;

pub use built_filter::{BuiltFilter, check_filter};
pub use config::{Config, Finding, check_policy};
pub use decision::{Allow, Decision, Denial, Mutations};
pub use evaluation::{Effect, Evaluation, Event, KeysUnavailable, Step, failure};
pub use filter::api_key::ServiceKeys;
pub use filter::{
    BoxFuture, ConfigError, Ctx, Filter, FilterError, FilterFactory, FilterName, RequestView,
    Verdict,
};
pub use host::{Host, HostError};
pub use policy::{Link, Rule, RuleTable};
pub use request::{Peer, Request};
pub use sources::{Environment, Source, Sources};
