//! Pure compiler from objects to Envoy resources.
