//! The control plane as a process of its own.

use std::process::ExitCode;

use nuncio_control_plane::{Settings, start, write_status};
use nuncio_process::Unusable;
use nuncio_source::{FolderSettings, Source, default_state};

fn main() -> ExitCode {
    nuncio_process::run("nuncio-control-plane", async |settings: Settings, context| {
        let folder = settings.gateway.config_dir.clone().ok_or_else(|| {
            Unusable("no objects to read: set --config-dir or AMBASSADOR_CONFIG_DIR".into())
        })?;
        let state = settings.gateway.state.clone().unwrap_or_else(|| default_state(&folder));
        let default_namespace = settings.gateway.namespace.clone();
        let source =
            Source::folder(FolderSettings { folder, state, default_namespace }, &context).await?;
        let bound = start(settings, &context, source.events).await?;
        write_status(&context, &bound, source.sink);
        Ok(bound)
    })
}
