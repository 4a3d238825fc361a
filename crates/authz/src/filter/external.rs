//! The External filter: a service of the user's own decides. This file says
//! what to send it and what its answer means; the sending is the shell's.

use std::time::Duration;

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, FROM, HeaderName, HeaderValue, LOCATION,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, USER_AGENT, WWW_AUTHENTICATE,
};
use http::{HeaderMap, StatusCode};
use nuncio_api::filter::{
    BodyLimit, Dialect, External, ExternalProtocol, FilterExt, StatusOnError, TlsField,
};

use super::error_response::{Refusal, json_body};
use super::{ConfigError, Verdict, is_credential};
use crate::{Denial, Mutations, Request};

/// An External filter.
#[derive(Debug, Clone)]
pub struct ExternalFilter {
    /// Where the service is and how it is spoken to.
    pub target: Target,
    dialect: Dialect,
    body: Option<BodyLimit>,
    on_error: StatusCode,
    allow_on_error: bool,
    path_prefix: String,
    sent: Vec<HeaderName>,
    returned: Vec<HeaderName>,
    linkerd: bool,
    injectable: Vec<HeaderName>,
}

/// Where a service is and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Whether it speaks ext_authz gRPC rather than plain HTTP.
    pub grpc: bool,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// `host:port`.
    pub authority: String,
    /// How long to wait.
    pub timeout: Duration,
    /// Authorities trusted, PEM; empty: the system's.
    pub authorities: Vec<u8>,
    /// Client certificate and key, PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// What is sent to the service.
#[derive(Debug, Clone)]
pub enum ExternalCall {
    /// The HTTP form.
    Http(Box<http::Request<Vec<u8>>>),
    /// The gRPC form: the request as it is now, its body cut to this.
    Grpc {
        /// The body to send.
        body: Vec<u8>,
        /// Whether it was cut.
        partial: bool,
    },
}

/// What the service said.
#[derive(Debug, Clone)]
pub enum ExternalAnswer {
    /// The HTTP form.
    Http(http::Response<Vec<u8>>),
    /// The gRPC form, translated.
    Grpc(Verdict),
}

/// Why there is no answer. The text is for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ExternalFailure(pub String);

/// How a call went, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExternalOutcome {
    /// Let through.
    Allowed,
    /// Denied.
    Denied,
    /// No answer, or one that means nothing.
    Error,
}

