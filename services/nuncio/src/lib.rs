//! The nuncio command as a library.

pub mod echo;
