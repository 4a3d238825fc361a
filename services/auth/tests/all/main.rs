//! The auth service in process, against local key and authorization servers,
//! and behind a real Envoy.

mod check;
mod custom;
mod envoy;
mod external;
mod jwks;
mod support;
