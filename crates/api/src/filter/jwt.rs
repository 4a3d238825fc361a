//! The JWT type of a Filter.

use serde::{Deserialize, Serialize};

use super::fields::{GoDuration, nullable};

/// Bearer tokens, verified against a key set. Taken from
/// `Authorization: Bearer` only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Jwt {
    /// URL of the JSON Web Key Set; required unless the only algorithm is
    /// `none` or `ext.jwks` holds the keys.
    #[serde(
        rename = "jwksURI",
        alias = "jwksUri",
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub jwks_uri: String,
    /// Accepted `alg` values: RS, PS, ES, HS with 256, 384 or 512, `EdDSA`,
    /// `none`. Default: empty, read as every one that fits the keys, never
    /// `none`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub valid_algorithms: Vec<String>,
    /// Required member of `aud`. Default: empty, `aud` is not looked at.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub audience: String,
    /// Accepted members of `aud`; one suffices. Joined with `audience`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// Refuse tokens without `aud`. Default: false.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub require_audience: bool,
    /// `aud` must hold every one of `audiences`. Default: false.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub require_audience_all: bool,
    /// Required `iss`. Default: empty, `iss` is not looked at.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Refuse tokens without `iss`. Default: false.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub require_issuer: bool,
    /// Refuse tokens without `exp`. Default: false.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub require_expires_at: bool,
    /// Refuse tokens without `nbf`. Default: false.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub require_not_before: bool,
    /// Refuse tokens without `iat`. Default: false.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub require_issued_at: bool,
    /// How long after `exp` a token still passes. Default: 0.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "GoDuration::is_zero")]
    pub leeway_for_expires_at: GoDuration,
    /// How long before `nbf` a token already passes. Default: 0.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "GoDuration::is_zero")]
    pub leeway_for_not_before: GoDuration,
    /// How long before `iat` a token already passes. Default: 0.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "GoDuration::is_zero")]
    pub leeway_for_issued_at: GoDuration,
    /// Headers set on the request from the token.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub inject_request_headers: Vec<HeaderTemplate>,
    /// Do not verify the certificate of `jwksURI`. Default: false.
    #[serde(
        rename = "insecureTLS",
        deserialize_with = "nullable",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub insecure_tls: bool,
    /// TLS renegotiation; anything but `never` cannot be honoured and is
    /// reported. Default: `never`.
    #[serde(
        rename = "renegotiateTLS",
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub renegotiate_tls: String,
    /// Least time the key set is cached, whatever its cache headers say.
    /// Default: 0, the headers rule.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "GoDuration::is_zero")]
    pub max_stale: GoDuration,
    /// The three fields above as `gateway.getambassador.io` groups them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_client_settings: Option<HttpClientSettings>,
    /// What a refused client is told. Default: JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_response: Option<ErrorResponse>,
}

impl Jwt {
    /// Returns every accepted audience, the single field first.
    pub fn all_audiences(&self) -> Vec<&str> {
        let single = (!self.audience.is_empty()).then_some(self.audience.as_str());
        single.into_iter().chain(self.audiences.iter().map(String::as_str)).collect()
    }

    /// Returns the client settings from whichever place holds them.
    pub fn client(&self) -> HttpClientSettings {
        let nested = self.http_client_settings.clone().unwrap_or_default();
        HttpClientSettings {
            insecure_tls: self.insecure_tls || nested.insecure_tls,
            renegotiate_tls: match self.renegotiate_tls.is_empty() {
                true => nested.renegotiate_tls,
                false => self.renegotiate_tls.clone(),
            },
            max_stale: self.max_stale.max(nested.max_stale),
        }
    }
}

/// How a URL of the filter is fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpClientSettings {
    /// Do not verify certificates. Default: false.
    #[serde(rename = "insecureTLS", deserialize_with = "nullable")]
    pub insecure_tls: bool,
    /// See [`Jwt::renegotiate_tls`].
    #[serde(rename = "renegotiateTLS", deserialize_with = "nullable")]
    pub renegotiate_tls: String,
    /// See [`Jwt::max_stale`].
    #[serde(deserialize_with = "nullable")]
    pub max_stale: GoDuration,
}

/// A header and the Go template of its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderTemplate {
    /// Header name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Go `text/template` over `.token` and `.httpRequestHeader`.
    #[serde(deserialize_with = "nullable")]
    pub value: String,
}

/// What a refused client is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ErrorResponse {
    /// Realm in `WWW-Authenticate`. Default: empty, read as
    /// `{name}.{namespace}` of the Filter.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub realm: String,
    /// Headers of the answer, at most 16. Default: `Content-Type:
    /// application/json`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderTemplate>,
    /// Go template of the body over `.status_code`, `.message`,
    /// `.request_id`, `.error`. Default: empty, read as `{{ . | json "" }}`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub body_template: String,
    /// Deprecated: the `Content-Type` header.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub content_type: String,
}
