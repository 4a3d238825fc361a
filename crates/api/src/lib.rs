//! Typed objects of every kind Nuncio reads.
//!
//! One file a kind, fields as users spell them, each with unit, default and
//! source. This crate decides what is well-formed; what a field means is the
//! compiler's business.

mod change;
mod diagnostic;
pub mod filter;
pub mod filter_policy;
mod object;
mod spec;

pub use change::Change;
pub use diagnostic::{Diagnostic, Severity};
pub use object::{Carrier, Kind, Meta, Object, ObjectKey, Origin};
pub use spec::Spec;
