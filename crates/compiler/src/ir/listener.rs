//! Listeners and their filter chains, in final form.

use std::net::IpAddr;
use std::sync::Arc;

use super::http::HttpSettings;
use super::tls::DownstreamTls;

/// One listening socket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listener {
    pub(crate) name: Arc<str>,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// UDP, hence HTTP/3.
    pub(crate) udp: bool,
    /// Listener filters in order.
    pub(crate) filters: Vec<ListenerFilter>,
    pub(crate) chains: Vec<Chain>,
    pub(crate) buffer_limit_bytes: Option<u32>,
    pub(crate) outbound: bool,
}

/// What reads a connection before its chain is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerFilter {
    TlsInspector,
    ProxyProtocol,
}

/// One filter chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chain {
    pub(crate) name: String,
    pub(crate) transport: Transport,
    /// SNI names; empty takes all.
    pub(crate) server_names: Vec<String>,
    pub(crate) tls: Option<Arc<DownstreamTls>>,
    pub(crate) content: Content,
}

/// Transport that a chain takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Any,
    Tls,
    Cleartext,
    Quic,
}

/// What a chain does with its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Http(HttpChain),
    Tcp(TcpChain),
}

/// HTTP with routes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HttpChain {
    pub(crate) stat_prefix: String,
    /// Name of the route configuration.
    pub(crate) routes: Arc<str>,
    pub(crate) trusted_hops: u32,
    pub(crate) http2_max_concurrent_streams: Option<u32>,
    pub(crate) settings: Arc<HttpSettings>,
    /// HTTP/3 is spoken on this chain.
    pub(crate) http3: bool,
    /// HTTP/3 is offered elsewhere on this port.
    pub(crate) offers_http3: bool,
}

/// TCP to weighted clusters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TcpChain {
    pub(crate) stat_prefix: String,
    /// Cluster and weight; at least one, weights over 0.
    pub(crate) clusters: Vec<(Arc<str>, u32)>,
    pub(crate) idle_timeout_ms: Option<u64>,
    pub(crate) settings: Arc<HttpSettings>,
}
