//! Limits as configured, before they become a rule table. Files, xDS messages
//! and RateLimit objects all take this form.

use crate::Unit;

/// The limits of one domain from one file or resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DomainConfig {
    /// File or resource name, for messages.
    pub source: String,
    /// Domain that requests name.
    pub domain: String,
    /// Tree of descriptors, envoyproxy/ratelimit's form.
    pub descriptors: Vec<DescriptorConfig>,
    /// Prefix patterns, the form of RateLimit objects, oldest object first.
    /// They are looked at before the tree.
    pub limits: Vec<PatternLimit>,
}

/// One node of the descriptor tree; envoyproxy/ratelimit `descriptors[]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DescriptorConfig {
    /// Key, required.
    pub key: String,
    /// Exact value, or a pattern with `*`; empty means any value, one counter
    /// each.
    pub value: String,
    /// Limit for requests that end here.
    pub rate_limit: Option<RateLimit>,
    /// Next level.
    pub descriptors: Vec<DescriptorConfig>,
    /// Evaluate and count, never deny.
    pub shadow_mode: bool,
    /// Deny only when every quota of the request is used up.
    pub quota_mode: bool,
    /// Values of requests appear in metrics.
    pub detailed_metric: bool,
    /// This level's value of requests appears in metrics.
    pub value_to_metric: bool,
    /// All values matching the pattern share one counter.
    pub share_threshold: bool,
    /// Returned in dynamic metadata.
    pub metadata: Option<serde_json::Value>,
}

/// A limit of the tree; envoyproxy/ratelimit `rate_limit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Window; `None` only with `unlimited`.
    pub unit: Option<Unit>,
    /// Hits per window; 0 refuses all.
    pub requests_per_unit: u32,
    /// Never deny, never count.
    pub unlimited: bool,
    /// Name in answers and for `replaces`; may be empty.
    pub name: String,
    /// Names of rules that do not apply when this one matches.
    pub replaces: Vec<String>,
}

/// One entry of RateLimit `spec.limits`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatternLimit {
    /// Name in dynamic metadata.
    pub name: String,
    /// Alternatives; a request's descriptor must begin with one of them.
    pub patterns: Vec<Pattern>,
    /// Hits per unit.
    pub rate: u64,
    /// Length of the unit in seconds.
    pub unit_seconds: u64,
    /// Evaluate and count, never deny (`action: LogOnly`).
    pub log_only: bool,
    /// What was not used in the last so many units may be spent; 0 = unset.
    pub burst_factor: u32,
    /// Templates of headers for the upstream.
    pub request_headers: Vec<HeaderTemplate>,
    /// Templates of headers for the client.
    pub response_headers: Vec<HeaderTemplate>,
    /// The denial's own headers and body; absent means a JSON body.
    pub error_response: Option<ErrorResponse>,
}

/// Positions of a pattern: at each, any of these pairs may stand.
pub type Pattern = Vec<Vec<Label>>;

/// A key and its value; the value `""` or `*` means any.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

/// A header whose value is a template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderTemplate {
    /// Header name.
    pub name: String,
    /// Go template.
    pub value: String,
}

/// A denial's headers and body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorResponse {
    /// Headers of the denial.
    pub headers: Vec<HeaderTemplate>,
    /// Go template of the body; empty means the JSON body.
    pub body_template: String,
}

/// Why a configuration cannot be used.
///
/// Shape: `<file or resource>: <path>: <fault>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}: {path}{}{fault}", if path.is_empty() { "" } else { ": " })]
pub struct ConfigError {
    /// File or resource.
    pub source_name: String,
    /// Path of the field, such as `descriptors[0].rate_limit.unit`.
    pub path: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not YAML.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The parser's words.
        message: String,
    },
    /// Aliases or nesting would take too much memory.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// A key that does not exist.
    #[error("config error, unknown key '{0}' (line {1})")]
    UnknownKey(String, usize),
    /// A key given twice in one mapping.
    #[error("config error, key '{0}' is given twice (line {1})")]
    RepeatedKey(String, usize),
    /// A mapping key that is no string.
    #[error("config error, key is not of type string: {0} (line {1})")]
    KeyNotString(String, usize),
    /// A list with something other than mappings.
    #[error("config error, yaml file contains list of type other than map: {0} (line {1})")]
    NotListOfMaps(String, usize),
    /// A value of the wrong type.
    #[error("config error, expected {expected}, found {found} (line {line})")]
    WrongType {
        /// What is wanted.
        expected: &'static str,
        /// What stands there.
        found: String,
        /// From 1.
        line: usize,
    },
    /// No domain.
    #[error("config file cannot have empty domain")]
    EmptyDomain,
    /// Two files of one domain.
    #[error("duplicate domain '{0}' in config file")]
    DuplicateDomain(String),
    /// A descriptor without key.
    #[error("descriptor has empty key")]
    EmptyKey,
    /// Two descriptors of one key and value at one place.
    #[error("duplicate descriptor composite key '{0}'")]
    DuplicateKey(String),
    /// No such unit.
    #[error("invalid rate limit unit '{0}'")]
    BadUnit(String),
    /// A unit beside `unlimited`.
    #[error("should not specify rate limit unit when unlimited")]
    UnitWithUnlimited,
    /// An empty name in `replaces`.
    #[error("should not have an empty replaces entry")]
    EmptyReplaces,
    /// A rule that replaces itself.
    #[error("replaces should not contain name of same descriptor")]
    SelfReplaces,
    /// `share_threshold` without a pattern.
    #[error("share_threshold can only be used with a wildcard value (containing '*')")]
    ShareWithoutPattern,
    /// A limit over no time, or a rate times burst too large to count.
    #[error("rate, unit or burst factor is out of range")]
    OutOfRange,
    /// A limit that no request can match.
    #[error("pattern is empty")]
    EmptyPattern,
    /// A template outside the supported subset.
    #[error("template: {0}")]
    Template(crate::TemplateError),
    /// A header that cannot be sent.
    #[error("'{0}' is not a header name")]
    HeaderName(String),
}

impl Fault {
    /// Says where the fault stands.
    pub(crate) fn at(self, source: &str, path: impl Into<String>) -> ConfigError {
        ConfigError { source_name: source.to_owned(), path: path.into(), fault: self }
    }
}
