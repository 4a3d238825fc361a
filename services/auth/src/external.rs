//! Calls of external services, over connections kept for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use nuncio_authz::Request;
use nuncio_authz::filter::external::{ExternalAnswer, ExternalCall, ExternalFailure, Target};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::wire;

/// Most bytes of an answer.
const MAX_ANSWER: usize = 1024 * 1024;

type Connector = HttpsConnector<HttpConnector>;

/// Connections to external services.
#[derive(Default)]
pub(crate) struct ExternalPool {
    clients: Mutex<BTreeMap<Target, Connections>>,
}

#[derive(Clone)]
enum Connections {
    Http(Client<Connector, Full<Bytes>>),
    Grpc(AuthorizationClient<Client<Connector, tonic::body::Body>>),
}

/// Why no connection can be made.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error("the certificates of the Secret cannot be read")]
    Pem(#[source] rustls_pki_types::pem::Error),
    #[error("the certificates cannot be used")]
    Tls(#[source] rustls::Error),
    #[error("the address is no URL")]
    Address(#[source] http::uri::InvalidUri),
}

impl ExternalPool {
    /// Forgets the connections of services that are not in use.
    pub(crate) fn retain(&self, targets: &BTreeSet<Target>) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|target, _| targets.contains(target));
    }

    fn connections(&self, target: &Target) -> Result<Connections, ClientError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = clients.get(target) {
            return Ok(known.clone());
        }
        let made = connect(target)?;
        clients.insert(target.clone(), made.clone());
        Ok(made)
    }

    /// Asks a service about a request.
    pub(crate) async fn ask(
        &self,
        target: &Target,
        call: ExternalCall,
        request: &Request,
    ) -> Result<ExternalAnswer, ExternalFailure> {
        let connections = self
            .connections(target)
            .map_err(|error| ExternalFailure(nuncio_process::chain(&error)))?;
        let answer = async {
            match (connections, call) {
                (Connections::Http(client), ExternalCall::Http(call)) => http(client, *call).await,
                (Connections::Grpc(client), ExternalCall::Grpc { body, partial }) => {
                    grpc(client, wire::check(request, body, partial), request).await
                }
                _ => Err(ExternalFailure("the call is of another protocol".to_owned())),
            }
        };
        match tokio::time::timeout(target.timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(ExternalFailure(format!("no answer in {:?}", target.timeout))),
        }
    }
}

async fn http(
    client: Client<Connector, Full<Bytes>>,
    call: http::Request<Vec<u8>>,
) -> Result<ExternalAnswer, ExternalFailure> {
    let call = call.map(|body| Full::new(Bytes::from(body)));
    let response = client
        .request(call)
        .await
        .map_err(|error| ExternalFailure(nuncio_process::chain(&error)))?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER)
        .collect()
        .await
        .map_err(|error| ExternalFailure(nuncio_process::chain(&*error)))?;
    Ok(ExternalAnswer::Http(http::Response::from_parts(parts, body.to_bytes().to_vec())))
}

async fn grpc(
    mut client: AuthorizationClient<Client<Connector, tonic::body::Body>>,
    check: envoy_types::pb::envoy::service::auth::v3::CheckRequest,
    request: &Request,
) -> Result<ExternalAnswer, ExternalFailure> {
    let response = client
        .check(check)
        .await
        .map_err(|status| ExternalFailure(format!("{}: {}", status.code(), status.message())))?;
    Ok(ExternalAnswer::Grpc(wire::verdict(response.into_inner(), request)))
}

fn connect(target: &Target) -> Result<Connections, ClientError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(target.timeout));
    let builder =
        hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls(target)?).https_or_http();
    let mut client = Client::builder(TokioExecutor::new());
    client.pool_timer(TokioTimer::new());
    if target.grpc {
        let connector = builder.enable_http2().wrap_connector(tcp);
        let scheme = if target.tls { "https" } else { "http" };
        let origin =
            format!("{scheme}://{}", target.authority).parse().map_err(ClientError::Address)?;
        let client = client.http2_only(true).build(connector);
        let client =
            AuthorizationClient::with_origin(client, origin).max_decoding_message_size(MAX_ANSWER);
        return Ok(Connections::Grpc(client));
    }
    let connector = builder.enable_http1().wrap_connector(tcp);
    Ok(Connections::Http(client.build(connector)))
}

fn tls(target: &Target) -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?;
    let builder = if target.authorities.is_empty() {
        builder.with_platform_verifier().map_err(ClientError::Tls)?
    } else {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&target.authorities) {
            roots.add(certificate.map_err(ClientError::Pem)?).map_err(ClientError::Tls)?;
        }
        builder.with_root_certificates(roots)
    };
    let Some((chain, key)) = &target.identity else { return Ok(builder.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let key = PrivateKeyDer::from_pem_slice(key).map_err(ClientError::Pem)?;
    builder.with_client_auth_cert(chain.map_err(ClientError::Pem)?, key).map_err(ClientError::Tls)
}
