//! Where Envoy is, and whether it is one we can drive.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// The version this build is made and tested for.
const PREFERRED: Version = Version { major: 1, minor: 40, patch: 0 };
/// Oldest minor version of 1.x whose API carries everything we send.
const OLDEST_MINOR: u32 = 37;
/// Place of the program below a folder of tools, as `make` fetches it.
const FETCHED: &str = ".tools/envoy-1.40.0/envoy";
/// Longest wait for `envoy --version`, which reads a large file on a cold disk.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

/// Why no usable Envoy was found.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// Nowhere to be found.
    #[error(
        "envoy was not found at {looked}; run `.ci/tools envoy` in a checkout of \
         Nuncio, or install Envoy {PREFERRED} and name it with --envoy or NUNCIO_ENVOY"
    )]
    Missing {
        /// Where it was looked for.
        looked: String,
    },
    /// There, but it does not run.
    #[error("envoy at {} does not run; name another one with --envoy or NUNCIO_ENVOY", path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// It runs, but is not Envoy.
    #[error(
        "{} is not Envoy: `--version` says `{said}`; name Envoy {PREFERRED} with --envoy or \
         NUNCIO_ENVOY",
        path.display()
    )]
    NotEnvoy {
        /// The program.
        path: PathBuf,
        /// First line of what it said.
        said: String,
    },
    /// Envoy, but one we cannot drive.
    #[error(
        "envoy at {} is version {found}; Nuncio needs 1.{OLDEST_MINOR} to 1.{}, best {PREFERRED}; \
         name another one with --envoy or NUNCIO_ENVOY",
        path.display(),
        PREFERRED.minor
    )]
    Version {
        /// The program.
        path: PathBuf,
        /// Its version.
        found: Version,
    },
}

/// A version of Envoy, in order of age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Always 1 so far.
    pub major: u32,
    /// Counts quarterly releases.
    pub minor: u32,
    /// Counts fixes.
    pub patch: u32,
}

impl Version {
    /// Finds the version in the output of `envoy --version`.
    ///
    /// Shape: `… version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`, the patch
    /// perhaps followed by `-dev`.
    fn parse(output: &str) -> Option<Self> {
        output.split('/').find_map(|part| {
            let mut numbers = part.split('.');
            let major = numbers.next()?.parse().ok()?;
            let minor = numbers.next()?.parse().ok()?;
            let patch = numbers.next()?;
            let patch = patch.split('-').next()?.parse().ok()?;
            numbers.next().is_none().then_some(Self { major, minor, patch })
        })
    }

    const fn is_usable(self) -> bool {
        self.major == PREFERRED.major && self.minor >= OLDEST_MINOR && self.minor <= PREFERRED.minor
    }
}

/// Shape: `1.40.0`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Where to look for Envoy.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Named by the user: nothing else is tried.
    pub named: Option<PathBuf>,
    /// Folders that may hold fetched tools, in order.
    pub folders: Vec<PathBuf>,
    /// Value of `PATH`.
    pub path: Option<OsString>,
}

impl Search {
    /// Looks at `named` if given, otherwise below the working folder and the
    /// folders above this executable, then in `PATH`.
    pub fn usual(named: Option<PathBuf>) -> Self {
        let mut folders: Vec<_> = std::env::current_dir().into_iter().collect();
        if let Ok(executable) = std::env::current_exe() {
            folders.extend(executable.ancestors().skip(1).map(Path::to_owned));
        }
        Self { named, folders, path: std::env::var_os("PATH") }
    }

    /// Finds Envoy and asks for its version.
    ///
    /// # Errors
    ///
    /// When there is none, it does not run, or its version is out of range.
    pub async fn find(&self) -> Result<Program, EnvoyError> {
        let path = self.place()?;
        let output =
            Command::new(&path).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
        let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer to --version");
        let output = tokio::time::timeout(VERSION_TIMEOUT, output)
            .await
            .unwrap_or_else(|_| Err(late()))
            .map_err(|source| EnvoyError::Run { path: path.clone(), source })?;
        let said = String::from_utf8_lossy(&output.stdout);
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let version = first.contains("version").then(|| Version::parse(first)).flatten();
        let Some(version) = version else {
            let said = first.trim().chars().take(120).collect();
            return Err(EnvoyError::NotEnvoy { path, said });
        };
        if !version.is_usable() {
            return Err(EnvoyError::Version { path, found: version });
        }
        if version < PREFERRED {
            let version = version.to_string();
            tracing::warn!(version, "older envoy than {PREFERRED}: it works, and lacks its fixes");
        }
        Ok(Program { path, version })
    }

    fn place(&self) -> Result<PathBuf, EnvoyError> {
        let candidates: Vec<PathBuf> = match &self.named {
            Some(named) => vec![named.clone()],
            None => {
                let fetched = self.folders.iter().map(|folder| folder.join(FETCHED));
                let installed = self.path.iter().flat_map(std::env::split_paths);
                fetched.chain(installed.map(|folder| folder.join("envoy"))).collect()
            }
        };
        if let Some(found) = candidates.iter().find(|path| path.is_file()) {
            return Ok(found.clone());
        }
        let looked = match &self.named {
            Some(named) => named.display().to_string(),
            None => format!("{FETCHED} here or above the program, nor as `envoy` in PATH"),
        };
        Err(EnvoyError::Missing { looked })
    }
}

/// An Envoy that can be driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// What it says of itself.
    pub version: Version,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn pretender(folder: &Path, says: &str) -> PathBuf {
        let path = folder.join("envoy");
        std::fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    async fn found(says: &str) -> Result<Program, EnvoyError> {
        let folder = tempfile::tempdir().unwrap();
        let named = Some(pretender(folder.path(), says));
        Search { named, ..Search::default() }.find().await
    }

    #[tokio::test]
    async fn versions_from_1_37_to_1_40_are_taken() {
        for (text, minor) in [("1.37.2", 37), ("1.40.0", 40), ("1.40.1-dev", 40)] {
            let says = format!("envoy  version: 0a1b/{text}/Clean/RELEASE/BoringSSL");
            assert_eq!(found(&says).await.unwrap().version.minor, minor);
        }
        for text in ["1.36.9", "1.41.0", "2.0.0"] {
            let says = format!("envoy  version: 0a1b/{text}/Clean/RELEASE/BoringSSL");
            let error = found(&says).await.unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("needs 1.37 to 1.40"), "{error}");
        }
    }

    #[tokio::test]
    async fn another_program_is_not_taken_for_envoy() {
        let error = found("hello 1/2.3.4/5").await.unwrap_err();
        assert!(matches!(error, EnvoyError::NotEnvoy { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_named_envoy_that_is_missing_is_not_replaced_by_another() {
        let folder = tempfile::tempdir().unwrap();
        pretender(folder.path(), "envoy  version: 0a1b/1.40.0/Clean/RELEASE/BoringSSL");
        let search = Search {
            named: Some(folder.path().join("absent")),
            folders: vec![],
            path: Some(folder.path().into()),
        };
        let error = search.find().await.unwrap_err().to_string();
        assert!(error.contains("absent") && error.contains("--envoy"), "{error}");
        let nowhere = Search::default().find().await.unwrap_err().to_string();
        assert!(nowhere.contains("in PATH") && nowhere.contains(".ci/tools"), "{nowhere}");
        let search = Search { named: None, ..search };
        assert_eq!(search.find().await.unwrap().version, PREFERRED);
    }
}
