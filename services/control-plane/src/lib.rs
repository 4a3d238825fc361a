//! The xDS control plane: objects in, configuration of Envoy and of our other
//! services out, status and diagnostics back.

pub mod ads;
mod app;
mod bootstrap;
mod debounce;
mod diagnostics;
mod envoy_client;
mod fleet;
mod guarded;
mod health;
mod intake;
mod metrics;
mod objects;
mod publish;
mod questions;
mod report;
mod settings;
mod status;

pub use app::{Bound, start};
pub use bootstrap::{Bootstrap, Statsd};
pub use fleet::{Client, Fleet};
pub use metrics::Metrics;
pub use nuncio_source::Event;
pub use objects::Objects;
pub use report::{Report, Told};
pub use settings::{Gateway, Listen, Neighbours, Order, Settings, Sources, fleet};
pub use status::write_status;
