//! One server stream: what its client asked for, holds, and is told next.
//!
//! A session is fed requests and the time, and asked what to send. It follows
//! the cache by a cursor, keeps one response of each type in flight, and
//! gathers what changes meanwhile, so that a slow client costs no memory
//! beyond the names it subscribed to.

mod delta;
mod response;
mod sotw;
mod stream;
mod subscription;

use std::sync::Arc;

use crate::{Payload, TypeUrl};

pub use delta::DeltaSession;
pub use response::{Form, Response};
pub use sotw::SotwSession;

/// Most types one stream may ask for.
const TYPES_MOST: usize = 32;
/// Most names of one type one stream may ask for.
const NAMES_MOST: usize = 1 << 18;

/// What a client made of what it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It took these versions.
    Accepted {
        /// Their type.
        type_url: TypeUrl,
        /// The versions.
        payloads: Vec<Arc<Payload>>,
        /// Names among them of which this client had refused a version before.
        recovered: Vec<Arc<str>>,
    },
    /// It refused a resource.
    Refused {
        /// The resource's type.
        type_url: TypeUrl,
        /// The resource's name.
        name: Arc<str>,
        /// The refused version.
        version: u64,
        /// What the client said.
        message: String,
        /// Whether the cause may pass without a change of the resource, such as
        /// a port that is in use; the resource is then offered again later.
        passing: bool,
    },
}

/// Why a stream cannot go on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProtocolError {
    /// A request names no type.
    #[error("a discovery request must name a type_url")]
    NoType,
    /// More types than any client has use for.
    #[error("more than {TYPES_MOST} resource types on one stream")]
    TooManyTypes,
    /// More names than any client has use for.
    #[error("more than {NAMES_MOST} names of one resource type on one stream")]
    TooManyNames,
}
