//! Services that users bring along, as servers that remember what they were
//! asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use envoy_types::pb::envoy::service::accesslog::v3 as logs;
use envoy_types::pb::envoy::service::auth::v3 as auth;
use envoy_types::pb::envoy::service::ratelimit::v3 as limits;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::{Status, Streaming};

/// A running server; stopped when dropped.
#[derive(Debug)]
pub struct Fake<T> {
    address: SocketAddr,
    seen: Seen<T>,
    _tasks: JoinSet<()>,
}

/// A request that a fake of HTTP got.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Method, path and headers.
    pub head: Parts,
    /// The whole body.
    pub body: Bytes,
}

#[derive(Debug)]
struct Seen<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Seen<T> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    fn push(&self, one: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }
}

impl<T: Clone> Fake<T> {
    /// Returns where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what it was asked so far.
    pub fn seen(&self) -> Vec<T> {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn grpc(seen: Seen<T>, routes: Routes) -> Self {
        let listener = bind().await;
        let address = listener.local_addr().expect("it is bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let server = tonic::transport::Server::builder().add_routes(routes);
            // Ends with the test, so nobody is left to tell.
            let _ = server.serve_with_incoming(incoming).await;
        });
        Self { address, seen, _tasks: tasks }
    }
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port can be bound")
}

impl Fake<Arrived> {
    /// Starts an HTTP server, HTTP/1.1 and HTTP/2 alike, that answers every
    /// request with one status and no body.
    pub async fn http(status: StatusCode) -> Self {
        let listener = bind().await;
        let address = listener.local_addr().expect("it is bound");
        let seen = Seen::new();
        let shared = seen.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let seen = shared.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| answer(request, status, seen.clone()));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // A client that goes away early is none of our concern.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, seen, _tasks: tasks }
    }
}

async fn answer(
    request: Request<Incoming>,
    status: StatusCode,
    seen: Seen<Arrived>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if let Ok(body) = body.collect().await {
        seen.push(Arrived { head, body: body.to_bytes() });
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    Ok(response)
}

type Decide<Q, A> = Box<dyn Fn(&Q) -> A + Send + Sync>;

struct Judge {
    seen: Seen<auth::CheckRequest>,
    decide: Decide<auth::CheckRequest, auth::CheckResponse>,
}

#[tonic::async_trait]
impl auth::authorization_server::Authorization for Judge {
    async fn check(
        &self,
        request: tonic::Request<auth::CheckRequest>,
    ) -> Result<tonic::Response<auth::CheckResponse>, Status> {
        let request = request.into_inner();
        let verdict = (self.decide)(&request);
        self.seen.push(request);
        Ok(tonic::Response::new(verdict))
    }
}

impl Fake<auth::CheckRequest> {
    /// Starts an auth server of Envoy's protocol over gRPC.
    pub async fn auth(
        decide: impl Fn(&auth::CheckRequest) -> auth::CheckResponse + Send + Sync + 'static,
    ) -> Self {
        let seen = Seen::new();
        let judge = Judge { seen: seen.clone(), decide: Box::new(decide) };
        let server = auth::authorization_server::AuthorizationServer::new(judge);
        Self::grpc(seen, Routes::new(server)).await
    }
}

struct Counter {
    seen: Seen<limits::RateLimitRequest>,
    over: Decide<limits::RateLimitRequest, bool>,
}

#[tonic::async_trait]
impl limits::rate_limit_service_server::RateLimitService for Counter {
    async fn should_rate_limit(
        &self,
        request: tonic::Request<limits::RateLimitRequest>,
    ) -> Result<tonic::Response<limits::RateLimitResponse>, Status> {
        use limits::rate_limit_response::Code;
        let request = request.into_inner();
        let code = if (self.over)(&request) { Code::OverLimit } else { Code::Ok };
        self.seen.push(request);
        let answer = limits::RateLimitResponse { overall_code: code as i32, ..Default::default() };
        Ok(tonic::Response::new(answer))
    }
}

impl Fake<limits::RateLimitRequest> {
    /// Starts a rate-limit service of Envoy's protocol; `over` says whether a
    /// request is over its limit.
    pub async fn limits(
        over: impl Fn(&limits::RateLimitRequest) -> bool + Send + Sync + 'static,
    ) -> Self {
        let seen = Seen::new();
        let counter = Counter { seen: seen.clone(), over: Box::new(over) };
        let server = limits::rate_limit_service_server::RateLimitServiceServer::new(counter);
        Self::grpc(seen, Routes::new(server)).await
    }
}

struct Sink {
    seen: Seen<logs::StreamAccessLogsMessage>,
}

#[tonic::async_trait]
impl logs::access_log_service_server::AccessLogService for Sink {
    async fn stream_access_logs(
        &self,
        request: tonic::Request<Streaming<logs::StreamAccessLogsMessage>>,
    ) -> Result<tonic::Response<logs::StreamAccessLogsResponse>, Status> {
        let mut stream = request.into_inner();
        while let Some(message) = stream.message().await? {
            self.seen.push(message);
        }
        Ok(tonic::Response::new(logs::StreamAccessLogsResponse::default()))
    }
}

impl Fake<logs::StreamAccessLogsMessage> {
    /// Starts a sink of access logs of Envoy's protocol.
    pub async fn logs() -> Self {
        let seen = Seen::new();
        let sink = Sink { seen: seen.clone() };
        let server = logs::access_log_service_server::AccessLogServiceServer::new(sink);
        Self::grpc(seen, Routes::new(server)).await
    }
}
