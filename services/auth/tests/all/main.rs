//! The auth service in process, against local key and authorization servers,
//! and behind a real Envoy.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod check;
mod custom;
mod envoy;
mod external;
mod jwks;
mod support;
