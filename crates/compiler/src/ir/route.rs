//! Routes in final form: what a virtual host holds, in Emissary's terms.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error_response::ErrorOverride;
use super::group_id::GroupId;
use super::service::Scheme;

/// How the path of a request is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PathMatch {
    /// Plain string prefix, not aware of segments.
    Prefix(String),
    /// Whole path.
    Exact(String),
    /// RE2 pattern on the whole path.
    Regex(String),
}

/// How a text is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TextMatch {
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
pub(crate) struct NamedMatch {
    /// Name of the header or parameter.
    pub(crate) name: String,
    /// What its value must be.
    pub(crate) value: TextMatch,
}

/// When a route applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteMatch {
    /// Condition on the path.
    pub(crate) path: PathMatch,
    /// Whether the path is compared case-sensitively.
    pub(crate) case_sensitive: bool,
    /// All must hold.
    pub(crate) headers: Vec<NamedMatch>,
    /// All must hold.
    pub(crate) queries: Vec<NamedMatch>,
}

/// Cumulative share of a canary group that stops at this route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    /// Percent of the requests that reach this route; 100 takes all.
    pub(crate) percent: u32,
}

/// A header to set or append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderEdit {
    /// Header name.
    pub(crate) name: String,
    /// Value; may hold Envoy's `%…%` commands.
    pub(crate) value: String,
    /// Append to a present header instead of replacing it.
    pub(crate) append: bool,
}

/// What ext_authz does on a route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum AuthOverride {
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
pub(crate) struct Route {
    /// The object it comes from: kind, namespace and name.
    pub(crate) name: String,
    /// When it applies.
    pub(crate) matches: RouteMatch,
    /// Canary share; `None` takes all.
    pub(crate) share: Option<Share>,
    /// What it does.
    pub(crate) action: Action,
    /// Headers towards the upstream, in order.
    pub(crate) add_request_headers: Vec<HeaderEdit>,
    /// Headers towards the client, in order.
    pub(crate) add_response_headers: Vec<HeaderEdit>,
    /// Headers taken from the request.
    pub(crate) remove_request_headers: Vec<String>,
    /// Headers taken from the response.
    pub(crate) remove_response_headers: Vec<String>,
    /// ext_authz override.
    pub(crate) auth: AuthOverride,
    /// Bodies of error answers.
    pub(crate) errors: ErrorOverride,
    /// CORS policy, and the group whose runtime key can switch it off.
    pub(crate) cors: Option<(Arc<Cors>, GroupId)>,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Sends the request to a cluster.
    Forward(Box<Forward>),
    /// Answers with a redirect.
    Redirect(Redirect),
}

/// How a request is forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Forward {
    /// Published cluster name.
    pub(crate) cluster: Arc<str>,
    /// Change of the path.
    pub(crate) path: PathRewrite,
    /// Change of the host.
    pub(crate) host: HostRewrite,
    /// Whole-request timeout in milliseconds; 0 is none.
    pub(crate) timeout_ms: u64,
    /// Stream idle timeout in milliseconds; 0 is none, `None` is Envoy's.
    pub(crate) idle_timeout_ms: Option<u64>,
    /// Retries.
    pub(crate) retry: Option<Arc<Retry>>,
    /// Uses the `HIGH` thresholds of circuit breakers.
    pub(crate) high_priority: bool,
    /// Mirror, percent of requests.
    pub(crate) mirror: Option<(Arc<str>, u32)>,
    /// Protocol upgrades allowed, lower-case.
    pub(crate) upgrades: Vec<String>,
    /// What hashing load balancers hash.
    pub(crate) hash: Option<HashKey>,
    /// Descriptors sent to the rate-limit service.
    pub(crate) rate_limits: Vec<RateLimitEntry>,
}

/// Change of the path of a forwarded request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum PathRewrite {
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
pub(crate) enum HostRewrite {
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
pub(crate) struct Redirect {
    /// New host, with port if any; empty keeps it.
    pub(crate) host: String,
    /// New path.
    pub(crate) path: RedirectPath,
    /// One of 301, 302, 303, 307, 308.
    pub(crate) code: u16,
    /// New scheme; `None` keeps it.
    pub(crate) scheme: Option<Scheme>,
}

/// Path of a redirect answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum RedirectPath {
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
pub(crate) struct Retry {
    /// Envoy's conditions, comma-separated.
    pub(crate) retry_on: String,
    /// How many; `None` is Envoy's default of 1.
    pub(crate) num_retries: Option<u32>,
    /// Timeout of each try in milliseconds.
    pub(crate) per_try_timeout_ms: Option<u64>,
}

/// CORS policy of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Cors {
    /// Allowed origins, exact (or `*`).
    pub(crate) origins: Vec<String>,
    /// `Access-Control-Allow-Methods`.
    pub(crate) methods: String,
    /// `Access-Control-Allow-Headers`.
    pub(crate) headers: String,
    /// `Access-Control-Expose-Headers`.
    pub(crate) exposed_headers: String,
    /// `Access-Control-Max-Age`.
    pub(crate) max_age: String,
    /// `Access-Control-Allow-Credentials`.
    pub(crate) credentials: bool,
}

/// What a hashing load balancer hashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum HashKey {
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
pub(crate) struct RateLimitEntry {
    /// Entries of the descriptor, in order.
    pub(crate) actions: Vec<RateLimitAction>,
}

/// Where one entry of a descriptor comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum RateLimitAction {
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
