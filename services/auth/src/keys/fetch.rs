//! One fetch of a key set.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nuncio_authz::filter::jwks::{KeyOrigin, KeySet, KeySetError, MAX_BYTES};
use nuncio_authz::filter::jwt::KeySource;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CACHE_CONTROL;
use reqwest::redirect::{Attempt, Policy};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Lifetime of keys whose server names none.
const UNSAID: Duration = Duration::from_secs(300);
const MAX_REDIRECTS: usize = 3;

/// Fetches key sets.
pub(super) struct Fetcher {
    verifying: reqwest::Client,
    trusting: reqwest::Client,
}

/// A fetched key set.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// How long it may be used without asking again.
    pub(super) lifetime: Duration,
}

/// Why a key set could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the address may not be asked")]
    Forbidden,
    #[error("the request failed")]
    Request(#[source] reqwest::Error),
    #[error("the server answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the answer cannot be used")]
    Keys(#[source] KeySetError),
    #[error("the answer holds no key that can verify a token")]
    NoKeys,
}

impl Fetcher {
    pub(super) fn new() -> anyhow::Result<Self> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent("nuncio-auth")
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(TIMEOUT)
                .redirect(Policy::custom(same_host))
                .dns_resolver(std::sync::Arc::new(Guarded))
        };
        Ok(Self {
            verifying: builder().build()?,
            trusting: builder().tls_danger_accept_invalid_certs(true).build()?,
        })
    }

    pub(super) async fn fetch(&self, source: &KeySource) -> Result<Fetched, FetchError> {
        let literal = reqwest::Url::parse(&source.url).ok().and_then(|url| literal(&url));
        if literal.is_some_and(is_metadata) {
            return Err(FetchError::Forbidden);
        }
        let client = if source.insecure_tls { &self.trusting } else { &self.verifying };
        let mut response = client.get(&source.url).send().await.map_err(FetchError::Request)?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status()));
        }
        let said = response.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let lifetime = lifetime(said).max(source.max_stale).min(LONGEST);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(FetchError::Request)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BYTES {
                return Err(FetchError::Keys(KeySetError::Size));
            }
        }
        let keys = KeySet::parse(&body, KeyOrigin::Remote).map_err(FetchError::Keys)?;
        match keys.is_empty() {
            true => Err(FetchError::NoKeys),
            false => Ok(Fetched { keys, lifetime }),
        }
    }
}

fn same_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let first = attempt.previous().first();
    let same = first.is_some_and(|first| {
        first.host() == attempt.url().host() && first.scheme() == attempt.url().scheme()
    });
    match same && attempt.previous().len() <= MAX_REDIRECTS {
        true => attempt.follow(),
        false => attempt.stop(),
    }
}

fn literal(url: &reqwest::Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Link-local addresses, among them the metadata services of clouds, hold
/// secrets of the machine and never a key set.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            let aws = [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254];
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.segments() == aws
                || v6.to_ipv4_mapped().is_some_and(|v4| is_metadata(IpAddr::V4(v4)))
        }
    }
}

/// The system's resolver without the addresses that may not be asked.
struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| !is_metadata(address.ip())).collect();
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Reads how long an answer may be kept, within bounds.
fn lifetime(cache_control: Option<&str>) -> Duration {
    let Some(text) = cache_control else { return UNSAID };
    let mut age = None;
    for directive in text.split(',').map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return SHORTEST,
            "max-age" => age = value.trim_matches('"').parse().ok(),
            _ => {}
        }
    }
    age.map_or(UNSAID, Duration::from_secs).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_follow_cache_headers_within_bounds() {
        for (header, seconds) in [
            (None, 300),
            (Some("max-age=600"), 600),
            (Some("public, Max-Age=\"120\""), 120),
            (Some("max-age=1"), 60),
            (Some("max-age=9999999"), 86_400),
            (Some("max-age=x"), 300),
            (Some("no-store, max-age=600"), 60),
        ] {
            assert_eq!(lifetime(header).as_secs(), seconds, "{header:?}");
        }
    }

    #[test]
    fn metadata_addresses_are_not_asked() {
        for text in
            ["169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254", "0.0.0.0"]
        {
            assert!(is_metadata(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1", "10.0.0.1", "::1", "192.0.2.1"] {
            assert!(!is_metadata(text.parse().unwrap()), "{text}");
        }
    }
}
