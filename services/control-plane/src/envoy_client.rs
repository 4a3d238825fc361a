//! Requests to the Envoy beside us: its ready listener and its admin pages.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Largest answer; Envoy's statistics with 10,000 clusters are below.
const ANSWER_LIMIT: usize = 64 << 20;

/// What Envoy answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// Why Envoy did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no request can be made to `{url}`")]
    Request { url: String, source: http::Error },
    #[error("cannot reach Envoy at {address}")]
    Send { address: SocketAddr, source: hyper_util::client::legacy::Error },
    #[error("cannot read Envoy's answer from {address}")]
    Read { address: SocketAddr, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("no answer from Envoy at {address} within {timeout:?}")]
    Timeout { address: SocketAddr, timeout: Duration },
}

/// Asks Envoy for a page, over a connection of its own.
pub(crate) async fn fetch(
    address: SocketAddr,
    path: &str,
    timeout: Duration,
) -> Result<Answer, FetchError> {
    let url = format!("http://{address}{path}");
    let request = http::Request::get(&url)
        .body(Empty::<Bytes>::new())
        .map_err(|source| FetchError::Request { url, source })?;
    let exchange = async {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response =
            client.request(request).await.map_err(|source| FetchError::Send { address, source })?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|source| FetchError::Read { address, source })?
            .to_bytes();
        Ok(Answer { status, body })
    };
    tokio::time::timeout(timeout, exchange)
        .await
        .unwrap_or(Err(FetchError::Timeout { address, timeout }))
}
