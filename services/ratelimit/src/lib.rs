//! Rate-limit service.
