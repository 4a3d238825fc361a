//! The control plane as a process of its own.

use std::process::ExitCode;

use nuncio_control_plane::{Settings, start, write_status};
use nuncio_process::Unusable;
use nuncio_source::{FolderSettings, Source, default_state};

fn main() -> ExitCode {
    nuncio_process::run("nuncio-control-plane", async |settings: Settings, context| {
        let folder = settings.sources.config_dir.clone().ok_or_else(|| {
            Unusable("no objects to read: set --config-dir or AMBASSADOR_CONFIG_DIR".into())
        })?;
        let state = settings.sources.state.clone().unwrap_or_else(|| default_state(&folder));
        let reading = settings.gateway.scope.reading(&settings.gateway.namespace);
        let source = Source::folder(FolderSettings { folder, state, reading }, &context).await?;
        let bound = start(settings, &context, source.events).await?;
        write_status(&context, &bound, source.sink);
        Ok(bound)
    })
}
