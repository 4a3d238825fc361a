//! Filter: one check that a FilterPolicy can put in front of requests.
//!
//! One type reads every spelling: `getambassador.io` v2 and v3alpha1, where
//! the key that exists (`JWT`, `APIKey`, …) names the type, and
//! `gateway.getambassador.io/v1alpha1`, where `type` names it and the key is
//! lower-case. Printed as JSON again it is the canonical form that the auth
//! service receives. Source: Ambassador Edge Stack 3.12 CRDs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

mod external;
mod fields;
mod jwt;

pub use external::{
    BodyLimit, External, ExternalProtocol, ExternalTls, GrpcSettings, HttpSettings, SecretSource,
    StatusOnError, TlsField, TlsSecret,
};
pub use fields::{GoDuration, GoDurationError, nullable, one_or_many};
pub use jwt::{ErrorResponse, HeaderTemplate, HttpClientSettings, Jwt};

/// Spec of a Filter. Exactly one of the keys of a type may be set; see
/// [`Filter::variant`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Instances of Nuncio that heed this object. Unit: names; a single string
    /// counts as a list of one. Default: empty, read as `["default"]`.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub ambassador_id: Vec<String>,
    /// The same in `gateway.getambassador.io`.
    #[serde(rename = "ambassadorSelector", skip_serializing_if = "Option::is_none")]
    pub ambassador_selector: Option<AmbassadorSelector>,
    /// Type in `gateway.getambassador.io`: `oauth2`, `jwt`, `apikey`,
    /// `external`, `plugin`; required there, absent in `getambassador.io`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
    /// OpenID Connect login and OAuth2 grants. Kept as written: recognised, so
    /// that what it guards stays closed, and not acted upon yet.
    #[serde(rename = "OAuth2", alias = "oauth2", skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<Value>,
    /// Bearer tokens signed by a known key.
    #[serde(rename = "JWT", alias = "jwt", skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// Shared keys in a request header.
    #[serde(
        rename = "APIKey",
        alias = "apikey",
        alias = "apiKey",
        skip_serializing_if = "Option::is_none"
    )]
    pub api_key: Option<ApiKey>,
    /// A service of the user's own that decides.
    #[serde(rename = "External", alias = "external", skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// A Go plug-in. Recognised, and refused: it cannot be loaded here.
    #[serde(rename = "Plugin", alias = "plugin", skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Value>,
    /// A filter compiled into the user's own build of the auth service.
    #[serde(rename = "Custom", alias = "custom", skip_serializing_if = "Option::is_none")]
    pub custom: Option<Custom>,
    /// Fields beyond Edge Stack, in one place so that none can collide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext: Option<FilterExt>,
}

/// Which instances heed an object, in `gateway.getambassador.io`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AmbassadorSelector {
    /// Names of instances. Default: empty, read as `["default"]`.
    #[serde(deserialize_with = "nullable")]
    pub ambassador_ids: Vec<String>,
}

/// Keys in a request header. Failure: 403.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ApiKey {
    /// Header that carries the key, any case. Default: empty, read as
    /// `X-API-Key`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub http_header: String,
    /// Where the accepted keys are; at least one.
    #[serde(deserialize_with = "nullable")]
    pub keys: Vec<ApiKeySource>,
}

/// One Secret of accepted keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ApiKeySource {
    /// Secret in the Filter's own namespace. Every data value is one key,
    /// plain, `sha256:<hex>` or `hmac:<hex>`; entry names have no meaning.
    #[serde(deserialize_with = "nullable")]
    pub secret_name: String,
}

/// A filter kind registered by a user's own build.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Custom {
    /// Name under which the build registered its factory.
    #[serde(deserialize_with = "nullable")]
    pub kind: String,
    /// Handed to the factory as it is. Default: null.
    pub config: Value,
}

