//! ACME certificate manager.
