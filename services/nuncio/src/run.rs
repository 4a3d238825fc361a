//! `nuncio run`: the four services and Envoy on one machine.

mod ports;
mod services;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use nuncio_control_plane::{Bootstrap, Statsd};
use nuncio_process::{Args, Context, Hidden, chain};
use nuncio_source::{FolderSettings, Source};
use tokio::sync::watch;

use crate::demo::Demo;
use crate::envoy::{Admin, Options, Search, Supervisor};
use crate::objects::Objects;
use crate::ready::Ready;
use crate::{output, statsd};
use services::Services;

/// Run a gateway: four services and Envoy, on the objects of a folder.
///
/// Prints a line for each listening address, then `ready` once Envoy serves
/// the first configuration. Edits of the folder take effect at once. SIGTERM
/// and Ctrl-C let requests in flight finish; a second signal does not wait.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    objects: Objects,

    /// Address of the admin port: Emissary's probes, metrics, diagnostics.
    #[arg(long, env = "NUNCIO_ADMIN_ADDRESS", default_value = "127.0.0.1:8877")]
    admin_address: SocketAddr,

    /// Address of the control plane, for Envoy and the other services; port 0
    /// takes a free one.
    #[arg(long, env = "NUNCIO_ADS_ADDRESS", default_value = "127.0.0.1:0")]
    ads_address: SocketAddr,

    /// The Envoy to run; 1.40 is best, 1.37 to 1.39 work. Default:
    /// .tools/envoy-1.40.0/envoy, then `envoy` in PATH.
    #[arg(long, env = "NUNCIO_ENVOY", value_name = "PROGRAM")]
    envoy: Option<PathBuf>,

    /// Address of Envoy's own admin interface; port 0 takes a free one.
    #[arg(long, env = "NUNCIO_ENVOY_ADMIN", default_value = "127.0.0.1:8001")]
    envoy_admin: SocketAddr,

    #[command(flatten)]
    ready: Ready,

    /// Seconds that connections of a replaced or removed listener may last.
    #[arg(long, env = "AMBASSADOR_DRAIN_TIME", default_value_t = 600, value_name = "SECONDS")]
    drain_time: u32,

    /// Worker threads of Envoy. Default: one per hardware thread.
    #[arg(long, env = "ENVOY_CONCURRENCY", value_name = "NUMBER")]
    envoy_concurrency: Option<u32>,

    /// Log level of Envoy.
    #[arg(long, env = "NUNCIO_ENVOY_LOG", default_value = "warning", value_name = "LEVEL")]
    envoy_log: String,

    #[command(flatten)]
    statsd: statsd::Collector,

    /// Keep rate-limit counters in this Redis instead of in memory.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis: Option<Hidden<String>>,

    /// Trust these roots too when speaking to an ACME authority (PEM file).
    #[arg(long, env = "NUNCIO_ACME_CA_BUNDLE", value_name = "FILE")]
    acme_ca_bundle: Option<PathBuf>,

    /// Run what deploy/examples/quickstart needs beside it: a backend at this
    /// address, a throwaway certificate, a token; and print commands to try.
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1:8090",
        value_name = "ADDRESS"
    )]
    demo: Option<SocketAddr>,
}

/// Runs until a signal.
pub(crate) fn run(args: &Args, settings: Settings) -> ExitCode {
    let grace = args.grace;
    nuncio_process::block_on("nuncio", args, async move |context| {
        start(settings, grace, &context).await
    })
}

/// Share of the grace period that Envoy may spend on requests in flight; the
/// rest is for the services, which Envoy needs until its end.
const ENVOY_SHARE: f64 = 0.7;

/// Starts everything; returns what must live as long as the process.
async fn start(
    mut settings: Settings,
    grace: Duration,
    context: &Context,
) -> anyhow::Result<Option<Demo>> {
    let program = Search::usual(settings.envoy.clone()).find().await?;
    let state = settings.objects.state();
    let taken = ports::choose([
        ("--ads-address", settings.ads_address),
        ("--envoy-admin", settings.envoy_admin),
        ("--envoy-ready", settings.ready.address(0)),
    ])?;
    [settings.ads_address, settings.envoy_admin, _] = taken;
    settings.ready = Ready::at(taken[2]);
    let stop_time = grace.mul_f64(ENVOY_SHARE);
    let services = Services::new(context, grace.saturating_sub(stop_time));
    let source = Source::folder(
        FolderSettings {
            folder: settings.objects.folder.clone(),
            state: state.clone(),
            reading: settings.objects.reading(),
        },
        services.context(),
    )
    .await?;
    let demo = match settings.demo {
        Some(backend) => Some(Demo::start(backend, &source.sink, &state).await?),
        None => None,
    };
    for (what, address) in services.start(&settings, source).await? {
        output::line(format_args!("listening {what} {address}"));
    }

    let statsd = settings.statsd.clone();
    let statsd = tokio::task::spawn_blocking(move || statsd.find()).await?;
    let statsd = statsd.unwrap_or_else(|error| {
        // Nobody to count requests is no reason not to serve them.
        tracing::error!(error = chain(error.as_ref()), "no statistics are sent");
        None
    });
    let options = Options {
        program,
        wrapper: std::env::current_exe().ok(),
        folder: state,
        bootstrap: bootstrap(&settings, statsd).to_json(),
        log_level: settings.envoy_log.clone(),
        concurrency: settings.envoy_concurrency,
        drain_time: Duration::from_secs(settings.drain_time.into()),
        stop_time,
    };
    let (supervisor, envoy) = Supervisor::new(options);
    let (drain, stopped) = (context.drain.clone(), services.envoy_runs());
    context.tasks.spawn("envoy", async move {
        // Kept until Envoy is gone: the services stop after it.
        let _running = stopped;
        supervisor.run(drain).await
    });
    let admin = live(envoy).await?;
    services.ready().await;
    output::line(format_args!("listening envoy admin {}", admin.address()));
    let listeners = admin.listeners().await?;
    for (name, address) in &listeners {
        output::line(format_args!("listening envoy {name} {address}"));
    }
    if let Some(demo) = &demo {
        output::line(demo.commands(&listeners));
    }
    output::line("ready");
    Ok(demo)
}

fn bootstrap(settings: &Settings, statsd: Option<Statsd>) -> Bootstrap {
    let objects = &settings.objects;
    Bootstrap {
        node_id: "nuncio-run".into(),
        cluster: objects.gateway.fleet(),
        ads_host: settings.ads_address.ip().to_string(),
        ads_port: settings.ads_address.port(),
        admin: settings.envoy_admin,
        ready: settings.ready.address(0),
        statsd,
    }
}

/// Waits until Envoy serves its first configuration.
async fn live(mut envoy: watch::Receiver<Option<Admin>>) -> anyhow::Result<Admin> {
    /// How often Envoy is asked.
    const POLL: Duration = Duration::from_millis(20);
    loop {
        let admin = envoy.wait_for(Option::is_some).await.context("envoy was given up")?.clone();
        if let Some(admin) = admin
            && admin.is_live().await
        {
            return Ok(admin);
        }
        tokio::time::sleep(POLL).await;
    }
}
