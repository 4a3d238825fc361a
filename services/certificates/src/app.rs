//! Binds, wires and starts the service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nuncio_api::Kind;
use nuncio_process::{Context, admin, http};
use nuncio_source::{FolderSettings, Source};
use tokio::sync::mpsc;

use crate::challenge::{self, Answers};
use crate::clock::{Clock, SystemClock};
use crate::hosts::World;
use crate::issuer::{Acme, Client, trust};
use crate::metrics::Metrics;
use crate::probe::Probe;
use crate::records::FileRecords;
use crate::settings::Settings;
use crate::source;
use crate::worker::{Deps, Rules, Worker};

/// What is looked at, and what may carry it in an annotation. Of Mappings there
/// may be very many.
const KINDS: [Kind; 5] = [Kind::Host, Kind::Secret, Kind::Listener, Kind::Service, Kind::Ingress];

/// The addresses the service listens on.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Answers to HTTP-01 challenges.
    pub http: SocketAddr,
    /// `/live`, `/ready`, `/metrics`, `/log`.
    pub admin: SocketAddr,
}

/// Starts the service on the folder of its settings and returns its real
/// addresses.
///
/// # Errors
/// When a port cannot be bound, the folder or the records cannot be opened, or
/// the CA bundle cannot be read. A CA out of reach is no error.
pub async fn start(settings: Settings, context: &Context) -> anyhow::Result<Bound> {
    let mut reading = settings.objects.scope.reading(&settings.objects.namespace);
    reading.selection.kinds = Some(KINDS.into());
    let folder = FolderSettings {
        folder: settings.objects.folder.clone(),
        state: settings.objects.state(),
        reading,
    };
    let source = Source::folder(folder, context).await?;
    start_with(settings, context, source, Arc::new(SystemClock)).await
}

/// Starts the service on a source that is open already, with a clock of the
/// caller's; see [`start`].
///
/// # Errors
/// See [`start`].
pub async fn start_with(
    settings: Settings,
    context: &Context,
    source: Source,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Bound> {
    let metrics = Metrics::new(&mut context.registry());
    let answers = Answers::default();
    let roots = trust(settings.acme.acme_ca_bundle.as_deref())?;
    let client = Client::new(roots, metrics.clone()).context("cannot set up TLS")?;
    let records = FileRecords::open(&settings.objects.records())?;

    let routes = challenge::router(answers.clone(), metrics.clone());
    let bound_http = http::serve(context, "challenges", settings.listen.http(), routes).await?;
    let bound_admin =
        http::serve(context, "admin", settings.listen.admin(), admin::router(context)).await?;

    let deps = Arc::new(Deps {
        clock,
        records: Arc::new(records),
        outbox: Arc::new(source.sink),
        authorities: Arc::new(Acme::new(client)),
        answers,
        probe: Probe::new(settings.acme.acme_probe.clone(), settings.acme.acme_probe_patience),
        metrics,
        rules: Rules {
            passive: settings.acme.acme_leader_disable,
            namespace: settings.objects.namespace.clone(),
            in_flight: usize::from(settings.acme.acme_in_flight),
        },
    });
    let world = World::new(settings.objects.ambassador_id.clone(), settings.objects.allowed());
    spawn(context, deps, world, source.events);
    Ok(Bound { http: bound_http, admin: bound_admin })
}

fn spawn(
    context: &Context,
    deps: Arc<Deps>,
    world: World,
    events: mpsc::Receiver<nuncio_source::Event>,
) {
    // The worker takes all that waits at once: more would only be held longer.
    let (sender, inputs) = mpsc::channel(16);
    let drain = context.drain.clone();
    context.tasks.spawn_finite("objects", async move {
        tokio::select! {
            () = drain.stopping() => {}
            () = source::pump(events, sender) => {}
        }
        Ok(())
    });
    let (ready, drain) = (context.ready.guard("first plan"), context.drain.clone());
    context.tasks.spawn("certificates", async move {
        let opened = tokio::select! {
            worker = open(deps, world) => worker,
            () = drain.stopping() => return Ok(()),
        };
        opened.run(inputs, ready, drain).await;
        Ok(())
    });
}

/// Opens the worker, again and again while its records cannot be read.
async fn open(deps: Arc<Deps>, world: World) -> Worker {
    loop {
        match Worker::read(&deps).await {
            Ok(left) => return Worker::new(deps, world, left),
            Err(error) => {
                tracing::error!(error = nuncio_process::chain(&error), "records not read");
                tokio::time::sleep(RETRY_RECORDS).await;
            }
        }
    }
}

const RETRY_RECORDS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
