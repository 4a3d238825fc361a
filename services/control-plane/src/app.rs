//! Binds, wires and starts the service.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use nuncio_compiler::Compiler;
use nuncio_process::{Context, grpc, http};
use nuncio_source::{Event, Files};
use tokio::sync::{mpsc, watch};
use tonic::service::Routes;

use crate::ads::Ads;
use crate::diagnostics::{self, Pages};
use crate::guarded::Guarded;
use crate::health::{Health, Snapshot};
use crate::intake::{Inputs, Intake, Outside};
use crate::questions::Questions;
use crate::settings::{Idle, idle};
use crate::{Fleet, Metrics, Objects, Report, Settings};

/// What the service listens on, and its shared state.
#[derive(Debug, Clone)]
pub struct Bound {
    /// ADS.
    pub grpc: SocketAddr,
    /// Probes, metrics, diagnostics.
    pub admin: SocketAddr,
    /// The resources that are served and who is connected.
    pub fleet: Fleet,
    /// What there is to tell of the objects.
    pub report: Report,
}

/// Starts the service on `events` and returns its real addresses.
///
/// # Errors
/// When a port cannot be bound, or no HTTP client can be made.
pub async fn start(
    settings: Settings,
    context: &Context,
    events: mpsc::Receiver<Event>,
) -> anyhow::Result<Bound> {
    let gateway = &settings.gateway;
    for Idle { name, why, .. } in idle(|name| std::env::var(name).ok()) {
        tracing::warn!(variable = name, reason = why, "this variable has no effect");
    }
    let metrics = Metrics::register(context, gateway.id(), &gateway.namespace);
    let (fleet, news) = Fleet::new(settings.rules(), metrics.clone());
    let report = Report::new(metrics);
    let objects = Objects::default();
    let snapshot = Snapshot::new(Instant::now());
    let unready = context.ready.guard("first configuration");

    let health = Health {
        snapshot: snapshot.clone(),
        fleet: fleet.clone(),
        envoy_ready: settings.neighbours.envoy_ready,
    };
    let (questions, asked) = Questions::new();
    let pages = Pages {
        context: context.clone(),
        health,
        fleet: fleet.clone(),
        report: report.clone(),
        objects: objects.clone(),
        questions,
        ambassador_id: gateway.id().to_owned(),
        namespace: gateway.namespace.clone(),
        single_namespace: !gateway.scope.single_namespace.is_empty(),
        endpoints_enabled: gateway.disable_endpoints.is_empty(),
        envoy_admin: settings.neighbours.envoy_admin,
    };
    let admin =
        http::serve(context, "control-plane admin", settings.admin(), diagnostics::router(pages))
            .await?;
    let ads = Ads::new(fleet.clone(), context.clone());
    let grpc =
        grpc::serve(context, "control-plane ads", settings.grpc(), Routes::new(ads), &[]).await?;

    let told = settings.compiler(admin);
    let compiler = Guarded::new(move || Compiler::new(told.clone()));
    let (wanted, follows) = watch::channel(BTreeSet::new());
    let registered = nuncio_source::consul(&settings.consul(), follows, context)?;
    let outside = Outside { files: Files::below(&settings.sources.error_pages), wanted };
    let intake =
        Intake::new(compiler, fleet.clone(), report.clone(), objects, snapshot, unready, outside);
    let inputs = Inputs { events, registered, news, asked };
    context.tasks.spawn("intake", intake.run(inputs, context.drain.clone()));
    tracing::info!(%grpc, %admin, "control plane listening");
    Ok(Bound { grpc, admin, fleet, report })
}
