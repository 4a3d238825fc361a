//! The four services in one process, stopped after Envoy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use nuncio_process::Context;
use nuncio_source::Source;
use tokio::sync::mpsc;

use super::Settings;

/// The context of the services. They have a drain of their own: Envoy asks
/// them about the requests that it still has in flight.
#[derive(Debug)]
pub(super) struct Services {
    context: Context,
    control_plane: Context,
    envoy: mpsc::Sender<()>,
}

/// What listens where.
pub(super) type Addresses = Vec<(&'static str, SocketAddr)>;

/// Any free port of this machine.
const FREE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Services {
    /// Ties the life of services to the process: they stop `grace` after Envoy
    /// has, and a failure of theirs stops the process.
    pub(super) fn new(process: &Context, grace: Duration) -> Self {
        let context = Context::new("services");
        // Nothing is ever sent: the channel closes when Envoy is gone.
        let (envoy, mut gone) = mpsc::channel(1);
        let (inner, drain) = (context.clone(), process.drain.clone());
        process.tasks.spawn("services", async move {
            tokio::select! {
                () = inner.drain.stopping() => {}
                () = async {
                    drain.stopping().await;
                    gone.recv().await;
                } => {}
            }
            inner.drain.start();
            inner.tasks.until_stopped(grace).await?;
            Ok(())
        });
        Self { control_plane: context.child("control-plane"), context, envoy }
    }

    /// Returns what Envoy's task holds while Envoy runs.
    pub(super) fn envoy_runs(&self) -> mpsc::Sender<()> {
        self.envoy.clone()
    }

    /// Returns the context that owns their tasks.
    pub(super) const fn context(&self) -> &Context {
        &self.context
    }

    /// Waits until the control plane has compiled its first configuration.
    pub(super) async fn ready(&self) {
        self.control_plane.ready.ready().await;
    }

    /// Starts all four; `source` is what the control plane reads.
    pub(super) async fn start(
        &self,
        settings: &Settings,
        source: Source,
    ) -> anyhow::Result<Addresses> {
        let auth = nuncio_auth::start(auth(settings)?, &self.context.child("auth"))
            .await
            .context("cannot start auth")?;
        let ratelimit =
            nuncio_ratelimit::start(ratelimit(settings), &self.context.child("ratelimit"))
                .await
                .context("cannot start ratelimit")?;
        let certificates = nuncio_certificates::start(
            certificates(settings)?,
            &self.context.child("certificates"),
        )
        .await
        .context("cannot start certificates")?;
        let neighbours = [
            ("--auth", auth.grpc),
            ("--rate-limit", ratelimit.grpc),
            ("--challenges", certificates.http),
            ("--envoy-ready", settings.ready.address(0)),
            ("--envoy-admin", settings.envoy_admin),
        ];
        let control_plane = nuncio_control_plane::start(
            control_plane(settings, &neighbours)?,
            &self.control_plane,
            source.events,
        )
        .await
        .context("cannot start the control plane")?;
        nuncio_control_plane::write_status(&self.context, &control_plane, source.sink);
        Ok(vec![
            ("control-plane admin", control_plane.admin),
            ("control-plane ads", control_plane.grpc),
            ("auth grpc", auth.grpc),
            ("auth http", auth.http),
            ("auth admin", auth.admin),
            ("ratelimit grpc", ratelimit.grpc),
            ("ratelimit http", ratelimit.http),
            ("ratelimit admin", ratelimit.admin),
            ("certificates http", certificates.http),
            ("certificates admin", certificates.admin),
        ])
    }
}

// The services' own variables stay in force: what no flag says below, their
// environment says, else their defaults.

fn control_plane(
    settings: &Settings,
    neighbours: &[(&str, SocketAddr)],
) -> anyhow::Result<nuncio_control_plane::Settings> {
    let (objects, admin, ads) = (&settings.objects, settings.admin_address, settings.ads_address);
    let mut flags = vec![
        "control-plane".to_owned(),
        format!("--grpc-host={}", ads.ip()),
        format!("--grpc-port={}", ads.port()),
        format!("--admin-host={}", admin.ip()),
        format!("--admin-port={}", admin.port()),
        format!("--config-dir={}", objects.folder.display()),
        format!("--error-pages={}", objects.error_pages().display()),
    ];
    flags.extend(neighbours.iter().map(|(flag, address)| format!("{flag}={address}")));
    let mut told = nuncio_control_plane::Settings::try_parse_from(flags)?;
    told.gateway = objects.gateway.clone();
    Ok(told)
}

fn auth(settings: &Settings) -> anyhow::Result<nuncio_auth::Settings> {
    let objects = &settings.objects;
    Ok(nuncio_auth::Settings::try_parse_from([
        "auth".to_owned(),
        format!("--grpc={FREE}"),
        format!("--http={FREE}"),
        format!("--admin={FREE}"),
        format!("--control-plane={}", settings.ads_address),
        format!("--ambassador-id={}", objects.gateway.id()),
        format!("--namespace={}", objects.gateway.namespace),
    ])?)
}

fn ratelimit(settings: &Settings) -> nuncio_ratelimit::Settings {
    let ads = settings.ads_address.to_string();
    let local = nuncio_ratelimit::Settings::local().with_control_plane(ads);
    match &settings.redis {
        Some(url) => local.with_redis(url.reveal()),
        None => local,
    }
}

fn certificates(settings: &Settings) -> anyhow::Result<nuncio_certificates::Settings> {
    let objects = &settings.objects;
    let mut flags = vec![
        "certificates".to_owned(),
        format!("--bind-address={}", FREE.ip()),
        "--http-port=0".to_owned(),
        "--admin-port=0".to_owned(),
        format!("--config-dir={}", objects.folder.display()),
        format!("--state={}", objects.state().display()),
        format!("--ambassador-id={}", objects.gateway.id()),
        format!("--namespace={}", objects.gateway.namespace),
        // An order must not outrun the route to its challenge.
        "--acme-probe=listeners".to_owned(),
    ];
    if let Some(bundle) = &settings.acme_ca_bundle {
        flags.push(format!("--acme-ca-bundle={}", bundle.display()));
    }
    let mut told = nuncio_certificates::Settings::try_parse_from(flags)?;
    told.objects.scope = objects.gateway.scope.clone();
    Ok(told)
}
