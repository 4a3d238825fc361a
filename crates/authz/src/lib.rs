//! Pure core of the auth service.
