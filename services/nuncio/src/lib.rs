//! The nuncio command: four services and Envoy on one machine, and tools that
//! work offline on the same compiler.
//!
//! Also the home of the [`echo`] backend and of throwaway certificates, which
//! the demo and the end-to-end tests share.

mod bootstrap;
mod certgen;
mod check;
mod cli;
mod convert;
mod demo;
pub mod echo;
mod echo_command;
pub mod envoy;
mod explain;
mod filters;
mod objects;
mod output;
mod ready;
mod render;
mod run;
mod statsd;

pub use certgen::Bundle;
pub use cli::main;
