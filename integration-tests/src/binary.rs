//! The programs under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies below the root")
}

/// Returns the `nuncio` binary, built from the sources as they are now.
///
/// # Panics
///
/// When it does not build.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(workspace()).args(["build", "--quiet", "--package", "nuncio"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let status = build.status().expect("cargo runs, it built this test");
        assert!(status.success(), "the nuncio binary does not build");
        let test = std::env::current_exe().expect("a running test has a path");
        let profile = test.ancestors().nth(2).expect("tests lie in <profile>/deps");
        profile.join("nuncio")
    })
}

/// Returns the Envoy that tests run: `NUNCIO_ENVOY`, or the fetched one.
///
/// # Panics
///
/// When it is missing: a test that cannot run fails.
pub fn envoy() -> PathBuf {
    let named = std::env::var_os("NUNCIO_ENVOY").map(PathBuf::from);
    let path = named.unwrap_or_else(|| workspace().join(".tools/envoy-1.40.0/envoy"));
    assert!(path.is_file(), "no Envoy at {}; run `make tools`", path.display());
    path
}
