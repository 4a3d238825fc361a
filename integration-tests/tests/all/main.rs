//! The one end-to-end test binary: a module for each capability.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod auth;
mod bad_input;
mod certificates;
mod command;
mod compression;
mod consul;
mod demo;
mod explain;
mod hosts;
mod probes;
mod protocols;
mod rate_limits;
mod reload;
mod routing;
mod services;
mod tcp;
mod tls;
