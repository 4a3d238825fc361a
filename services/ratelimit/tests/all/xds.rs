//! Limits from a control plane.
