//! The HTTP client for CAs: bounded in time and size, and telling what the
//! ACME library would drop.

use std::cell::Cell;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use nuncio_renewal::problem::{self, Failure};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::metrics::Metrics;

/// A client for CAs. Clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    hyper: HyperClient<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    metrics: Metrics,
}

/// Why the roots to trust could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustFault {
    /// The file cannot be read as certificates.
    #[error("CA bundle `{path}` cannot be read")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// It holds something that is not a certificate authority.
    #[error("CA bundle `{path}` has an unusable certificate")]
    Unusable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// It is empty.
    #[error("CA bundle `{0}` has no certificate")]
    Empty(String),
}

/// An answer that was not a success, with what its headers said.
#[derive(Debug, thiserror::Error)]
#[error("the CA answered {status}")]
pub(crate) struct Answer {
    status: u16,
    problem: Option<String>,
    detail: String,
    retry_after: Option<Duration>,
}

impl Answer {
    /// Classifies the answer.
    pub(crate) fn failure(&self) -> Failure {
        Failure::of_answer(self.status, self.problem.as_deref(), &self.detail, self.retry_after)
    }
}

/// Reads the roots to trust: those of the system, and those of `bundle` beside
/// them, which private CAs need.
pub(crate) fn trust(bundle: Option<&Path>) -> Result<RootCertStore, TrustFault> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(error = error.to_string(), "some system roots could not be read");
    }
    roots.add_parsable_certificates(native.certs);
    let Some(bundle) = bundle else { return Ok(roots) };
    let path = bundle.display().to_string();
    let read = |source| TrustFault::Read { path: path.clone(), source };
    let mut found = false;
    for certificate in CertificateDer::pem_file_iter(bundle).map_err(read)? {
        let certificate = certificate.map_err(read)?;
        roots
            .add(certificate)
            .map_err(|source| TrustFault::Unusable { path: path.clone(), source })?;
        found = true;
    }
    if found { Ok(roots) } else { Err(TrustFault::Empty(path)) }
}

impl Client {
    /// Makes a client that trusts `roots`.
    pub(crate) fn new(roots: RootCertStore, metrics: Metrics) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Without this every request waits 40 ms for the kernel's patience.
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        let hyper = HyperClient::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_timer(TokioTimer::new())
            .build(https);
        Ok(Self { hyper, metrics })
    }

    async fn send(self, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let issuer = request.uri().host().unwrap_or_default().to_owned();
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let exchange = async {
            let response = self.hyper.request(request).await.map_err(|e| Error::Other(e.into()))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY).collect().await.map_err(Error::Other)?;
            Ok::<_, Error>(Response::from_parts(parts, body.to_bytes()))
        };
        let response = tokio::time::timeout(REQUEST_TIMEOUT, exchange)
            .await
            .map_err(|_| Error::Other("the CA did not answer within 30 s".into()))
            .flatten();
        let code = response.as_ref().map_or(0, |response| response.status().as_u16());
        self.metrics.request(&issuer, code);
        judge(response?)
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send(request))
    }
}

/// Runs a call and returns beside its result how long the CA asked to wait in
/// the last answer it gave during the call.
pub(super) async fn noting_retry_after<T>(call: impl Future<Output = T>) -> (T, Option<Duration>) {
    WAIT.scope(Cell::new(None), async {
        let result = call.await;
        (result, WAIT.with(Cell::get))
    })
    .await
}

/// Turns answers that are no success into errors that keep status and headers,
/// which the library drops; leaves `badNonce` to the library's own retry.
fn judge(response: Response<Bytes>) -> Result<BytesResponse, Error> {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| {
        problem::retry_after(value.to_str().ok()?, |date| {
            let date = httpdate::parse_http_date(date).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        })
    });
    // Outside of `noting_retry_after` nobody wants to know.
    let _unwanted = WAIT.try_with(|wait| wait.set(retry_after));
    if status.is_success() {
        return Ok(BytesResponse::from(response.map(http_body_util::Full::new)));
    }
    let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let text = |field: &str| document.get(field).and_then(|value| value.as_str());
    if status.as_u16() == 400 && text("type").is_some_and(|word| word.ends_with(":badNonce")) {
        return Ok(BytesResponse::from(response.map(http_body_util::Full::new)));
    }
    Err(Error::Other(Box::new(Answer {
        status: status.as_u16(),
        problem: text("type").map(str::to_owned),
        detail: text("detail").unwrap_or_default().to_owned(),
        retry_after,
    })))
}

tokio::task_local! {
    static WAIT: Cell<Option<Duration>>;
}

const AGENT: &str = concat!("nuncio-certificates/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// No document of ACME comes near this. Unit: bytes.
const MAX_BODY: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use nuncio_renewal::problem::Class;

    use super::*;

    fn answer(status: u16, retry_after: &str, body: &'static str) -> Failure {
        let response = Response::builder()
            .status(status)
            .header(RETRY_AFTER, retry_after)
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap();
        match judge(response) {
            Err(Error::Other(error)) => error.downcast_ref::<Answer>().unwrap().failure(),
            other => panic!("{:?}", other.map(|_| ())),
        }
    }

    #[test]
    fn the_wish_when_to_come_back_survives_any_body() {
        let limited = answer(
            429,
            "120",
            r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#,
        );
        assert_eq!(limited.class, Class::RateLimited);
        assert_eq!(limited.retry_after, Some(Duration::from_secs(120)));
        let page = answer(503, "Fri, 31 Dec 1999 23:59:59 GMT", "<html>busy</html>");
        assert_eq!((page.class, page.retry_after), (Class::Unavailable, Some(Duration::ZERO)));
        assert!(!page.reason.contains("html"));
    }

    #[test]
    fn refused_nonces_are_left_to_the_library() {
        let body = r#"{"type":"urn:ietf:params:acme:error:badNonce"}"#;
        let response =
            Response::builder().status(400).body(Bytes::from_static(body.as_bytes())).unwrap();
        assert!(judge(response).is_ok());
    }

    #[test]
    fn a_missing_or_empty_bundle_is_named() {
        let missing = trust(Some(Path::new("/does/not/exist"))).unwrap_err();
        assert!(missing.to_string().contains("/does/not/exist"));
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(trust(Some(empty.path())), Err(TrustFault::Empty(_))));
    }
}
