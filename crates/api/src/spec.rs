//! The part of an object that differs by kind.

use crate::Kind;

/// The kind's own part of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {}

impl Spec {
    /// Returns the kind this spec belongs to.
    pub fn kind(&self) -> Kind {
        match *self {}
    }
}
