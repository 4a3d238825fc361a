//! A backend that answers with what it received.
//!
//! One port speaks HTTP/1.1, HTTP/2 (by prior knowledge or ALPN), gRPC and
//! websockets, with TLS when asked to. It stands behind the demo's Services
//! and behind every end-to-end test.
//!
//! It trusts whoever calls it: requests choose their own answers. Sizes and
//! delays are bounded all the same.

mod answer;
mod grpc;
mod tls;
mod websocket;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use answer::Answer;
pub use tls::{TlsError, server_config};

/// Body of every answer.
type Body = UnsyncBoxBody<Bytes, BoxError>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Longest wait for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, so that a shortage of file descriptors does
/// not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How an echo backend is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Said in every answer, to tell backends apart.
    pub name: String,
    /// Address to listen on; port 0 takes a free one.
    pub address: SocketAddr,
    /// Speak TLS with this configuration instead of cleartext.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Paths answered with a fixed document instead of an echo.
    pub documents: BTreeMap<String, Document>,
}

impl Options {
    /// Returns a cleartext backend on a free loopback port.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            documents: BTreeMap::new(),
        }
    }
}

/// A fixed answer.
#[derive(Debug, Clone)]
pub struct Document {
    /// Value of `content-type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

/// A running echo backend; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Echo {
    name: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl Echo {
    /// Starts a backend and returns once it listens.
    ///
    /// # Errors
    ///
    /// Fails when the address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let name = options.name.clone();
        let shared = Arc::new(Shared {
            name: options.name,
            tls: options.tls,
            documents: options.documents,
            requests: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        });
        shared.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { name, address, shared, _stop: stop.drop_guard() })
    }

    /// Returns the name this backend says in its answers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many requests have arrived so far, fixed documents included.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

/// What all connections of one backend share.
#[derive(Debug)]
struct Shared {
    name: String,
    tls: Option<Arc<rustls::ServerConfig>>,
    documents: BTreeMap<String, Document>,
    requests: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Shared {
    /// Runs a task until it ends or the backend is dropped.
    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled_owned(task).await;
        });
    }
}

/// What one connection is known by.
#[derive(Debug, Clone)]
struct Peer {
    remote: SocketAddr,
    tls: Option<tls::Session>,
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                shared.spawn(connection(stream, remote, Arc::clone(&shared)));
            }
            Err(error) => {
                tracing::debug!(%error, "echo could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, remote: SocketAddr, shared: Arc<Shared>) {
    // An echo is asked small questions; waiting to fill a packet only delays.
    let _ = stream.set_nodelay(true);
    let Some(config) = shared.tls.clone() else {
        return serve(stream, Peer { remote, tls: None }, shared).await;
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => {
            let tls = Some(tls::Session::of(stream.get_ref().1));
            serve(stream, Peer { remote, tls }, shared).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, %remote, "echo refused a TLS handshake"),
        Err(_) => tracing::debug!(%remote, "echo gave up on a TLS handshake"),
    }
}

async fn serve<S>(stream: S, peer: Peer, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (peer, shared) = (peer.clone(), Arc::clone(&shared));
        async move { Ok::<_, Infallible>(respond(request, peer, shared).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().preserve_header_case(false).half_close(true);
    builder.http2().enable_connect_protocol().max_concurrent_streams(1000);
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await
    {
        tracing::debug!(%error, "echo connection ended early");
    }
}

async fn respond(request: Request<Incoming>, peer: Peer, shared: Arc<Shared>) -> Response<Body> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    if let Some(document) = shared.documents.get(request.uri().path()) {
        return answer::fixed(document);
    }
    if websocket::is_upgrade(&request) {
        return websocket::answer(request, &shared);
    }
    if grpc::is_grpc(request.headers()) {
        return grpc::answer(request, &shared.name);
    }
    answer::echo(request, &peer, &shared.name).await
}

#[cfg(test)]
mod tests;
