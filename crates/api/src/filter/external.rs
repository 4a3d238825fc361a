//! The External type of a Filter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fields::{GoDuration, nullable};

/// A service of the user's own that decides over ext_authz gRPC or HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct External {
    /// The service. Shape: `[scheme://]host[:port]`, scheme `http` when
    /// absent.
    #[serde(
        alias = "authServiceURL",
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub auth_service: String,
    /// Speak TLS. Default: true when the scheme is `https`. In
    /// `gateway.getambassador.io` the same key holds what `tlsConfig` holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsField>,
    /// Certificates of the TLS connection. Default: system roots, no client
    /// certificate.
    #[serde(rename = "tlsConfig", skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<ExternalTls>,
    /// Protocol. Default: `http`.
    #[serde(alias = "protocol", deserialize_with = "nullable")]
    pub proto: ExternalProtocol,
    /// How long to wait. Unit: milliseconds. Default: 5000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The same as a duration, in `gateway.getambassador.io`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "GoDuration::is_zero")]
    pub timeout: GoDuration,
    /// Send the request's body. Default: none.
    #[serde(alias = "includeBody", skip_serializing_if = "Option::is_none")]
    pub include_body: Option<BodyLimit>,
    /// Old spelling: send at most 4096 bytes, cutting the rest. Default:
    /// false.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub allow_request_body: bool,
    /// Answer when the service fails. Default: 403.
    #[serde(alias = "statusOnError", skip_serializing_if = "Option::is_none")]
    pub status_on_error: Option<StatusOnError>,
    /// Let requests through when the service fails. Default: false.
    #[serde(
        alias = "failureModeAllow",
        deserialize_with = "nullable",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub failure_mode_allow: bool,
    /// ext_authz version of gRPC: `v3`; empty is read as `v3` and reported.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub protocol_version: String,
    /// HTTP only: put before the path of the request to the service.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
    /// HTTP only: request headers sent, beside those always sent.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub allowed_request_headers: Vec<String>,
    /// HTTP only: answer headers passed on, beside those always passed on.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub allowed_authorization_headers: Vec<String>,
    /// HTTP only: send `l5d-dst-override: host:port`. Default: false.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub add_linkerd_headers: bool,
    /// The HTTP fields as `gateway.getambassador.io` groups them.
    #[serde(rename = "httpSettings", skip_serializing_if = "Option::is_none")]
    pub http_settings: Option<HttpSettings>,
    /// The gRPC fields as `gateway.getambassador.io` groups them.
    #[serde(rename = "grpcSettings", skip_serializing_if = "Option::is_none")]
    pub grpc_settings: Option<GrpcSettings>,
}

/// `tls` of either group: a switch, or certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TlsField {
    /// `getambassador.io`.
    Switch(bool),
    /// `gateway.getambassador.io`.
    Certificates(ExternalTls),
}

/// Protocol of the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExternalProtocol {
    /// Plain HTTP: the request without its body, 200 allows.
    #[default]
    #[serde(alias = "")]
    Http,
    /// `envoy.service.auth.v3.Authorization/Check`.
    Grpc,
}

/// Certificates of the connection to the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExternalTls {
    /// Client certificate: a `kubernetes.io/tls` Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<SecretSource>,
    /// Authorities trusted: key `tls.crt` of an Opaque Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<SecretSource>,
}

/// Where a certificate is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretSource {
    /// Only `Secret`; empty is read as it.
    #[serde(
        rename = "type",
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub source_type: String,
    /// The Secret.
    #[serde(alias = "secret", skip_serializing_if = "Option::is_none")]
    pub from_secret: Option<TlsSecret>,
}

/// A Secret by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsSecret {
    /// Name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Namespace. Default: empty, read as the Filter's own.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// How much of the body is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BodyLimit {
    /// Unit: bytes. Default: 4096.
    #[serde(alias = "maxBytes")]
    pub max_bytes: u64,
    /// Cut a longer body; otherwise it is answered 413. Default: true.
    #[serde(alias = "allowPartial")]
    pub allow_partial: bool,
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self { max_bytes: 4096, allow_partial: true }
    }
}

