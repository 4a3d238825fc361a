//! End-to-end tests against real programs.
//!
//! [`Stack`] is one whole gateway: the built `nuncio` binary with its Envoy on
//! a folder of its own, backends in this process, and a client. Every port is
//! free and on loopback, so that tests run side by side.

mod backend;
mod binary;
mod client;
mod files;
mod ports;
mod process;
mod stack;
mod wait;

pub use backend::Backend;
pub use binary::{binary, envoy, workspace};
pub use client::{Client, Reply};
pub use files::Files;
pub use ports::free_port;
pub use process::{Ended, Process};
pub use stack::{Builder, Stack, mapping};
pub use wait::{PATIENCE, eventually, until};
