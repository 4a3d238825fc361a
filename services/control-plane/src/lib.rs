//! xDS control plane.
