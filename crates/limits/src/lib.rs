//! Pure core of the rate-limit service.
