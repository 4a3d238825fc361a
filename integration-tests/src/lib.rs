//! End-to-end tests against real programs.
//!
//! [`Stack`] is one whole gateway: the built `nuncio` binary with its Envoy on
//! a folder of its own, backends in this process, and a client. [`Parts`] is the
//! same with each service as a program of its own. Every port is free and on
//! loopback, so that tests run side by side.

mod backend;
mod binary;
mod client;
mod fakes;
mod files;
mod parts;
mod process;
mod raw;
mod stack;
mod wait;

pub use backend::{Backend, service, service_at};
pub use binary::{binary, envoy, envoy_version, services, workspace};
pub use client::{Client, Reply};
pub use fakes::{Arrived, Fake};
pub use files::Files;
pub use nuncio_testing::ports::free_port;
pub use parts::{Parts, control_plane_alone};
pub use process::{Ended, Process};
pub use raw::{exchange, head};
pub use stack::{Builder, Stack, listener, mapping, tls_secret};
pub use wait::{PATIENCE, eventually, until};
