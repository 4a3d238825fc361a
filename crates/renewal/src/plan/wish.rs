//! What one Host asks for.

use nuncio_api::{Object, Spec};
use serde::Deserialize;

use super::HostId;

/// A Host with ACME on, reduced to what a plan needs; texts as the user wrote
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The Host.
    pub host: HostId,
    /// RFC 3339 time of creation, which sorts as text; empty when unknown.
    pub created: String,
    /// `hostname`; `*` when absent.
    pub hostname: String,
    /// `acmeProvider.authority`; absent means Let's Encrypt.
    pub authority: Option<String>,
    /// `acmeProvider.email`.
    pub email: Option<String>,
    /// `acmeProvider.privateKeySecret.name`.
    pub account_secret: Option<String>,
    /// `acmeProvider.registration`, JSON text.
    pub registration: Option<String>,
    /// `tlsSecret.name`.
    pub secret: Option<String>,
    /// `tlsSecret.namespace`.
    pub secret_namespace: Option<String>,
    /// The Host carries the annotation [`ADOPT`].
    pub adopt: bool,
}

impl Wish {
    /// Reads what a Host of the gateway `id` asks for; `None` for other
    /// objects, Hosts of other gateways, and Hosts with ACME off, which is
    /// without `acmeProvider` or with the authority `none`.
    pub fn of(object: &Object, id: &str) -> Option<Self> {
        let Spec::Host(host) = &object.spec else { return None };
        let acme = host.acme_provider.as_ref()?;
        let off = acme.authority.as_deref().is_some_and(|a| a.trim().eq_ignore_ascii_case("none"));
        if off || !object.spec.is_for(id) {
            return None;
        }
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let secret = host.tls_secret.as_ref();
        Some(Self {
            host: HostId {
                namespace: object.meta.namespace.clone(),
                name: object.meta.name.clone(),
            },
            created: object.meta.creation_timestamp.clone(),
            hostname: host.hostname.clone().unwrap_or_else(|| "*".to_owned()),
            authority: acme.authority.clone(),
            email: acme.email.clone(),
            account_secret: acme.private_key_secret.as_ref().and_then(|to| named(&to.name)),
            registration: acme.registration.clone(),
            secret: secret.and_then(|to| named(&to.name)),
            secret_namespace: secret.and_then(|to| to.namespace.as_deref().and_then(named)),
            adopt: object.meta.annotations.get(ADOPT).is_some_and(|value| value == "true"),
        })
    }

    /// Returns the directory URL: https only, for an order says which names
    /// are about to exist, and its answer decides which key serves them.
    pub(super) fn directory(&self) -> Result<String, String> {
        let authority = self.authority.as_deref().map_or(LETS_ENCRYPT, str::trim);
        let authority = if authority.is_empty() { LETS_ENCRYPT } else { authority };
        let rest = authority.strip_prefix("https://").unwrap_or_default();
        if rest.is_empty()
            || rest.starts_with('/')
            || !authority.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let shown: String = authority.chars().take(200).collect();
            return Err(format!(
                "acmeProvider.authority `{shown}` is not an https URL of an ACME directory"
            ));
        }
        Ok(authority.to_owned())
    }

    /// Returns the account URL of `registration`; a text that cannot be read
    /// is as good as none, for the key alone finds the account again.
    pub(super) fn account_url(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Registration {
            uri: String,
        }
        let text = self.registration.as_deref()?;
        let registration: Registration = serde_json::from_str(text).ok()?;
        registration.uri.starts_with("https://").then_some(registration.uri)
    }
}

/// The directory of Let's Encrypt, used when a Host names none.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Annotation of a Host whose pair may replace one that somebody else made.
pub const ADOPT: &str = "certificates.nuncio.dev/adopt";
