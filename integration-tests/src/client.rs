//! An HTTP client that shows everything an answer has.

use std::net::SocketAddr;
use std::time::Duration;

use nuncio::echo::Answer;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Method, RequestBuilder, Version, redirect};

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A client of one gateway. Follows no redirects and keeps connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
}

/// One answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Version of HTTP between client and gateway.
    pub version: Version,
    /// Status code.
    pub status: u16,
    /// Response headers.
    pub headers: HeaderMap,
    /// Body as text.
    pub body: String,
}

impl Reply {
    /// Returns what the echo backend received.
    ///
    /// # Panics
    ///
    /// When the answer is not one of an echo backend.
    pub fn echo(&self) -> Answer {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not an echo: {self:?}"))
    }

    /// Returns the first value of a response header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Client {
    /// Makes a client that speaks HTTP/1.1 and, over TLS, HTTP/2.
    ///
    /// # Panics
    ///
    /// Never with a sane TLS library.
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// Makes a client that trusts an authority and finds `host` at `address`,
    /// also as server name of TLS.
    ///
    /// # Panics
    ///
    /// When `authority` is not PEM.
    pub fn trusting(authority: &str, host: &str, address: SocketAddr) -> Self {
        let authority = Certificate::from_pem(authority.as_bytes()).expect("the authority is PEM");
        Self::with(|builder| builder.tls_certs_only([authority]).resolve(host, address))
    }

    /// Makes a client with settings of its own.
    ///
    /// # Panics
    ///
    /// When the settings do not go together.
    pub fn with(configure: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> Self {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT);
        Self { inner: configure(builder).build().expect("the settings go together") }
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.inner.request(method, url)
    }

    /// Sends a GET; `None` when no answer came.
    pub async fn get(&self, url: &str) -> Option<Reply> {
        Self::send(self.request(Method::GET, url)).await
    }

    /// Sends a request; `None` when no answer came.
    pub async fn send(request: RequestBuilder) -> Option<Reply> {
        let response = request.send().await.ok()?;
        let (version, status) = (response.version(), response.status().as_u16());
        let headers = response.headers().clone();
        let body = response.text().await.ok()?;
        Some(Reply { version, status, headers, body })
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}
