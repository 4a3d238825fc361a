//! The programs under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nuncio::envoy::{Search, Version};

/// Returns the root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies below the root")
}

/// Returns the `nuncio` binary: `NUNCIO_BINARY`, or one that is built from the
/// sources as they are now.
///
/// # Panics
///
/// When it does not build.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let named = std::env::var_os("NUNCIO_BINARY").map(PathBuf::from);
        named.unwrap_or_else(|| build(&["nuncio"]).join("nuncio"))
    })
}

/// Returns the folder of the services' own binaries, built from the sources as
/// they are now.
///
/// # Panics
///
/// When they do not build.
pub fn services() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| build(&SERVICES))
}

/// The services' packages, each with a binary of its name; and the one package
/// that uses them all, so that their dependencies are built with the features
/// that the tests were built with, and not a second time.
const SERVICES: [&str; 5] =
    ["nuncio", "nuncio-control-plane", "nuncio-auth", "nuncio-ratelimit", "nuncio-certificates"];

/// Builds packages and returns the folder of their binaries.
fn build(packages: &[&str]) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(workspace()).args(["build", "--quiet", "--bins"]);
    for package in packages {
        build.args(["--package", package]);
    }
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.status().expect("cargo runs, it built this test");
    assert!(status.success(), "{} cannot be built", packages.join(", "));
    let test = std::env::current_exe().expect("a running test has a path");
    let deps = test.parent().expect("a file lies in a folder");
    // Tests lie in <profile>/deps, the bench beside the binaries.
    let profile = if deps.ends_with("deps") { deps.parent() } else { Some(deps) };
    profile.expect("the profile's folder lies above").to_owned()
}

/// Returns the Envoy that tests run: `NUNCIO_ENVOY`, or the fetched one.
///
/// # Panics
///
/// When it is missing: a test that cannot run fails.
pub fn envoy() -> PathBuf {
    let named = std::env::var_os("NUNCIO_ENVOY").map(PathBuf::from);
    let path = named.unwrap_or_else(|| workspace().join(".tools/envoy-1.40.0/envoy"));
    assert!(path.is_file(), "no Envoy at {}; run `.ci/tools envoy`", path.display());
    path
}

/// Returns the version of that Envoy, for what an older one does otherwise.
///
/// # Panics
///
/// When it is not one that the gateway can drive.
pub async fn envoy_version() -> Version {
    let search = Search { named: Some(envoy()), ..Search::default() };
    search.find().await.expect("tests run a usable Envoy").version
}
