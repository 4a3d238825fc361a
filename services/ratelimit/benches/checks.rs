//! Checks a second.
fn main() {}
