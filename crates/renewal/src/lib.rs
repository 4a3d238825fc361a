//! Pure core of the certificate manager.
