//! Wires the service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use nuncio_authz::{Environment, FilterFactory, ServiceKeys};
use nuncio_process::{Context, Unusable, admin, grpc};
use tonic::service::Routes;

use crate::check::{Check, MAX_MESSAGE, SERVICE};
use crate::effects::Decider;
use crate::external::ExternalPool;
use crate::files::Selection;
use crate::keys::KeyStore;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::{Settings, ads, files};

/// The addresses the service listens on.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// ext_authz over gRPC.
    pub grpc: SocketAddr,
    /// ext_authz over HTTP.
    pub http: SocketAddr,
    /// Admin port.
    pub admin: SocketAddr,
}

/// Filter kinds that a build adds.
#[derive(Clone, Default)]
pub struct Extensions {
    factories: BTreeMap<&'static str, Arc<dyn FilterFactory>>,
}

impl Extensions {
    /// Adds a kind; `Custom.kind` of a Filter names it.
    #[must_use]
    pub fn with(mut self, factory: impl FilterFactory + 'static) -> Self {
        self.factories.insert(factory.kind(), Arc::new(factory));
        self
    }
}

/// The `main` of a build: reads settings, runs until a signal.
pub fn main(extensions: Extensions) -> ExitCode {
    nuncio_process::run("auth", async |settings: Settings, context| {
        start_with(settings, &context, extensions).await
    })
}

/// Starts the service as tasks of `context`.
///
/// # Errors
/// When an address cannot be bound or the policy's source cannot be opened.
pub async fn start(settings: Settings, context: &Context) -> anyhow::Result<Bound> {
    start_with(settings, context, Extensions::default()).await
}

/// Like [`start`], with filter kinds of this build.
///
/// # Errors
/// As [`start`].
pub async fn start_with(
    settings: Settings,
    context: &Context,
    extensions: Extensions,
) -> anyhow::Result<Bound> {
    let metrics = Metrics::register(context);
    let keys = Arc::new(KeyStore::new(context, metrics.clone())?);
    let external = Arc::new(ExternalPool::default());
    let environment = Environment {
        keys: ServiceKeys {
            process: rand::random(),
            api_key_hmac: settings
                .api_key_hmac
                .as_ref()
                .map(|key| key.reveal().clone().into_bytes()),
        },
        factories: extensions.factories,
        strict_paths: !settings.allow_encoded_paths,
    };
    let policies = Arc::new(Policies::new(
        environment,
        Arc::clone(&keys),
        Arc::clone(&external),
        metrics.clone(),
    ));
    match (&settings.control_plane, &settings.config) {
        (Some(server), _) => {
            ads::follow(context, server, &settings.node_id, Arc::clone(&policies))?;
        }
        (None, Some(path)) => {
            let selection = Selection {
                ambassador_id: settings.ambassador_id.clone(),
                namespace: settings.namespace.clone(),
            };
            files::follow(context, path.clone(), selection, Arc::clone(&policies))?;
        }
        (None, None) => {
            let text = "set --control-plane or --config: without policy nothing can be decided";
            return Err(Unusable(text.into()).into());
        }
    }
    let decider = Arc::new(Decider {
        policies: Arc::clone(&policies),
        keys,
        external,
        metrics,
        timeout: settings.timeout,
    });
    let server = AuthorizationServer::new(Check(Arc::clone(&decider)))
        .max_decoding_message_size(MAX_MESSAGE);
    let routes = Routes::new(server);
    let grpc = grpc::serve(context, "ext_authz gRPC", settings.grpc, routes, &[SERVICE]).await?;
    let router = crate::http::router(decider);
    let http =
        nuncio_process::http::serve(context, "ext_authz HTTP", settings.http, router).await?;
    let router = admin::router(context).merge(crate::http::admin(policies));
    let admin = nuncio_process::http::serve(context, "auth admin", settings.admin, router).await?;
    tracing::info!(%grpc, %http, %admin, "auth listens");
    Ok(Bound { grpc, http, admin })
}
