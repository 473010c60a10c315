//! Compiles `proto/hopmesh.proto` without the protoc program.

use std::error::Error;

const PROTO: &str = "proto/hopmesh.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    // Ordered maps, so that whatever prints a message prints it the same way each time.
    tonic_prost_build::configure().btree_map(".").compile_fds(descriptors)?;
    Ok(())
}