/// `{code: 503}`, or the bare number in `gateway.getambassador.io`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StatusOnError {
    /// `getambassador.io`.
    Object {
        /// HTTP status.
        code: u16,
    },
    /// `gateway.getambassador.io`.
    Number(u16),
}

impl StatusOnError {
    /// Returns the HTTP status.
    pub const fn code(self) -> u16 {
        match self {
            Self::Object { code } | Self::Number(code) => code,
        }
    }
}

/// HTTP fields in `gateway.getambassador.io`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpSettings {
    /// See [`External::path_prefix`].
    #[serde(deserialize_with = "nullable")]
    pub path_prefix: String,
    /// See [`External::allowed_request_headers`].
    #[serde(deserialize_with = "nullable")]
    pub allowed_request_headers: Vec<String>,
    /// See [`External::allowed_authorization_headers`].
    #[serde(deserialize_with = "nullable")]
    pub allowed_authorization_headers: Vec<String>,
    /// See [`External::add_linkerd_headers`].
    #[serde(deserialize_with = "nullable")]
    pub add_linkerd_headers: bool,
}

/// gRPC fields in `gateway.getambassador.io`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcSettings {
    /// See [`External::protocol_version`].
    #[serde(deserialize_with = "nullable")]
    pub protocol_version: String,
}

impl External {
    /// Returns how long to wait for the service.
    pub fn wait(&self) -> Duration {
        match self.timeout_ms {
            Some(ms) if ms > 0 => Duration::from_millis(ms),
            _ if !self.timeout.is_zero() => self.timeout.0,
            _ => DEFAULT_TIMEOUT,
        }
    }

    /// Returns how much body is sent; `None` for none.
    pub fn body(&self) -> Option<BodyLimit> {
        match &self.include_body {
            Some(limit) => Some(limit.clone()),
            None => self.allow_request_body.then(BodyLimit::default),
        }
    }

    /// Returns the HTTP fields, whichever place holds them.
    pub fn http(&self) -> HttpSettings {
        let mut settings = self.http_settings.clone().unwrap_or_default();
        if !self.path_prefix.is_empty() {
            settings.path_prefix.clone_from(&self.path_prefix);
        }
        settings.allowed_request_headers.extend_from_slice(&self.allowed_request_headers);
        settings
            .allowed_authorization_headers
            .extend_from_slice(&self.allowed_authorization_headers);
        settings.add_linkerd_headers |= self.add_linkerd_headers;
        settings
    }

    /// Returns the certificates, whichever key holds them.
    pub fn certificates(&self) -> Option<&ExternalTls> {
        match (&self.tls_config, &self.tls) {
            (Some(tls), _) | (None, Some(TlsField::Certificates(tls))) => Some(tls),
            _ => None,
        }
    }

    /// Returns the ext_authz version as written.
    pub fn version(&self) -> &str {
        match &self.grpc_settings {
            Some(settings) if self.protocol_version.is_empty() => &settings.protocol_version,
            _ => &self.protocol_version,
        }
    }

    /// Returns the Secrets it names as (namespace, name).
    pub fn secrets(&self, namespace: &str) -> Vec<(String, String)> {
        let Some(tls) = self.certificates() else { return Vec::new() };
        [&tls.certificate, &tls.ca_certificate]
            .into_iter()
            .flatten()
            .filter_map(|source| source.from_secret.as_ref())
            .filter(|secret| !secret.name.is_empty())
            .map(|secret| {
                let own = secret.namespace.is_empty();
                let namespace = if own { namespace } else { &secret.namespace };
                (namespace.to_owned(), secret.name.clone())
            })
            .collect()
    }
}

/// Source: Edge Stack, below Envoy's own 5 s.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
