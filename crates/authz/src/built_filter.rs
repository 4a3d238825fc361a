//! One filter, built of its object and the Secrets it names.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use nuncio_api::filter::{self as api, FilterVariant};

use crate::filter::api_key::{ApiKeyFilter, ServiceKeys};
use crate::filter::external::ExternalFilter;
use crate::filter::jwt::JwtFilter;
use crate::filter::{ConfigError, Filter, FilterName};
use crate::sources::{Environment, Sources};

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

    /// Returns what it was built of; `None` for one that refuses.
    pub(crate) fn spec(&self) -> Option<&api::Filter> {
        self.made_of.as_ref().map(|made| &made.spec)
    }

    pub(crate) fn refusing(name: FilterName, reason: String) -> Arc<Self> {
        Arc::new(Self { name, kind: Kind::Rejected(reason), injectable: Vec::new(), made_of: None })
    }

    pub(crate) fn injectable(&self) -> &[HeaderName] {
        &self.injectable
    }
}

/// Why a filter cannot be built.
pub(crate) enum BuildError {
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

/// Builds a filter, or returns the old one where it is built of the same.
pub(crate) fn build_or_reuse(
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

/// What is strange about a Filter that can be used.
pub(crate) fn warnings(spec: &api::Filter) -> Vec<ConfigError> {
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
