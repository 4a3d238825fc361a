//! The nuncio command as a library.
