//! Hopmesh.
fn main() {}
