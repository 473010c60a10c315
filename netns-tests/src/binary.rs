//! Which `hopmesh` is tested.

use std::path::PathBuf;

/// The binary under test: `$HOPMESH_BIN`, else the one that cargo put next to this test.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn hopmesh() -> PathBuf {
    if let Some(named) = std::env::var_os("HOPMESH_BIN") {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "HOPMESH_BIN names {}, which is no file", named.display());
        return named;
    }
    let own = std::env::current_exe().expect("Linux tells a process its own path");
    // target/<profile>/deps/walk-0123 and target/<profile>/bench are the two places a program of ours runs from.
    let found =
        own.ancestors().skip(1).take(2).map(|folder| folder.join("hopmesh")).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("no hopmesh binary near {}: run `cargo xtask test`, which builds it first", own.display())
    })
}
