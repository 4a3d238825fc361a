//! Routes in final form: what a virtual host holds, in Emissary's terms.

use std::collections::BTreeMap;
use std::sync::Arc;

/// How the path of a request is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Plain string prefix, not aware of segments.
    Prefix(String),
    /// Whole path.
    Exact(String),
    /// RE2 pattern on the whole path.
    Regex(String),
}

/// How a text is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextMatch {
    /// Equal.
    Exact(String),
    /// RE2 pattern on the whole text.
    Regex(String),
    /// Begins with.
    Prefix(String),
    /// Ends with.
    Suffix(String),
    /// Any text, no condition; counts for order only (host `*`).
    Any,
}

/// A condition on a request header or a query parameter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedMatch {
    /// Name of the header or parameter.
    pub name: String,
    /// What its value must be.
    pub value: TextMatch,
}

/// When a route applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch {
    /// Condition on the path.
    pub path: PathMatch,
    /// Whether the path is compared case-sensitively.
    pub case_sensitive: bool,
    /// All must hold.
    pub headers: Vec<NamedMatch>,
    /// All must hold.
    pub queries: Vec<NamedMatch>,
}

/// Cumulative share of a canary group that stops at this route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Percent of the requests that reach this route; 100 takes all.
    pub percent: u32,
}

/// A header to set or append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderEdit {
    /// Header name.
    pub name: String,
    /// Value; may hold Envoy's `%…%` commands.
    pub value: String,
    /// Append to a present header instead of replacing it.
    pub append: bool,
}

/// What ext_authz does on a route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AuthOverride {
    /// Checks as configured.
    #[default]
    Inherit,
    /// Does not check.
    Disabled,
    /// Checks, telling the service these pairs.
    Context(BTreeMap<String, String>),
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// When it applies.
    pub matches: RouteMatch,
    /// Canary share; `None` takes all.
    pub share: Option<Share>,
    /// What it does.
    pub action: Action,
    /// Headers towards the upstream, in order.
    pub add_request_headers: Vec<HeaderEdit>,
    /// Headers towards the client, in order.
    pub add_response_headers: Vec<HeaderEdit>,
    /// Headers taken from the request.
    pub remove_request_headers: Vec<String>,
    /// Headers taken from the response.
    pub remove_response_headers: Vec<String>,
    /// ext_authz override.
    pub auth: AuthOverride,
    /// CORS policy.
    pub cors: Option<Arc<Cors>>,
    /// Upgrades and protocol switches are told by `Forward`; probes of the
    /// gateway answer even while a broken AuthService closes everything else.
    pub internal: bool,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sends the request to a cluster.
    Forward(Box<Forward>),
    /// Answers with a redirect.
    Redirect(Redirect),
    /// Answers with this status and no body.
    Respond(u32),
}

/// How a request is forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forward {
    /// Published cluster name.
    pub cluster: Arc<str>,
    /// Change of the path.
    pub path: PathRewrite,
    /// Change of the host.
    pub host: HostRewrite,
    /// Whole-request timeout in milliseconds; 0 is none.
    pub timeout_ms: u64,
    /// Stream idle timeout in milliseconds; 0 is none, `None` is Envoy's.
    pub idle_timeout_ms: Option<u64>,
    /// Retries.
    pub retry: Option<Arc<Retry>>,
    /// Uses the `HIGH` thresholds of circuit breakers.
    pub high_priority: bool,
    /// Mirror, percent of requests.
    pub mirror: Option<(Arc<str>, u32)>,
    /// Protocol upgrades allowed, lower-case.
    pub upgrades: Vec<String>,
    /// What hashing load balancers hash.
    pub hash: Option<HashKey>,
    /// Descriptors sent to the rate-limit service.
    pub rate_limits: Vec<RateLimitEntry>,
}

/// Change of the path of a forwarded request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PathRewrite {
    /// Left alone.
    #[default]
    Keep,
    /// The matched prefix (or whole exact path) is replaced.
    Prefix(String),
    /// Regex substitution.
    Regex {
        /// RE2 pattern.
        pattern: String,
        /// Replacement with `\1` groups.
        substitution: String,
    },
}

/// Change of the host of a forwarded request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostRewrite {
    /// Left alone.
    #[default]
    Keep,
    /// This text.
    Literal(String),
    /// Host name of the chosen endpoint.
    Auto,
}

/// A redirect answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redirect {
    /// New host, with port if any; empty keeps it.
    pub host: String,
    /// New path.
    pub path: RedirectPath,
    /// One of 301, 302, 303, 307, 308.
    pub code: u16,
    /// Scheme becomes `https`.
    pub https: bool,
}

/// Path of a redirect answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RedirectPath {
    /// As requested.
    #[default]
    Keep,
    /// This path, query included.
    Whole(String),
    /// The matched prefix is replaced.
    Prefix(String),
    /// Regex substitution.
    Regex {
        /// RE2 pattern.
        pattern: String,
        /// Replacement with `\1` groups.
        substitution: String,
    },
}

/// Retries of a forwarded request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Retry {
    /// Envoy's conditions, comma-separated.
    pub retry_on: String,
    /// How many; `None` is Envoy's default of 1.
    pub num_retries: Option<u32>,
    /// Timeout of each try in milliseconds.
    pub per_try_timeout_ms: Option<u64>,
}

/// CORS policy of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Cors {
    /// Allowed origins, exact (or `*`).
    pub origins: Vec<String>,
    /// `Access-Control-Allow-Methods`.
    pub methods: String,
    /// `Access-Control-Allow-Headers`.
    pub headers: String,
    /// `Access-Control-Expose-Headers`.
    pub exposed_headers: String,
    /// `Access-Control-Max-Age`.
    pub max_age: String,
    /// `Access-Control-Allow-Credentials`.
    pub credentials: bool,
}

/// What a hashing load balancer hashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// A cookie, made by Envoy when absent and a lifetime is given.
    Cookie {
        /// Cookie name.
        name: String,
        /// Cookie path.
        path: Option<String>,
        /// Lifetime in milliseconds.
        ttl_ms: Option<u64>,
    },
    /// A request header.
    Header(String),
    /// Address of the client.
    SourceIp,
}

/// One descriptor: all its actions must yield, else it is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RateLimitEntry {
    /// Entries of the descriptor, in order.
    pub actions: Vec<RateLimitAction>,
}

/// Where one entry of a descriptor comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RateLimitAction {
    /// Cluster of the Envoy itself.
    SourceCluster,
    /// Cluster routed to.
    DestinationCluster,
    /// Trusted client address.
    RemoteAddress,
    /// A fixed pair.
    GenericKey {
        /// Descriptor key.
        key: String,
        /// Descriptor value.
        value: String,
    },
    /// Value of a request header.
    RequestHeader {
        /// Descriptor key.
        key: String,
        /// Header name.
        header: String,
        /// Leave this entry out when the header is missing, instead of the
        /// whole descriptor.
        skip_if_absent: bool,
    },
}
