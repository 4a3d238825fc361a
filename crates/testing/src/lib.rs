//! Fakes and real programs for tests.

pub mod manifests;
pub mod redis;
