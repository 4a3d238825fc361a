//! The service against real programs: one binary, one file a subject.

mod counters;
mod files;
mod redis_failures;
mod service;
mod stack;
mod xds;
