//! Envoy's admin interface, the little of it we need.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longest wait for an answer; Envoy's main thread may be busy with a large
/// configuration.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer read, in bytes; a configuration dump is the largest there is.
const ANSWER_LIMIT: usize = 512 << 20;

/// Why Envoy's admin interface did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No connection, or no answer in time.
    #[error("envoy's admin interface at {address} did not answer {path}")]
    Unreachable {
        /// Where it should be.
        address: SocketAddr,
        /// What was asked.
        path: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer other than 200.
    #[error("envoy's admin interface answered {status} to {path}")]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// What was asked.
        path: String,
    },
    /// An answer that is not the JSON it should be.
    #[error("envoy's admin interface answered {path} with something unexpected")]
    Unexpected {
        /// What was asked.
        path: String,
    },
}

/// A client of one Envoy's admin interface.
#[derive(Debug, Clone)]
pub struct Admin {
    address: SocketAddr,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Admin {
    /// Makes a client; nothing is sent yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Returns the address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says whether Envoy has taken up its first configuration and serves.
    pub async fn is_live(&self) -> bool {
        self.ask(Method::GET, "/ready").await.is_ok()
    }

    /// Makes health checks fail and connections close after their next answer,
    /// and closes the listening sockets; requests in flight go on.
    ///
    /// # Errors
    ///
    /// When Envoy does not answer.
    pub async fn drain(&self) -> Result<(), AdminError> {
        self.ask(Method::POST, "/healthcheck/fail").await?;
        self.ask(Method::POST, "/drain_listeners").await?;
        Ok(())
    }

    /// Returns the number of requests and TCP streams in flight, our own
    /// questions to this interface left out.
    ///
    /// # Errors
    ///
    /// When Envoy does not answer as it should.
    pub async fn in_flight(&self) -> Result<u64, AdminError> {
        // TCP proxies count connections, the HTTP manager counts requests.
        let path = "/stats?format=json&filter=%5E(http.*downstream_rq_active%7C\
                    tcp.*downstream_cx_active)$";
        let answer = self.json(path).await?;
        let stats = answer["stats"].as_array().into_iter().flatten();
        let count = |stat: &Value| {
            let name = stat["name"].as_str()?;
            (!name.starts_with("http.admin.")).then(|| stat["value"].as_u64())?
        };
        Ok(stats.filter_map(count).sum())
    }

    /// Returns name and address of every active listener.
    ///
    /// # Errors
    ///
    /// When Envoy does not answer as it should.
    pub async fn listeners(&self) -> Result<Vec<(String, SocketAddr)>, AdminError> {
        let path = "/listeners?format=json";
        let answer = self.json(path).await?;
        let read = |listener: &Value| {
            let socket = &listener["local_address"]["socket_address"];
            let ip = socket["address"].as_str()?.parse().ok()?;
            let port = u16::try_from(socket["port_value"].as_u64()?).ok()?;
            Some((listener["name"].as_str()?.to_owned(), SocketAddr::new(ip, port)))
        };
        let mut listeners: Vec<_> =
            answer["listener_statuses"].as_array().into_iter().flatten().filter_map(read).collect();
        listeners.sort();
        Ok(listeners)
    }

    async fn json(&self, path: &str) -> Result<Value, AdminError> {
        let body = self.ask(Method::GET, path).await?;
        serde_json::from_slice(&body).map_err(|_| AdminError::Unexpected { path: path.to_owned() })
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Bytes, AdminError> {
        let unreachable = |source| AdminError::Unreachable {
            address: self.address,
            path: path.to_owned(),
            source,
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .body(Empty::new())
            .map_err(|error| unreachable(error.into()))?;
        let exchange = async {
            let response = self.client.request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(TIMEOUT, exchange)
            .await
            .unwrap_or_else(|late| Err(late.into()))
            .map_err(unreachable)?;
        if status == StatusCode::OK {
            Ok(body)
        } else {
            Err(AdminError::Refused { status, path: path.to_owned() })
        }
    }
}
