//! Pure core of the rate-limit service: which rules a request is held to, what
//! is counted for it, and what the counts mean.
//!
//! Configuration becomes a [`Table`] ([`parse_yaml`], [`Table::build`]); a
//! [`Request`] becomes a [`Plan`] of charges ([`plan`]); a store counts them;
//! the counts become a [`Verdict`] ([`settle`]).
//!
//! This crate does no I/O, reads no clock, and knows no Envoy message. It does
//! not count: stores do, by the rules stated at [`Act`] and [`Window`].

mod answer;
pub mod config;
mod key;
mod plan;
mod request;
mod rule;
mod status;
mod table;
mod template;
mod unit;
mod verdict;
mod yaml;

pub use answer::Answer;
pub use key::CounterKey;
pub use plan::{Act, Charge, Options, Plan, plan};
pub use request::{Bounds, Descriptor, Malformed, Override, Request};
pub use rule::{Level, Limit, Now, Rule, STEPS, Span, Window, Windowed};
pub use status::{CurrentLimit, Status};
pub use table::Table;
pub use template::TemplateError;
pub use unit::Unit;
pub use verdict::{Count, Tally, Verdict, settle};
pub use yaml::parse_yaml;
