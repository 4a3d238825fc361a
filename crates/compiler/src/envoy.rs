//! Intermediate form to Envoy messages.

pub mod route_index;
