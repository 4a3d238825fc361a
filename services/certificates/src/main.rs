//! The certificate manager as a program.

use std::process::ExitCode;

use nuncio_certificates::{Settings, start};

fn main() -> ExitCode {
    nuncio_process::run("certificates", async |settings: Settings, context| {
        let bound = start(settings, &context).await?;
        tracing::info!(http = %bound.http, admin = %bound.admin, "listening");
        Ok(bound)
    })
}
