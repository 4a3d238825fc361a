//! Pure xDS protocol state machines and resource cache.