impl ExternalFilter {
    /// Builds the filter of a spec; certificates are those of its Secrets.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn new(
        spec: &External,
        ext: Option<&FilterExt>,
        dialect: Dialect,
        authorities: Vec<u8>,
        identity: Option<(Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, ConfigError> {
        let (https, authority) = address(&spec.auth_service)?;
        let tls = match &spec.tls {
            Some(TlsField::Switch(tls)) => *tls || https,
            Some(TlsField::Certificates(_)) => true,
            None => https || spec.tls_config.is_some(),
        };
        let authority = match port(&authority) {
            Some(_) => authority,
            None => format!("{authority}:{}", if tls { 443 } else { 80 }),
        };
        let grpc = spec.proto == ExternalProtocol::Grpc;
        if grpc && !matches!(spec.version(), "" | "v3") {
            return Err(ConfigError::new(
                "External.protocol_version",
                format!("ext_authz {} is not supported, only v3", spec.version()),
            ));
        }
        let on_error = spec.status_on_error.map_or(403, StatusOnError::code);
        let on_error = StatusCode::from_u16(on_error).ok().filter(|code| code.as_u16() >= 400);
        let http = spec.http();
        if !http.path_prefix.is_empty() && !http.path_prefix.starts_with('/') {
            return Err(ConfigError::new("External.path_prefix", "must start with a slash"));
        }
        let returned =
            names("External.allowed_authorization_headers", &http.allowed_authorization_headers)?;
        let declared = ext.map(|ext| ext.injectable_headers.as_slice()).unwrap_or_default();
        let mut injectable = names("ext.injectableHeaders", declared)?;
        injectable.extend(returned.iter().cloned());
        injectable.retain(|name| !is_credential(name));
        Ok(Self {
            target: Target { grpc, tls, authority, timeout: spec.wait(), authorities, identity },
            dialect,
            body: spec.body(),
            on_error: on_error.ok_or_else(|| {
                ConfigError::new("External.status_on_error", "must be a status from 400 to 599")
            })?,
            allow_on_error: spec.failure_mode_allow,
            path_prefix: http.path_prefix,
            sent: names("External.allowed_request_headers", &http.allowed_request_headers)?,
            returned,
            linkerd: http.add_linkerd_headers,
            injectable,
        })
    }

    /// Returns the headers that only the service may set.
    pub(crate) fn injectable(&self) -> &[HeaderName] {
        &self.injectable
    }

    /// Returns what to send for a request.
    ///
    /// # Errors
    /// A denial: the body is larger than the service takes, or the path cannot
    /// be sent.
    pub(crate) fn call(&self, request: &Request) -> Result<ExternalCall, Box<Verdict>> {
        let (body, partial) = self.body(request)?;
        if self.target.grpc {
            return Ok(ExternalCall::Grpc { body, partial });
        }
        let scheme = if self.target.tls { "https" } else { "http" };
        let path = request.path.split('#').next().unwrap_or("");
        let uri = format!("{scheme}://{}{}{path}", self.target.authority, self.path_prefix);
        let mut call =
            http::Request::builder().method(request.method.as_str()).uri(uri).body(body).map_err(
                |_| Box::new(self.refuse(request, StatusCode::BAD_REQUEST, "bad request")),
            )?;
        self.copy_headers(request, partial, &mut call);
        Ok(ExternalCall::Http(Box::new(call)))
    }

    fn copy_headers(&self, request: &Request, partial: bool, call: &mut http::Request<Vec<u8>>) {
        let length = HeaderValue::from(call.body().len());
        let headers = call.headers_mut();
        let always = ALWAYS_SENT.into_iter().chain(FORWARDED.map(HeaderName::from_static));
        for name in always.chain(self.sent.iter().cloned()) {
            // Framing is this connection's own.
            if HOP_BY_HOP.contains(&name.as_str()) || headers.contains_key(&name) {
                continue;
            }
            for value in request.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        if let Ok(host) = HeaderValue::from_str(request.host.authority()) {
            headers.insert(http::header::HOST, host);
        }
        headers.insert(CONTENT_LENGTH, length);
        if partial {
            let name = HeaderName::from_static("x-envoy-auth-partial-body");
            headers.insert(name, HeaderValue::from_static("true"));
        }
        if self.linkerd
            && let Ok(value) = HeaderValue::from_str(&self.target.authority)
        {
            headers.insert(HeaderName::from_static("l5d-dst-override"), value);
        }
    }

    fn body(&self, request: &Request) -> Result<(Vec<u8>, bool), Box<Verdict>> {
        let Some(limit) = &self.body else { return Ok((Vec::new(), false)) };
        let most = usize::try_from(limit.max_bytes).unwrap_or(usize::MAX);
        let too_long = request.body.len() > most || request.body_is_partial;
        if too_long && !limit.allow_partial {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(Box::new(self.refuse(request, status, "request body is too large")));
        }
        let end = request.body.len().min(most);
        Ok((request.body[..end].to_vec(), too_long))
    }

    /// Says what an answer, or the lack of one, means.
    pub(crate) fn settle(
        &self,
        request: &Request,
        answer: Result<ExternalAnswer, ExternalFailure>,
    ) -> (Verdict, ExternalOutcome) {
        let answer = match answer {
            Ok(ExternalAnswer::Http(response)) => self.http_answer(&response),
            Ok(ExternalAnswer::Grpc(verdict)) => match verdict {
                Verdict::Fail(_) => None,
                other => Some(other),
            },
            Err(_) => None,
        };
        match answer {
            Some(verdict @ Verdict::Continue(_)) => (verdict, ExternalOutcome::Allowed),
            Some(verdict) => (verdict, ExternalOutcome::Denied),
            None if self.allow_on_error => {
                (Verdict::Continue(Mutations::new()), ExternalOutcome::Error)
            }
            None => {
                let message = "the authorization service failed";
                (self.refuse(request, self.on_error, message), ExternalOutcome::Error)
            }
        }
    }

    /// Reads an HTTP answer: 200 allows, 5xx is a failure, any other status is
    /// the client's answer.
    fn http_answer(&self, response: &http::Response<Vec<u8>>) -> Option<Verdict> {
        let status = response.status();
        if status.is_server_error() || status.is_informational() {
            return None;
        }
        if status != StatusCode::OK {
            let mut denial = Denial::new(status);
            denial.headers = self.passed_on(response.headers(), true);
            denial.body.clone_from(response.body());
            return Some(Verdict::Respond(denial));
        }
        let mut changes = Mutations::new();
        for (name, value) in self.passed_on(response.headers(), false) {
            changes.set(name, value);
        }
        if let Some(names) = response.headers().get(REMOVE_HEADER).and_then(|v| v.to_str().ok()) {
            for name in names.split(',').filter_map(|name| name.trim().parse::<HeaderName>().ok()) {
                if name != http::header::HOST {
                    changes.remove(name);
                }
            }
        }
        for value in response.headers().get_all(SET_COOKIE) {
            changes.add_response(SET_COOKIE, value.clone());
        }
        Some(Verdict::Continue(changes))
    }

    /// Returns the headers of an answer that go on; towards the backend only
    /// those that mean something there.
    fn passed_on(&self, headers: &HeaderMap, to_client: bool) -> Vec<(HeaderName, HeaderValue)> {
        headers
            .iter()
            .filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()))
            .filter(|(name, _)| {
                let listed = self.returned.contains(name);
                let client_only = [LOCATION, SET_COOKIE, WWW_AUTHENTICATE, PROXY_AUTHENTICATE];
                match to_client {
                    true => {
                        listed
                            || **name == AUTHORIZATION
                            || **name == http::header::CONTENT_TYPE
                            || client_only.contains(name)
                    }
                    false => **name == AUTHORIZATION || listed && !client_only.contains(name),
                }
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn refuse(&self, request: &Request, status: StatusCode, message: &str) -> Verdict {
        let refusal = Refusal { status, message, request_id: &request.id, golang_bits: 0 };
        Verdict::Respond(Denial::new(status).json(json_body(self.dialect, &refusal)))
    }
}

/// Header in which an HTTP service lists request headers to remove.
pub const REMOVE_HEADER: &str = "x-envoy-auth-headers-to-remove";

const ALWAYS_SENT: [HeaderName; 5] = [AUTHORIZATION, COOKIE, FROM, PROXY_AUTHORIZATION, USER_AGENT];
const FORWARDED: [&str; 3] = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads `[scheme://]host[:port]`; says whether the scheme is `https`.
fn address(service: &str) -> Result<(bool, String), ConfigError> {
    let refuse = || {
        let message = format!("`{service}` is not [scheme://]host[:port]");
        ConfigError::new("External.auth_service", message)
    };
    let (https, rest) = match service.split_once("://") {
        None => (false, service),
        Some(("http" | "grpc", rest)) => (false, rest),
        Some(("https" | "grpcs", rest)) => (true, rest),
        Some(_) => return Err(refuse()),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let authority: http::uri::Authority = rest.parse().map_err(|_| refuse())?;
    if authority.host().is_empty() || rest.contains('@') {
        return Err(refuse());
    }
    Ok((https, rest.to_owned()))
}

fn port(authority: &str) -> Option<u16> {
    authority.parse::<http::uri::Authority>().ok()?.port_u16()
}

fn names(field: &str, names: &[String]) -> Result<Vec<HeaderName>, ConfigError> {
    names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            name.trim().parse().map_err(|_| {
                ConfigError::new(format!("{field}[{at}]"), format!("`{name}` is not a header name"))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
