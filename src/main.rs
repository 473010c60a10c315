//! The `hopmesh` program: see `hopmesh::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(hopmesh::cli::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()))
}
