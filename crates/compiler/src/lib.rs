//! Pure compiler from objects to Envoy resources.
//!
//! [`Compiler::apply`] takes changes of objects and gives back what changed of
//! the resources. It does no I/O, reads no clock and cannot fail: what a user
//! wrote wrongly becomes a [`Diagnostic`](nuncio_api::Diagnostic), harms only
//! its own object, and leaves that object's last good version in effect.
//!
//! Laws, held by `tests/laws.rs`: the result depends on the objects alone, not
//! on the order of events; applying changes one by one equals compiling all at
//! once; equal input gives equal bytes.
//!
//! This crate does not serve, store or order resources for transport, and does
//! not write status: see `nuncio-xds` and the control plane.

mod compiler;
mod envoy;
pub mod explain;
mod ir;
mod names;
mod parallel;
pub mod render;
mod resource;
mod rope;
mod runs;
mod settings;

pub use compiler::{ClusterName, Compiler, Delta, Status, Subject};
pub use envoy::route_index;
pub use resource::{Resource, ResourceName, TypeUrl};
pub use rope::Rope;
pub use settings::{Address, Settings};
