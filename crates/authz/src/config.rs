//! Filters and policies as one whole, built at once and swapped at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use nuncio_api::filter::{self as api, FilterVariant};
use nuncio_api::filter_policy as policy_api;

use crate::filter::api_key::{ApiKeyFilter, ServiceKeys};
use crate::filter::external::ExternalFilter;
use crate::filter::jwt::JwtFilter;
use crate::filter::{ConfigError, Filter, FilterFactory, FilterName};
use crate::glob::Glob;
use crate::policy::{Condition, Link, Rule, RuleTable};

/// Everything a configuration is built of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sources {
    /// Filter objects.
    pub filters: BTreeMap<FilterName, Source<api::Filter>>,
    /// FilterPolicy objects.
    pub policies: BTreeMap<FilterName, Source<policy_api::FilterPolicy>>,
    /// Secrets by namespace and name: entry to value.
    pub secrets: BTreeMap<FilterName, BTreeMap<String, Vec<u8>>>,
}

/// One object, as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Source<T> {
    /// The object; `None` when nothing of it can be understood.
    pub spec: Option<T>,
    /// Why it is not accepted; `None` when it is. What a refused object guards
    /// is answered 500.
    pub rejected: Option<String>,
}

impl<T> Source<T> {
    /// Makes the source of an accepted object.
    pub const fn accepted(spec: T) -> Self {
        Self { spec: Some(spec), rejected: None }
    }
}

/// What stays the same while configurations come and go.
#[derive(Clone)]
pub struct Environment {
    /// The service's own secrets.
    pub keys: ServiceKeys,
    /// Filter kinds of this build.
    pub factories: BTreeMap<&'static str, Arc<dyn FilterFactory>>,
    /// Whether guarded paths with `%2F`, `%5C`, `\` or `;` are answered 400,
    /// even where every reading of them falls under one rule.
    pub strict_paths: bool,
}

/// Filters and policies, ready to decide.
#[derive(Debug, Default)]
pub struct Config {
    filters: BTreeMap<FilterName, Arc<BuiltFilter>>,
    table: RuleTable,
    findings: Vec<Finding>,
    strict_paths: bool,
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `Filter` or `FilterPolicy`.
    pub kind: &'static str,
    /// The object.
    pub name: FilterName,
    /// Field below `spec`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// Whether requests are refused because of it.
    pub is_error: bool,
}

/// A filter, ready to check requests.
#[derive(Debug)]
pub struct BuiltFilter {
    /// Its object.
    pub name: FilterName,
    pub(crate) kind: Kind,
    injectable: Vec<HeaderName>,
    /// What it was built of, to build it anew only when that changes.
    made_of: Option<Ingredients>,
}

#[derive(Debug, Clone, PartialEq)]
struct Ingredients {
    spec: api::Filter,
    secrets: BTreeMap<FilterName, BTreeMap<String, Vec<u8>>>,
}

pub(crate) enum Kind {
    Jwt(Box<JwtFilter>),
    ApiKey(Box<ApiKeyFilter>),
    External(Arc<ExternalFilter>),
    Custom(Arc<dyn Filter>),
    /// Every request fails, for this reason.
    Rejected(String),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Jwt(_) => "JWT",
            Self::ApiKey(_) => "APIKey",
            Self::External(_) => "External",
            Self::Custom(_) => "Custom",
            Self::Rejected(_) => "Rejected",
        })
    }
}

impl BuiltFilter {
    /// Returns the type, `Rejected` for one that cannot be used.
    pub fn type_name(&self) -> String {
        format!("{:?}", self.kind)
    }

    /// Returns why every request fails here, if so.
    pub fn rejected(&self) -> Option<&str> {
        match &self.kind {
            Kind::Rejected(reason) => Some(reason),
            _ => None,
        }
    }

