//! The Envoy that `nuncio run` starts: found, checked, watched, drained.

mod admin;
mod child;
mod find;
mod supervisor;

pub use admin::{Admin, AdminError};
pub use child::{Child, become_program};
pub use find::{EnvoyError, Program, Search, Version};
pub use supervisor::{Options, Supervisor};