/// Fields of ours in a Filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FilterExt {
    /// JWT: the key set itself instead of `jwksURI`, a JSON object or the text
    /// of one. The only place from which `oct` keys (HS256 and so on) are
    /// taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// APIKey: take the key off the request before it goes upstream. Default:
    /// false, as in Edge Stack.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub remove_key: bool,
    /// External: names of request headers its answer may set, so that a
    /// client's own values of them never reach the backend. Default: empty.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub injectable_headers: Vec<String>,
    /// Anything else, kept for the filter kinds to refuse by name.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A Filter by its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FilterVariant<'a> {
    /// `OAuth2`.
    OAuth2(&'a Value),
    /// `JWT`.
    Jwt(&'a Jwt),
    /// `APIKey`.
    ApiKey(&'a ApiKey),
    /// `External`.
    External(&'a External),
    /// `Plugin`.
    Plugin(&'a Value),
    /// `Custom`.
    Custom(&'a Custom),
}

impl FilterVariant<'_> {
    /// Returns the key of the type as `getambassador.io` spells it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OAuth2(_) => "OAuth2",
            Self::Jwt(_) => "JWT",
            Self::ApiKey(_) => "APIKey",
            Self::External(_) => "External",
            Self::Plugin(_) => "Plugin",
            Self::Custom(_) => "Custom",
        }
    }
}

/// Whose JSON style error bodies follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `getambassador.io`: `status_code`, `request_id`.
    #[default]
    Classic,
    /// `gateway.getambassador.io`: `statusCode`, `requestId`.
    Gateway,
}

/// Why the type of a Filter cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterTypeError {
    /// No key of a type is set.
    #[error(
        "no filter type is set: one of OAuth2, JWT, APIKey, External, Plugin, Custom is needed"
    )]
    Missing,
    /// More than one key is set.
    #[error("filter types {0} are set at once: exactly one is needed")]
    Several(String),
    /// `type` and the key do not agree.
    #[error("type `{type_name}` does not fit the key {key}")]
    Mismatch {
        /// What `type` says.
        type_name: String,
        /// The key that is set.
        key: &'static str,
    },
}

impl Filter {
    /// Returns the one type that is set.
    ///
    /// # Errors
    /// When none or several are set, or `type` names another one.
    pub fn variant(&self) -> Result<FilterVariant<'_>, FilterTypeError> {
        let set: Vec<FilterVariant<'_>> = [
            self.oauth2.as_ref().map(FilterVariant::OAuth2),
            self.jwt.as_ref().map(FilterVariant::Jwt),
            self.api_key.as_ref().map(FilterVariant::ApiKey),
            self.external.as_ref().map(FilterVariant::External),
            self.plugin.as_ref().map(FilterVariant::Plugin),
            self.custom.as_ref().map(FilterVariant::Custom),
        ]
        .into_iter()
        .flatten()
        .collect();
        let [variant] = set.as_slice() else {
            let names: Vec<_> = set.iter().map(FilterVariant::name).collect();
            return Err(match names.is_empty() {
                true => FilterTypeError::Missing,
                false => FilterTypeError::Several(names.join(", ")),
            });
        };
        match &self.type_name {
            Some(name) if !name.is_empty() && !name.eq_ignore_ascii_case(variant.name()) => {
                Err(FilterTypeError::Mismatch { type_name: name.clone(), key: variant.name() })
            }
            _ => Ok(*variant),
        }
    }

    /// Returns the group whose JSON style this object expects.
    pub fn dialect(&self) -> Dialect {
        match self.type_name.as_deref() {
            None | Some("") => Dialect::Classic,
            Some(_) => Dialect::Gateway,
        }
    }

    /// Returns the instances that heed this object; empty means the default.
    pub fn ambassador_ids(&self) -> &[String] {
        match &self.ambassador_selector {
            Some(selector) if self.ambassador_id.is_empty() => &selector.ambassador_ids,
            _ => &self.ambassador_id,
        }
    }

    /// Returns the Secrets this Filter reads, as (namespace, name), sorted,
    /// without duplicates. `namespace` is the Filter's own.
    pub fn secrets(&self, namespace: &str) -> Vec<(String, String)> {
        let mut names = Vec::new();
        if let Some(api_key) = &self.api_key {
            for source in api_key.keys.iter().filter(|source| !source.secret_name.is_empty()) {
                names.push((namespace.to_owned(), source.secret_name.clone()));
            }
        }
        if let Some(external) = &self.external {
            names.extend(external.secrets(namespace));
        }
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests;
