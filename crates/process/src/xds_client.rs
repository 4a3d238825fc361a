//! A subscription to the control plane as a `watch` of typed resources.
//!
//! One owned task keeps one ADS stream open, reconnects with back-off, decodes
//! what comes, acknowledges it, and publishes every new state whole. What was
//! held stays held while the server is away.

mod dialect;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use nuncio_xds::client::{DeltaClient, Interest, SotwClient};
use tokio::sync::watch;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::Endpoint;

pub use nuncio_xds::TypeUrl;

use crate::Context;

/// Which server to ask, and how to introduce ourselves.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port`, or an `http` URL.
    pub server: String,
    /// `node.id`: one name for each replica, such as `<namespace>/<pod>`.
    pub node_id: String,
    /// `node.cluster`: the fleet whose configuration is wanted.
    pub cluster: String,
    /// `node.metadata`, text values only.
    pub metadata: BTreeMap<String, String>,
    /// Sent with every connection; names must be lower-case ASCII.
    pub headers: BTreeMap<String, String>,
    /// Which of the two protocols to speak.
    pub protocol: Protocol,
    /// First and longest wait before a reconnect; doubled from one to the other.
    pub backoff: (Duration, Duration),
    /// Largest response, in bytes.
    pub message_limit: usize,
}

/// The two xDS protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Differences, resource by resource. What our control plane speaks best.
    #[default]
    Delta,
    /// State of the world, for servers that speak nothing else.
    Sotw,
}

/// Which resources of a type are wanted.
#[derive(Debug, Clone)]
pub enum Want {
    /// All of them.
    All,
    /// Those whose names stand in the channel; follows its changes. Resources
    /// that are no longer named are dropped at once.
    Names(watch::Receiver<BTreeSet<String>>),
}

/// Everything held at one moment.
#[derive(Debug)]
pub struct Resources<T> {
    /// Type to name to decoded resource.
    pub by_type: BTreeMap<TypeUrl, BTreeMap<String, Arc<T>>>,
    /// Refused resources and why. Their last good version, if there was one,
    /// still stands in `by_type`.
    pub refused: BTreeMap<(TypeUrl, String), String>,
    /// Whether the server has answered for every type at least once. Until
    /// then an absent resource means nothing.
    pub answered: bool,
}

/// Why a subscription cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The server's address is not `host:port` or a URL.
    #[error("`{server}` is not the address of an xDS server; write `host:port`")]
    Server {
        /// The address as given.
        server: String,
        /// What is wrong with it.
        #[source]
        source: tonic::transport::Error,
    },
    /// A header cannot be sent.
    #[error("`{name}` is not a usable header for the xDS server")]
    Header {
        /// Its name as given.
        name: String,
    },
}

/// Subscribes, as an owned task of `context`, which stays unready until the
/// server has answered for each type once.
///
/// `decode` turns a resource's encoded message into the subscriber's own form;
/// an error refuses that resource (and is sent to the server) and leaves its
/// last good version standing. It is called on the subscription's task and
/// should be quick.
///
/// # Errors
/// When the options cannot be used; a server that does not answer is no error.
pub fn subscribe<T, D>(
    context: &Context,
    options: Options,
    wants: impl IntoIterator<Item = (TypeUrl, Want)>,
    decode: D,
) -> Result<watch::Receiver<Arc<Resources<T>>>, OptionsError>
where
    T: Send + Sync + 'static,
    D: Fn(&TypeUrl, &str, &Bytes) -> Result<T, String> + Send + Sync + 'static,
{
    let endpoint = endpoint(&options)?;
    let headers = headers(&options)?;
    let wants: Vec<_> = wants.into_iter().collect();
    let interests: Vec<_> = wants
        .iter()
        .map(|(type_url, want)| {
            let interest = match want {
                Want::All => Interest::All,
                Want::Names(names) => Interest::Names(names.borrow().clone()),
            };
            (type_url.clone(), interest)
        })
        .collect();
    let (publish, published) = watch::channel(Arc::default());
    let state = stream::State::new(publish, decode, wants, context.ready.guard("configuration"));
    let node = node(&options);
    let connection =
        stream::Connection { endpoint, headers, options, drain: context.drain.clone() };
    match connection.options.protocol {
        Protocol::Delta => {
            let client = DeltaClient::new(node, interests);
            context.tasks.spawn("xds-client", stream::run(connection, client, state));
        }
        Protocol::Sotw => {
            let client = SotwClient::new(node, interests);
            context.tasks.spawn("xds-client", stream::run(connection, client, state));
        }
    }
    Ok(published)
}

// === impl Options ===

impl Options {
    /// Makes options for our own control plane; the rest are defaults.
    pub fn new(
        server: impl Into<String>,
        node_id: impl Into<String>,
        cluster: impl Into<String>,
    ) -> Self {
        Self {
            server: server.into(),
            node_id: node_id.into(),
            cluster: cluster.into(),
            metadata: BTreeMap::new(),
            headers: BTreeMap::new(),
            protocol: Protocol::Delta,
            backoff: (Duration::from_millis(10), Duration::from_secs(15)),
            message_limit: 200 << 20,
        }
    }
}

// === impl Resources ===

impl<T> Resources<T> {
    /// Returns the resources of one type, by name.
    pub fn of(&self, type_url: &TypeUrl) -> impl Iterator<Item = (&str, &Arc<T>)> {
        self.by_type
            .get(type_url)
            .into_iter()
            .flat_map(|named| named.iter().map(|(name, resource)| (name.as_str(), resource)))
    }
}

// Not derived: `T` itself needs no default and no clone.
impl<T> Default for Resources<T> {
    fn default() -> Self {
        Self { by_type: BTreeMap::new(), refused: BTreeMap::new(), answered: false }
    }
}

impl<T> Clone for Resources<T> {
    fn clone(&self) -> Self {
        Self {
            by_type: self.by_type.clone(),
            refused: self.refused.clone(),
            answered: self.answered,
        }
    }
}

fn endpoint(options: &Options) -> Result<Endpoint, OptionsError> {
    let bad = |source| OptionsError::Server { server: options.server.clone(), source };
    let url = if options.server.contains("://") {
        options.server.clone()
    } else {
        format!("http://{}", options.server)
    };
    let endpoint = Endpoint::from_shared(url)
        .map_err(bad)?
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    Ok(endpoint)
}

fn headers(options: &Options) -> Result<Vec<(AsciiMetadataKey, AsciiMetadataValue)>, OptionsError> {
    options
        .headers
        .iter()
        .map(|(name, value)| {
            let key = name.parse::<AsciiMetadataKey>().ok();
            let value = value.parse::<AsciiMetadataValue>().ok();
            key.zip(value).ok_or_else(|| OptionsError::Header { name: name.clone() })
        })
        .collect()
}

fn node(options: &Options) -> Node {
    let text = |value: &String| Value { kind: Some(Kind::StringValue(value.clone())) };
    let fields = options.metadata.iter().map(|(key, value)| (key.clone(), text(value)));
    Node {
        id: options.node_id.clone(),
        cluster: options.cluster.clone(),
        metadata: (!options.metadata.is_empty()).then(|| Struct { fields: fields.collect() }),
        user_agent_name: "nuncio".into(),
        ..Node::default()
    }
}
