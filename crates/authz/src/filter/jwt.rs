//! The JWT filter: a bearer token, its signature, its claims, and headers made
//! of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use nuncio_api::filter::{Dialect, FilterExt, Jwt};
use serde_json::Value;

use super::claims::{self, ClaimRules};
use super::error_response::{ErrorAnswer, Refusal};
use super::jwks::{KeyOrigin, KeySet};
use super::token::{Algorithm, Token};
use super::{ConfigError, FilterError, FilterName, Verdict, header_name};
use crate::template::{Field, Functions, Item, Rendered, Template};
use crate::token_cache::TokenCache;
use crate::{Mutations, Request};

/// A JWT filter.
#[derive(Debug)]
pub struct JwtFilter {
    algorithms: BTreeSet<Algorithm>,
    keys: Keys,
    rules: ClaimRules,
    headers: Vec<(HeaderName, Template)>,
    answer: ErrorAnswer,
    verified: TokenCache,
}

/// Where the keys of a filter are.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Only unsigned tokens are accepted.
    None,
    /// Part of the Filter.
    Local(Arc<KeySet>),
    /// To be fetched.
    Remote(Arc<KeySource>),
}

/// A key set to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySource {
    /// URL, `http` or `https`.
    pub url: String,
    /// Whether the certificate is taken as it is.
    pub insecure_tls: bool,
    /// Least time to keep it, whatever its cache headers say.
    pub max_stale: Duration,
}

/// What looking at a request gave.
#[derive(Debug)]
pub(crate) enum Outcome {
    Verdict(Verdict),
    /// Keys are needed; `missing` names one that the set at hand lacks.
    NeedKeys {
        source: Arc<KeySource>,
        missing: Option<String>,
    },
}

/// Keys as far as they are known.
#[derive(Debug)]
pub(crate) enum KnownKeys<'a> {
    /// Nobody looked yet.
    Unknown,
    /// The set, and whether it was fetched anew for this request's key.
    Set { keys: &'a KeySet, renewed: bool },
}

