//! Fakes and real programs for tests.

pub mod ads;
pub mod consul;
pub mod envoy;
pub mod manifests;
pub mod pebble;
pub mod ports;
pub mod redis;
pub mod snapshot;
pub mod tokens;
pub mod wire;
