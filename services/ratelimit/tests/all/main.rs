//! The service against real programs: one binary, one file a subject.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod counters;
mod files;
mod redis_failures;
mod service;
mod stack;
mod xds;