impl JwtFilter {
    /// Builds the filter of a spec.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn new(
        name: &FilterName,
        jwt: &Jwt,
        ext: Option<&FilterExt>,
        dialect: Dialect,
    ) -> Result<Self, ConfigError> {
        let algorithms = algorithms(jwt)?;
        let keys = keys(jwt, ext, &algorithms)?;
        let mut headers = Vec::new();
        for (at, header) in jwt.inject_request_headers.iter().enumerate() {
            let field = format!("JWT.injectRequestHeaders[{at}]");
            let template = Template::parse(&header.value, Functions::Headers)
                .map_err(|error| ConfigError::new(format!("{field}.value"), error.to_string()))?;
            headers.push((header_name(&field, &header.name)?, template));
        }
        Ok(Self {
            algorithms,
            keys,
            rules: ClaimRules::new(jwt),
            headers,
            answer: ErrorAnswer::new(jwt.error_response.as_ref(), dialect, &name.to_string())?,
            verified: TokenCache::default(),
        })
    }

    /// Returns where the keys are.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn injectable(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|(name, _)| name)
    }

    /// Looks at a request.
    pub(crate) fn judge(
        &self,
        request: &Request,
        known: &KnownKeys<'_>,
        scopes: &[String],
        now: Duration,
    ) -> Outcome {
        let bearer = match bearer(request) {
            Ok(bearer) => bearer,
            Err(refusal) => return Outcome::Verdict(self.refuse(request, &refusal)),
        };
        let (keys, renewed) = match (&self.keys, known) {
            (Keys::None, _) => (None, true),
            (Keys::Local(keys), _) => (Some(&**keys), true),
            (Keys::Remote(_), KnownKeys::Set { keys, renewed }) => (Some(*keys), *renewed),
            (Keys::Remote(source), KnownKeys::Unknown) => {
                // A token that no key could save costs no fetch.
                return match self.readable(bearer) {
                    Ok(_) => Outcome::NeedKeys { source: Arc::clone(source), missing: None },
                    Err(message) => {
                        Outcome::Verdict(self.refuse(request, &Reason::invalid(&message, 1)))
                    }
                };
            }
        };
        let token = match self.genuine(bearer, keys) {
            Ok(token) => token,
            Err(Doubt::UnknownKey(id)) => {
                if let (Keys::Remote(source), false) = (&self.keys, renewed) {
                    let source = Arc::clone(source);
                    return Outcome::NeedKeys { source, missing: Some(id) };
                }
                let reason = Reason::invalid("token is signed by an unknown key", 2);
                return Outcome::Verdict(self.refuse(request, &reason));
            }
            Err(Doubt::Invalid(message, bit)) => {
                return Outcome::Verdict(self.refuse(request, &Reason::invalid(&message, bit)));
            }
        };
        Outcome::Verdict(self.accept(request, &token, scopes, now))
    }

    fn accept(
        &self,
        request: &Request,
        token: &Token,
        scopes: &[String],
        now: Duration,
    ) -> Verdict {
        if let Err(error) = self.rules.check(&token.claims, now) {
            let reason = Reason::invalid(&error.to_string(), error.golang_bit());
            return self.refuse(request, &reason);
        }
        let granted = claims::scopes(&token.claims);
        if let Some(missing) = scopes.iter().find(|scope| !granted.contains(&scope.as_str())) {
            return self.refuse(
                request,
                &Reason {
                    status: StatusCode::FORBIDDEN,
                    error: "insufficient_scope",
                    message: format!("token lacks the scope {missing}"),
                    scope: scopes.join(" "),
                    bits: 0,
                },
            );
        }
        match self.render(request, token) {
            Ok(changes) => Verdict::Continue(changes),
            Err(error) => Verdict::Fail(error),
        }
    }

    fn readable(&self, bearer: &str) -> Result<Token, String> {
        let token = Token::parse(bearer).map_err(|error| error.to_string())?;
        match self.algorithms.contains(&token.algorithm) {
            true => Ok(token),
            false => Err("token is signed by an algorithm that is not accepted".to_owned()),
        }
    }

    /// Verifies the signature, or remembers having done so.
    fn genuine(&self, bearer: &str, keys: Option<&KeySet>) -> Result<Arc<Token>, Doubt> {
        let digest = TokenCache::digest(bearer);
        if let Some(keys) = keys
            && let Some(token) = self.verified.find(&digest, keys.version())
        {
            return Ok(token);
        }
        let token = self.readable(bearer).map_err(|message| Doubt::Invalid(message, 1))?;
        let Some(keys) = keys else {
            // Only `none` is in the list, so the token is unsigned by its own
            // word; a signature would be one that nobody checks.
            return match token.signature().is_empty() {
                true => Ok(Arc::new(token)),
                false => Err(Doubt::Invalid("token has a signature".to_owned(), 4)),
            };
        };
        if let Some(id) = token.key_id()
            && !keys.has(id)
        {
            return Err(Doubt::UnknownKey(id.to_owned()));
        }
        let message = token.message().as_bytes();
        if !keys.verify(token.key_id(), token.algorithm, message, token.signature()) {
            return Err(Doubt::Invalid("token signature is invalid".to_owned(), 4));
        }
        let token = Arc::new(token);
        self.verified.insert(digest, *keys.version(), Arc::clone(&token));
        Ok(token)
    }

    fn render(&self, request: &Request, token: &Token) -> Result<Mutations, FilterError> {
        let mut changes = Mutations::new();
        if self.headers.is_empty() {
            return Ok(changes);
        }
        let field = |name, item| Field { name, shown: true, item };
        let data = Item::fields(vec![
            field(
                "token",
                Item::fields(vec![
                    field("Raw", Item::Text(token.raw.as_str().into())),
                    field("Header", Item::Json(&token.header)),
                    field("Claims", Item::Json(&token.claims)),
                    field("Signature", Item::Text(token.signature().into())),
                ]),
            ),
            field("httpRequestHeader", Item::Headers(&request.headers)),
        ]);
        for (name, template) in &self.headers {
            let rendered = template
                .render(&data)
                .map_err(|error| FilterError::new(format!("header {name}: {error}")))?;
            if let Rendered::Text(text) = rendered {
                let value = HeaderValue::from_str(text.trim())
                    .map_err(|_| FilterError::new(format!("{name} is no header value")))?;
                changes.set(name.clone(), value);
            }
        }
        Ok(changes)
    }

    fn refuse(&self, request: &Request, reason: &Reason) -> Verdict {
        let refusal = Refusal {
            status: reason.status,
            message: &reason.message,
            request_id: &request.id,
            golang_bits: reason.bits,
        };
        match (self.answer.denial(&refusal), challenge(self.answer.realm(), reason)) {
            (Ok(mut denial), Some(challenge)) => {
                if !denial.headers.iter().any(|(name, _)| *name == WWW_AUTHENTICATE) {
                    denial.headers.push((WWW_AUTHENTICATE, challenge));
                }
                Verdict::Respond(denial)
            }
            (Ok(denial), None) => Verdict::Respond(denial),
            (Err(error), _) => Verdict::Fail(error),
        }
    }
}

