//! The folder of objects and how it is read: flags that `run` shares with the
//! offline tools, and one reading of the folder for the latter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nuncio_api::{Diagnostic, Reading};
use nuncio_compiler::{Address, Compiler, Delta, Resource, Settings};
use nuncio_control_plane::Gateway;
use nuncio_source::{Files, default_state, load};

use crate::filters;

/// Which objects, for which gateway.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Objects {
    /// Folder of YAML and JSON files, with all folders below it.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,

    /// Folder for what is written back: status, certificates. Secrets in it
    /// are objects like those of FOLDER. Default: `.nuncio` beside FOLDER.
    #[arg(long, env = "NUNCIO_STATE", value_name = "STATE")]
    pub(crate) state: Option<PathBuf>,

    /// Folder that `text_format_source` of error responses may name files in;
    /// files elsewhere are not read. Default: FOLDER.
    #[arg(long, env = "NUNCIO_ERROR_PAGES", value_name = "PAGES")]
    pub(crate) error_pages: Option<PathBuf>,

    /// Which of them count, and what they mean.
    #[command(flatten)]
    pub(crate) gateway: Gateway,
}

/// Ports of our own services where nothing runs: offline tools show the
/// configuration as it would be with each service on its default port.
const OFFLINE_AUTH: u16 = 8500;
const OFFLINE_RATE_LIMIT: u16 = 8081;
const OFFLINE_CHALLENGES: u16 = 8402;
const OFFLINE_ADMIN: u16 = 8877;

impl Objects {
    /// Returns the state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| default_state(&self.folder))
    }

    /// Returns the folder that objects may name files in.
    pub(crate) fn error_pages(&self) -> &Path {
        self.error_pages.as_deref().unwrap_or(&self.folder)
    }

    /// Returns how the folder is to be read.
    pub(crate) fn reading(&self) -> Reading {
        self.gateway.scope.reading(&self.gateway.namespace)
    }

    /// Returns compiler settings for a gateway whose services listen on their
    /// default ports.
    pub(crate) fn offline_settings(&self) -> Settings {
        let local = |port| Some(Address::new("127.0.0.1", port));
        Settings {
            resolve_defined_services: true,
            auth: local(OFFLINE_AUTH),
            rate_limit: local(OFFLINE_RATE_LIMIT),
            challenges: local(OFFLINE_CHALLENGES),
            admin: local(OFFLINE_ADMIN),
            ..self.gateway.compiler()
        }
    }

    /// Reads the folder once and compiles it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read at all.
    pub(crate) fn compile(&self) -> anyhow::Result<Compiled> {
        let reading = self.reading();
        let mut changes = load(&self.folder, &reading)?;
        // Certificates that a running gateway has written count too.
        let secrets = self.state().join("secrets");
        if secrets.is_dir() {
            changes.extend(load(&secrets, &Reading::of_namespace(reading.default_namespace))?);
        }
        Files::below(self.error_pages()).follow(&mut changes);
        let filters = filters::findings(&changes, self.gateway.id());
        let mut compiler = Compiler::new(self.offline_settings());
        Ok(Compiled { delta: compiler.apply(changes), filters })
    }
}

/// The result of one compilation from nothing.
#[derive(Debug)]
pub(crate) struct Compiled {
    delta: Delta,
    filters: Vec<Diagnostic>,
}

impl Compiled {
    /// Returns every diagnostic, in order of file, line, object and field.
    pub(crate) fn diagnostics(&self) -> Vec<&Diagnostic> {
        let compiled = self.delta.report.iter().flat_map(|(_, found)| found);
        let mut all: Vec<_> = compiled.chain(&self.filters).collect();
        all.sort_by_key(|found| (&found.origin, &found.object, &found.field, found.severity));
        all.dedup();
        all
    }

    /// Returns every resource, sorted by type and name.
    pub(crate) fn resources(&self) -> &[Arc<Resource>] {
        &self.delta.changed
    }
}
