//! What every Nuncio process needs and no service should write twice: settings
//! on the command line, logs, an admin port, readiness, drain, owned tasks,
//! gRPC and HTTP serving, and the xDS subscription.
//!
//! A service is a library whose `start` takes its settings and a [`Context`];
//! its binary is [`run`]. `nuncio run` starts all of them in one process, each
//! with a [`Context::child`], so that one signal drains everything.
//!
//! Exit codes: 0 drained after a signal, 1 a start or a task failed, 64 the
//! settings cannot be used (`EX_USAGE` of `sysexits.h`).

pub mod admin;
mod args;
mod chain;
mod context;
mod drain;
pub mod grpc;
pub mod http;
mod ready;
mod redact;
mod run;
mod tasks;
pub mod telemetry;
pub mod xds_client;

pub use args::{Args, HasArgs, parse_duration};
pub use chain::chain;
pub use context::Context;
pub use drain::Drain;
pub use ready::{Readiness, ReadyGuard};
pub use redact::Hidden;
pub use run::{Unusable, block_on, run};
pub use tasks::{TaskError, Tasks};