enum Doubt {
    UnknownKey(String),
    Invalid(String, i64),
}

struct Reason {
    status: StatusCode,
    /// RFC 6750 §3.1; empty when no token was sent.
    error: &'static str,
    message: String,
    scope: String,
    /// golang-jwt's bits.
    bits: i64,
}

impl Reason {
    fn invalid(message: &str, bits: i64) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_token",
            message: format!("Token validation error: {message}"),
            scope: String::new(),
            bits,
        }
    }

    fn new(status: StatusCode, error: &'static str, message: &str) -> Self {
        Self { status, error, message: message.to_owned(), scope: String::new(), bits: 0 }
    }
}

/// Takes the bearer token of `Authorization`, its only place.
fn bearer(request: &Request) -> Result<&str, Reason> {
    let mut values = request.headers.get_all(AUTHORIZATION).iter();
    let none = || Reason::new(StatusCode::UNAUTHORIZED, "", "no Bearer token");
    let bad = |message| Reason::new(StatusCode::BAD_REQUEST, "invalid_request", message);
    let value = values.next().ok_or_else(none)?;
    if values.next().is_some() {
        return Err(bad("more than one Authorization header"));
    }
    let text = value.to_str().map_err(|_| bad("malformed Authorization header"))?.trim();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(none());
    }
    let token = token.trim();
    // RFC 6750 §2.1, b64token.
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if token.is_empty() || !token.bytes().all(fits) {
        return Err(bad("malformed Bearer token"));
    }
    Ok(token)
}

/// Source: RFC 6750 §3.
fn challenge(realm: &str, reason: &Reason) -> Option<HeaderValue> {
    if reason.status.is_server_error() {
        return None;
    }
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!("Bearer realm=\"{}\"", quote(realm));
    for (name, value) in [
        ("error", reason.error),
        ("error_description", if reason.error.is_empty() { "" } else { &reason.message }),
        ("scope", &reason.scope),
    ] {
        if !value.is_empty() {
            text.push_str(&format!(", {name}=\"{}\"", quote(value)));
        }
    }
    HeaderValue::from_str(&text).ok()
}

fn algorithms(jwt: &Jwt) -> Result<BTreeSet<Algorithm>, ConfigError> {
    use Algorithm::{
        EdDsa, Es256, Es384, Es512, Hs256, Hs384, Hs512, None, Ps256, Ps384, Ps512, Rs256, Rs384,
        Rs512,
    };
    let mut algorithms = BTreeSet::new();
    for (at, name) in jwt.valid_algorithms.iter().enumerate() {
        let field = format!("JWT.validAlgorithms[{at}]");
        let algorithm = Algorithm::named(name)
            .ok_or_else(|| ConfigError::new(field, format!("algorithm `{name}` is not known")))?;
        algorithms.insert(algorithm);
    }
    if algorithms.contains(&None) && algorithms.len() > 1 {
        return Err(ConfigError::new(
            "JWT.validAlgorithms",
            "`none` cannot stand beside other algorithms",
        ));
    }
    if algorithms.is_empty() {
        algorithms.extend([
            Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, Es512, EdDsa, Hs256, Hs384,
            Hs512,
        ]);
    }
    Ok(algorithms)
}

fn keys(
    jwt: &Jwt,
    ext: Option<&FilterExt>,
    algorithms: &BTreeSet<Algorithm>,
) -> Result<Keys, ConfigError> {
    if algorithms.contains(&Algorithm::None) {
        return Ok(Keys::None);
    }
    if let Some(inline) = ext.and_then(|ext| ext.jwks.as_ref()) {
        let bytes = match inline {
            Value::String(text) => text.clone().into_bytes(),
            other => other.to_string().into_bytes(),
        };
        let keys = KeySet::parse(&bytes, KeyOrigin::Local)
            .map_err(|error| ConfigError::new("ext.jwks", error.to_string()))?;
        return Ok(Keys::Local(Arc::new(keys)));
    }
    let client = jwt.client();
    if jwt.jwks_uri.is_empty() {
        return Err(ConfigError::new(
            "JWT.jwksURI",
            "is required unless `none` is the only algorithm or ext.jwks holds the keys",
        ));
    }
    let usable = jwt.jwks_uri.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if !usable {
        let message = format!("`{}` is not an http or https URL", jwt.jwks_uri);
        return Err(ConfigError::new("JWT.jwksURI", message));
    }
    Ok(Keys::Remote(Arc::new(KeySource {
        url: jwt.jwks_uri.clone(),
        insecure_tls: client.insecure_tls,
        max_stale: client.max_stale.0,
    })))
}

#[cfg(test)]
mod tests;
