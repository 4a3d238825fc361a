//! Binds, wires and starts the service.

use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitServiceServer;
use nuncio_limits::Options;
use nuncio_process::{Context, Unusable, admin, chain, grpc, http};
use tonic::service::Routes;

use crate::counters::{Memory, Redis, Store, redis};
use crate::metrics::Metrics;
use crate::rules::{Live, files, xds};
use crate::service::Checker;
use crate::settings::{ConfigType, KeyFormat, Settings, StoreSettings};

/// The name health checks ask for, beside the empty one.
const HEALTH_NAMES: &[&str] = &["ratelimit"];

/// The addresses the service listens on.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Envoy's RLS v3 and gRPC health.
    pub grpc: SocketAddr,
    /// `/json` and `/healthcheck`.
    pub http: SocketAddr,
    /// `/rlconfig`, `/metrics`, `/ready`, `/live`.
    pub admin: SocketAddr,
}

/// Starts the service and returns its real addresses.
///
/// # Errors
/// When a port cannot be bound, a setting cannot be used, or the first load of
/// the limits fails and `force_start` is off. Redis being down is no error.
pub async fn start(settings: Settings, context: &Context) -> anyhow::Result<Bound> {
    let starting = context.ready.guard("start");
    let options = options(&settings)?;
    let metrics = Arc::new(Metrics::default());
    let store = Arc::new(store(context, &settings.store)?);
    metrics.register(&mut context.registry(), &store);
    let live = Live::new(Arc::clone(&metrics));
    load(context, &live, &settings).await?;
    let checker = Checker::new(live.clone(), store, options, metrics);
    let rls = RateLimitServiceServer::new(checker.clone());
    let grpc = grpc::serve(
        context,
        "ratelimit-grpc",
        settings.listen.grpc(),
        Routes::new(rls),
        HEALTH_NAMES,
    )
    .await?;
    let routes = crate::http::router(checker, context);
    let http = http::serve(context, "ratelimit-http", settings.listen.http(), routes).await?;
    let routes = admin::router(context).merge(crate::http::admin(live, context));
    let admin = http::serve(context, "ratelimit-admin", settings.listen.admin(), routes).await?;
    drop(starting);
    Ok(Bound { grpc, http, admin })
}

async fn load(context: &Context, live: &Live, settings: &Settings) -> anyhow::Result<()> {
    match settings.rules.config_type {
        ConfigType::None => {}
        ConfigType::File => {
            let (context, live, rules) = (context.clone(), live.clone(), settings.rules.clone());
            // Files may be large and their disk slow.
            tokio::task::spawn_blocking(move || files::start(&context, live, &rules)).await??;
        }
        ConfigType::GrpcXdsSotw | ConfigType::GrpcXdsDelta => {
            xds::start(context, live.clone(), &settings.rules)?;
        }
    }
    if settings.rules.ready_needs_config {
        let guard = context.ready.guard("a domain with limits");
        let mut changes = live.changes();
        context.tasks.spawn_finite("first-limits", async move {
            // The sender lives in `Live`, which the service keeps.
            let _loaded = changes.wait_for(|domains| *domains > 0).await;
            drop(guard);
            Ok(())
        });
    }
    Ok(())
}

fn store(context: &Context, settings: &StoreSettings) -> anyhow::Result<Store> {
    let Some(url) = &settings.redis_url else {
        return Ok(Store::Memory(Memory::new(settings.max_counters)));
    };
    let options = redis::Options {
        url: url.clone(),
        auth: settings.redis_auth.clone(),
        deadline: settings.store_deadline,
        prefix: settings.key_prefix.clone(),
        expiration_jitter: settings.expiration_jitter,
        denial_bytes: settings.local_cache_bytes,
    };
    let redis = Redis::start(context, &options)
        .map_err(|error| Unusable(format!("REDIS_URL cannot be used: {}", chain(&error))))?;
    Ok(Store::Redis(redis))
}

fn options(settings: &Settings) -> anyhow::Result<Options> {
    let answer = &settings.answer;
    if !(0.0..=1.0).contains(&answer.near_limit_ratio) {
        return Err(Unusable("NEAR_LIMIT_RATIO must be from 0 to 1".into()).into());
    }
    let names = [&answer.limit_header, &answer.remaining_header, &answer.reset_header];
    for name in names {
        ::http::HeaderName::try_from(name.as_str())
            .map_err(|_| Unusable(format!("`{name}` is no header name")))?;
    }
    let text_keys = settings.store.key_format == KeyFormat::Er;
    Ok(Options {
        text_keys: text_keys.then(|| settings.store.key_prefix.clone()),
        quota_mode: answer.quota_mode,
        shadow_mode: answer.shadow_mode,
        probe_compat: answer.probe_compat,
        near_limit_ratio: answer.near_limit_ratio,
        headers: answer.headers.then(|| names.map(Clone::clone)),
        dynamic_metadata: answer.dynamic_metadata,
        ..Options::default()
    })
}
