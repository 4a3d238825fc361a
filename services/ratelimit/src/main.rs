//! The rate-limit service as a program.

use std::process::ExitCode;

use nuncio_process::Unusable;
use nuncio_ratelimit::{Settings, check_environment, start};

fn main() -> ExitCode {
    nuncio_process::run("ratelimit", async |settings: Settings, context| {
        let refused = check_environment(|name| std::env::var(name).ok());
        if !refused.is_empty() {
            let faults: Vec<String> = refused.iter().map(ToString::to_string).collect();
            return Err(Unusable(format!("settings cannot be used:\n{}", faults.join("\n"))).into());
        }
        let bound = start(settings, &context).await?;
        tracing::info!(grpc = %bound.grpc, http = %bound.http, admin = %bound.admin, "listening");
        Ok(bound)
    })
}
