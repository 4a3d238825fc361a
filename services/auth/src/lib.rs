//! The auth service: Envoy's ext_authz v3, gRPC and HTTP, in front of the
//! filters and policies of `nuncio-authz`.
//!
//! Its policy arrives from the control plane over ADS, or from files. The
//! service is a library, so that a build can add filter kinds of its own:
//!
//! ```no_run
//! use nuncio_auth::Extensions;
//!
//! fn main() -> std::process::ExitCode {
//!     nuncio_auth::main(Extensions::default())
//! }
//! ```

mod ads;
mod app;
mod check;
mod effects;
mod external;
mod files;
mod http;
mod keys;
mod metrics;
mod policies;
mod settings;
mod wire;
mod yaml;

pub use app::{Bound, Extensions, main, start, start_with};
pub use settings::Settings;

pub use nuncio_authz as authz;
