//! The xDS protocol without its transport: what a server says to one stream,
//! what a subscriber says back, and the cache of resources between them.
//!
//! Nothing here opens a connection, reads a clock or starts a task. A shell
//! hands in requests, responses, acknowledgements and the present time, and
//! carries out what it is given back. That keeps the laws testable: every
//! order of subscriptions, ACKs, NACKs and reconnects can be played in memory.
//!
//! - [`Cache`]: type and name to version and bytes, with a ring of changes and
//!   the last version that any Envoy accepted.
//! - [`session`]: one server stream, delta or state of the world.
//! - [`Rules`]: make before break, by acknowledgement.
//! - [`nack`]: which resource of a refused response is guilty, and what is
//!   served instead.
//! - [`client`]: the other side, for our own subscribers.

mod cache;
pub mod client;
pub mod nack;
mod order;
mod payload;
pub mod session;
mod type_url;

pub use cache::{Cache, Put};
pub use order::Rules;
pub use payload::{Payload, parse_version, version_text};
pub use type_url::TypeUrl;