    /// Returns where the filter's keys are fetched, if they are.
    pub fn key_source(&self) -> Option<&Arc<crate::filter::jwt::KeySource>> {
        match &self.kind {
            Kind::Jwt(jwt) => match jwt.keys() {
                crate::filter::jwt::Keys::Remote(source) => Some(source),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the service the filter calls, if it calls one.
    pub fn target(&self) -> Option<&crate::filter::external::Target> {
        match &self.kind {
            Kind::External(external) => Some(&external.target),
            _ => None,
        }
    }

    fn refusing(name: FilterName, reason: String) -> Arc<Self> {
        Arc::new(Self { name, kind: Kind::Rejected(reason), injectable: Vec::new(), made_of: None })
    }

    pub(crate) fn injectable(&self) -> &[HeaderName] {
        &self.injectable
    }
}

impl Config {
    /// Builds a configuration. Filters that did not change are taken over from
    /// `previous` with what they remember; one whose new spec cannot be used
    /// keeps its last good one.
    pub fn build(sources: &Sources, environment: &Environment, previous: Option<&Self>) -> Self {
        let mut config = Self { strict_paths: environment.strict_paths, ..Self::default() };
        for (name, source) in &sources.filters {
            let old = previous.and_then(|previous| previous.filters.get(name));
            let filter = config.filter(name, source, sources, environment, old);
            config.filters.insert(name.clone(), filter);
        }
        let mut rules = Vec::new();
        for (name, source) in &sources.policies {
            config.policy(name, source, &mut rules);
        }
        // Stable: equal precedence leaves namespace, name, position.
        rules.sort_by_key(|(precedence, _)| std::cmp::Reverse(*precedence));
        config.table = RuleTable::new(rules.into_iter().map(|(_, rule)| Arc::new(rule)).collect());
        config
    }

    /// Returns the rules.
    pub const fn table(&self) -> &RuleTable {
        &self.table
    }

    /// Returns the filters by name.
    pub const fn filters(&self) -> &BTreeMap<FilterName, Arc<BuiltFilter>> {
        &self.filters
    }

    /// Returns what is wrong with the objects.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(crate) const fn strict_paths(&self) -> bool {
        self.strict_paths
    }

    fn find_fault(
        &mut self,
        kind: &'static str,
        name: &FilterName,
        error: &ConfigError,
        is_error: bool,
    ) {
        let ConfigError { field, message } = error.clone();
        self.findings.push(Finding { kind, name: name.clone(), field, message, is_error });
    }

    fn filter(
        &mut self,
        name: &FilterName,
        source: &Source<api::Filter>,
        sources: &Sources,
        environment: &Environment,
        old: Option<&Arc<BuiltFilter>>,
    ) -> Arc<BuiltFilter> {
        let reject = |config: &mut Self, error: &ConfigError| {
            config.find_fault("Filter", name, error, true);
            BuiltFilter::refusing(name.clone(), error.to_string())
        };
        let spec = match (&source.spec, &source.rejected) {
            (Some(spec), None) => spec,
            (_, reason) => {
                let reason = reason.as_deref().unwrap_or("the object cannot be read");
                return reject(self, &ConfigError::new("", reason));
            }
        };
        match build_or_reuse(name, spec, sources, environment, old) {
            Ok(filter) => {
                for error in warnings(spec) {
                    self.find_fault("Filter", name, &error, false);
                }
                filter
            }
            Err(BuildError::Final(error)) => reject(self, &error),
            Err(BuildError::Spec(error)) => {
                let last_good = old.and_then(|old| old.made_of.as_ref()).map(|made| &made.spec);
                let kept = last_good
                    .and_then(|spec| build_or_reuse(name, spec, sources, environment, old).ok());
                match kept {
                    Some(filter) => {
                        self.find_fault("Filter", name, &error, true);
                        filter
                    }
                    None => reject(self, &error),
                }
            }
        }
    }

    fn policy(
        &mut self,
        name: &FilterName,
        source: &Source<policy_api::FilterPolicy>,
        rules: &mut Vec<(i64, Rule)>,
    ) {
        if let Some(reason) = &source.rejected {
            self.find_fault("FilterPolicy", name, &ConfigError::new("", reason.as_str()), true);
        }
        let parsed = source.spec.as_ref().map(|spec| spec.rules.as_slice()).unwrap_or_default();
        if parsed.is_empty() && (source.rejected.is_some() || source.spec.is_none()) {
            // Nothing says what it was meant to guard, so it may be anything.
            let reason = source.rejected.as_deref().unwrap_or("the policy cannot be read");
            let link = Link::refusing(name, reason);
            rules.push((i64::MAX, self.rule(name, 0, "*", "*", vec![link])));
        }
        for (at, rule) in parsed.iter().enumerate() {
            let links: Vec<_> = match &source.rejected {
                Some(reason) => vec![Link::refusing(name, reason)],
                None => (0..rule.filters.len()).map(|i| self.link(name, at, rule, i)).collect(),
            };
            rules.push((rule.precedence, self.rule(name, at, &rule.host, &rule.path, links)));
        }
    }

    fn rule(&self, name: &FilterName, at: usize, host: &str, path: &str, chain: Vec<Link>) -> Rule {
        let or_star =
            |pattern: &str| if pattern.is_empty() { "*".into() } else { pattern.to_owned() };
        let mut injectable: Vec<HeaderName> =
            chain.iter().flat_map(|link| link.filter.injectable().iter().cloned()).collect();
        injectable.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        injectable.dedup();
        Rule {
            name: format!("{name}#{at}"),
            host: Glob::new(or_star(host).to_ascii_lowercase().trim_end_matches('.')),
            path: Glob::new(&or_star(path)),
            chain,
            injectable,
        }
    }

    fn link(
        &mut self,
        policy: &FilterName,
        at: usize,
        rule: &policy_api::Rule,
        position: usize,
    ) -> Link {
        let reference = &rule.filters[position];
        let own = reference.namespace.is_empty();
        let name = FilterName {
            namespace: if own { policy.namespace.clone() } else { reference.namespace.clone() },
            name: reference.name.clone(),
        };
        let field = |rest: &str| format!("rules[{at}].filters[{position}]{rest}");
        let filter = self.filters.get(&name).cloned().unwrap_or_else(|| {
            let message = format!("the Filter {name} does not exist");
            let error = ConfigError::new(field(".name"), message.as_str());
            self.find_fault("FilterPolicy", policy, &error, true);
            BuiltFilter::refusing(name.clone(), message)
        });
        let condition = reference.if_request_header.as_ref().map(Condition::new).transpose();
        let (filter, condition) = match condition {
            Ok(condition) => (filter, condition),
            Err(error) => {
                let error = ConfigError::new(field(&format!(".{}", error.field)), error.message);
                self.find_fault("FilterPolicy", policy, &error, true);
                (BuiltFilter::refusing(name, error.to_string()), None)
            }
        };
        let (break_on_deny, break_on_allow) = Link::breaks(reference.on_deny, reference.on_allow);
        if !break_on_deny && position + 1 == rule.filters.len() {
            let message = "`continue` on the last filter lets denied requests through";
            self.find_fault(
                "FilterPolicy",
                policy,
                &ConfigError::new(field(".onDeny"), message),
                false,
            );
        }
        Link {
            filter,
            break_on_deny,
            break_on_allow,
            condition,
            scopes: reference.scopes(),
            arguments: reference.arguments.clone().unwrap_or_default(),
        }
    }
}

impl Link {
    fn refusing(name: &FilterName, reason: &str) -> Self {
        Self {
            filter: BuiltFilter::refusing(name.clone(), reason.to_owned()),
            break_on_deny: true,
            break_on_allow: false,
            condition: None,
            scopes: Vec::new(),
            arguments: serde_json::Value::Null,
        }
    }
}

/// Checks a Filter as far as it can be checked without its Secrets.
///
/// # Errors
/// The first fault, with its field below `spec`.
pub fn check_filter(name: &FilterName, spec: &api::Filter) -> Result<(), ConfigError> {
    let variant = spec.variant().map_err(|error| ConfigError::new("", error.to_string()))?;
    let ext = spec.ext.as_ref();
    match variant {
        FilterVariant::Jwt(jwt) => JwtFilter::new(name, jwt, ext, spec.dialect()).map(drop),
        FilterVariant::External(external) => {
            ExternalFilter::new(external, ext, spec.dialect(), Vec::new(), None).map(drop)
        }
        FilterVariant::ApiKey(key) => {
            let keys = ServiceKeys { process: [0; 32], api_key_hmac: None };
            ApiKeyFilter::new(key, ext, &[b"any".to_vec()], &keys).map(drop)
        }
        FilterVariant::Custom(_) => Ok(()),
        FilterVariant::OAuth2(_) | FilterVariant::Plugin(_) => Err(unsupported(variant.name())),
    }
}

/// Checks a FilterPolicy apart from the Filters it names.
pub fn check_policy(spec: &policy_api::FilterPolicy) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (at, rule) in spec.rules.iter().enumerate() {
        for (position, reference) in rule.filters.iter().enumerate() {
            let condition = reference.if_request_header.as_ref().map(Condition::new);
            if let Some(Err(error)) = condition {
                let field = format!("rules[{at}].filters[{position}].{}", error.field);
                errors.push(ConfigError::new(field, error.message));
            }
        }
    }
    errors
}

enum BuildError {
    /// The spec cannot be used: an earlier one may go on.
    Spec(ConfigError),
    /// The object means something that cannot be done: an earlier meaning is
    /// no substitute.
    Final(ConfigError),
}

fn unsupported(name: &str) -> ConfigError {
    let message = match name {
        "Plugin" => {
            "Go plugins cannot be loaded; serve the plugin as a program of its own and use External"
        }
        _ => "not supported yet",
    };
    ConfigError::new(name, message)
}

fn build_or_reuse(
    name: &FilterName,
    spec: &api::Filter,
    sources: &Sources,
    environment: &Environment,
    old: Option<&Arc<BuiltFilter>>,
) -> Result<Arc<BuiltFilter>, BuildError> {
    let mut secrets = BTreeMap::new();
    for (namespace, secret) in spec.secrets(&name.namespace) {
        let secret = FilterName { namespace, name: secret };
        let entries = sources.secrets.get(&secret).ok_or_else(|| {
            BuildError::Final(ConfigError::new("", format!("the Secret {secret} does not exist")))
        })?;
        secrets.insert(secret, entries.clone());
    }
    let made_of = Ingredients { spec: spec.clone(), secrets };
    if let Some(old) = old.filter(|old| old.made_of.as_ref() == Some(&made_of)) {
        return Ok(Arc::clone(old));
    }
    let (kind, mut injectable) = build(name, &made_of, environment)?;
    injectable.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    Ok(Arc::new(BuiltFilter { name: name.clone(), kind, injectable, made_of: Some(made_of) }))
}

fn build(
    name: &FilterName,
    made_of: &Ingredients,
    environment: &Environment,
) -> Result<(Kind, Vec<HeaderName>), BuildError> {
    let spec = &made_of.spec;
    let ext = spec.ext.as_ref();
    let variant = spec
        .variant()
        .map_err(|error| BuildError::Spec(ConfigError::new("", error.to_string())))?;
    match variant {
        FilterVariant::Jwt(jwt) => {
            let filter =
                JwtFilter::new(name, jwt, ext, spec.dialect()).map_err(BuildError::Spec)?;
            let injectable = filter.injectable().cloned().collect();
            Ok((Kind::Jwt(Box::new(filter)), injectable))
        }
        FilterVariant::ApiKey(api_key) => {
            let values: Vec<_> =
                made_of.secrets.values().flat_map(|s| s.values().cloned()).collect();
            // A key that was taken away must not stay valid in an older form.
            let filter = ApiKeyFilter::new(api_key, ext, &values, &environment.keys)
                .map_err(BuildError::Final)?;
            Ok((Kind::ApiKey(Box::new(filter)), Vec::new()))
        }
        FilterVariant::External(external) => {
            let (authorities, identity) =
                certificates(name, external, made_of).map_err(BuildError::Final)?;
            let filter = ExternalFilter::new(external, ext, spec.dialect(), authorities, identity)
                .map_err(BuildError::Spec)?;
            let injectable = filter.injectable().to_vec();
            Ok((Kind::External(Arc::new(filter)), injectable))
        }
        FilterVariant::Custom(custom) => {
            let factory = environment.factories.get(custom.kind.as_str()).ok_or_else(|| {
                let message = format!("no filter kind `{}` is part of this build", custom.kind);
                BuildError::Final(ConfigError::new("Custom.kind", message))
            })?;
            let filter = factory.build(&custom.config).map_err(|error| {
                let field = format!("Custom.config.{}", error.field);
                BuildError::Spec(ConfigError::new(field.trim_end_matches('.'), error.message))
            })?;
            let injectable = filter.injectable_headers().to_vec();
            Ok((Kind::Custom(filter), injectable))
        }
        FilterVariant::OAuth2(_) | FilterVariant::Plugin(_) => {
            Err(BuildError::Final(unsupported(variant.name())))
        }
    }
}

type Certificates = (Vec<u8>, Option<(Vec<u8>, Vec<u8>)>);

fn certificates(
    name: &FilterName,
    external: &api::External,
    made_of: &Ingredients,
) -> Result<Certificates, ConfigError> {
    let Some(tls) = external.certificates() else { return Ok((Vec::new(), None)) };
    let entry = |source: &Option<api::SecretSource>, field: &str, keys: &[&str]| {
        let Some(secret) = source.as_ref().and_then(|source| source.from_secret.as_ref()) else {
            return Ok(None);
        };
        let own = secret.namespace.is_empty();
        let namespace = if own { &name.namespace } else { &secret.namespace };
        let id = FilterName { namespace: namespace.clone(), name: secret.name.clone() };
        let entries = made_of.secrets.get(&id);
        keys.iter()
            .find_map(|key| entries.and_then(|entries| entries.get(*key)))
            .cloned()
            .map(Some)
            .ok_or_else(|| {
                let message = format!("the Secret {id} has no entry {}", keys.join(" or "));
                ConfigError::new(format!("External.tlsConfig.{field}"), message)
            })
    };
    let authorities = entry(&tls.ca_certificate, "caCertificate", &["tls.crt", "ca.crt"])?;
    let chain = entry(&tls.certificate, "certificate", &["tls.crt"])?;
    let key = entry(&tls.certificate, "certificate", &["tls.key"])?;
    Ok((authorities.unwrap_or_default(), chain.zip(key)))
}

fn warnings(spec: &api::Filter) -> Vec<ConfigError> {
    let mut warnings = Vec::new();
    match spec.variant() {
        Ok(FilterVariant::Jwt(jwt))
            if !matches!(jwt.client().renegotiate_tls.as_str(), "" | "never") =>
        {
            let message = "TLS renegotiation is not supported and is ignored";
            warnings.push(ConfigError::new("JWT.renegotiateTLS", message));
        }
        Ok(FilterVariant::External(external))
            if external.proto == api::ExternalProtocol::Grpc && external.version().is_empty() =>
        {
            let message = "is empty and read as v3";
            warnings.push(ConfigError::new("External.protocol_version", message));
        }
        _ => {}
    }
    if let Some(ext) = &spec.ext {
        for name in ext.other.keys() {
            warnings.push(ConfigError::new(format!("ext.{name}"), "is not a known field"));
        }
    }
    warnings
}
