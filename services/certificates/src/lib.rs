//! ACME certificate manager: a Host with `acmeProvider` gets its certificate.
//!
//! The rules are in `nuncio-renewal`; this crate carries them out: it watches
//! Hosts and Secrets, speaks ACME, answers HTTP-01 challenges on every
//! replica, and writes Secrets and Host statuses. The control plane watches
//! the Secrets and serves them to Envoy; nothing here speaks to Envoy.

mod app;
mod challenge;
mod clock;
mod hosts;
mod issuer;
mod keys;
mod metrics;
mod outbox;
mod probe;
mod records;
mod settings;
mod source;
mod worker;

pub use app::{Bound, start, start_with};
pub use clock::{Clock, SystemClock};
pub use probe::Gateway;
pub use settings::{Acme, Listen, Objects, Settings};
