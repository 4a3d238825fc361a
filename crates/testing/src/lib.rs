//! Fakes and real programs for tests.

pub mod redis;
