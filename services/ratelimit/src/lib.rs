//! Rate-limit service: Envoy's RLS v3 over gRPC, the same as JSON over HTTP.
//!
//! The rules are in `nuncio-limits`; this crate carries requests to them and
//! counts to and from a store. It never talks to Kubernetes: limits come from
//! files or from a control plane.

mod app;
pub mod counters;
mod http;
mod json;
mod metrics;
mod rules;
mod service;
mod settings;
mod wire;

pub use app::{Bound, start};
pub use settings::{
    Answer, ConfigType, KeyFormat, Listen, Refused, RuleSource, Settings, StoreSettings,
    check_environment,
};
