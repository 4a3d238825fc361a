//! Pure core of the certificate manager.
//!
//! [`plan`] turns Hosts into wanted certificates, [`schedule`] says when a
//! certificate is due, [`order`] drives one order step by step, [`problem`] and
//! [`backoff`] decide what follows a failure, [`bundle`] judges what a CA sent,
//! [`store`] fixes what is persisted and how, [`status`] what people are told.
//!
//! Nothing here performs input or output, reads a clock or makes a key: the
//! time, random keys and every answer of a CA are arguments. The service
//! around it only carries them, which is why a crash between any two steps can
//! be tried out in a test without a network.

pub mod backoff;
pub mod bundle;
pub mod gate;
pub mod name;
pub mod order;
pub mod plan;
pub mod problem;
pub mod schedule;
pub mod secret;
pub mod status;
pub mod store;
pub mod thumbprint;
pub mod time;
