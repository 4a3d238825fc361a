//! Names: what a certificate is for, and how AES calls the Secrets it makes.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A name a certificate can carry: an exact DNS name or an address.
///
/// Shape: lower-case ASCII without trailing dot, at most 253 bytes, labels of
/// 1 to 63 bytes; or the canonical text of an IPv4 or IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a Host's hostname cannot be in an ACME order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// `*`, or no hostname at all.
    #[error("hostname `*` matches every name, and no certificate can be issued for all names")]
    Everything,
    /// `*.example.com`.
    #[error("hostname `{0}` is a wildcard, which needs DNS-01; only HTTP-01 is supported yet")]
    Wildcard(String),
    /// `example.*` and other globs.
    #[error("hostname `{0}` is a pattern, and no certificate can be issued for it")]
    Pattern(String),
    /// Neither a DNS name nor an address.
    #[error("hostname `{0}` is not a DNS name or address (write other scripts as `xn--`)")]
    Malformed(String),
}

impl Name {
    /// Parses a Host's `hostname`; a `:port` suffix is dropped, as Emissary
    /// does for SNI.
    ///
    /// # Errors
    /// Says why no certificate can be ordered for it.
    pub fn parse(hostname: &str) -> Result<Self, NameFault> {
        let text = hostname.trim();
        if let Some(address) = address(text) {
            return Ok(Self(address.to_string()));
        }
        let bare = match text.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => text,
        };
        let lower = bare.trim_end_matches('.').to_ascii_lowercase();
        match lower.as_str() {
            "" | "*" => Err(NameFault::Everything),
            glob if glob.starts_with("*.") && !glob[2..].contains('*') => {
                Err(NameFault::Wildcard(lower))
            }
            glob if glob.contains('*') => Err(NameFault::Pattern(lower)),
            name if is_dns_name(name) => Ok(Self(lower)),
            _ => Err(NameFault::Malformed(shorten(bare, 253))),
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the address, if this is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

impl TryFrom<String> for Name {
    type Error = NameFault;

    fn try_from(text: String) -> Result<Self, NameFault> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the name of the Secret that holds an account key.
///
/// Shape: `enc(authority)`, then `--enc(email)` when an email is set; a name
/// longer than Kubernetes allows is cut and ends in ten hexadecimal digits of
/// its SHA-256. Source: what Ambassador Edge Stack creates, so that either
/// product finds the other's key.
pub fn account_secret(authority: &str, email: Option<&str>) -> String {
    let mut name = enc(authority);
    if let Some(email) = email {
        name.push_str("--");
        name.push_str(&enc(email));
    }
    bounded(&name)
}

/// Returns a Secret's name for a hostname: the `tlsSecret` that AES assumes
/// when a Host with ACME names none.
pub fn tls_secret(hostname: &Name) -> String {
    nuncio_api::default_tls_secret(hostname.as_str())
}

/// Turns every byte outside `[a-z0-9.]` into `-` and two hexadecimal digits.
fn enc(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("-{byte:02x}"));
        }
    }
    out
}

/// Cuts an ASCII name to what Kubernetes accepts, keeping it unique.
fn bounded(name: &str) -> String {
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    let digest = Sha256::digest(name.as_bytes());
    let tail: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    let head = name[..MAX_NAME - 11].trim_end_matches(['-', '.']);
    format!("{head}-{tail}")
}

fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match inner {
        Some((address, port)) if port.is_empty() || port.starts_with(':') => address.parse().ok(),
        Some(_) => None,
        None => text.parse().ok().or_else(|| {
            let (address, port) = text.rsplit_once(':')?;
            port.parse::<u16>().ok()?;
            address.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4)
        }),
    }
}

fn is_dns_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| {
                    byte.is_ascii_lowercase()
                        || byte.is_ascii_digit()
                        || matches!(byte, b'-' | b'_')
                })
        })
}

fn shorten(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

/// Longest DNS name, and longest name of a Kubernetes object. Unit: bytes.
const MAX_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn account_secrets_are_named_as_edge_stack_names_them() {
        assert_eq!(
            account_secret("https://acme-v02.api.letsencrypt.org/directory", Some("a@b.com")),
            "https-3a-2f-2facme-2dv02.api.letsencrypt.org-2fdirectory--a-40b.com"
        );
        assert_eq!(account_secret("https://ca/dir", None), "https-3a-2f-2fca-2fdir");
        assert_eq!(account_secret("A", None), "-41");
    }

    #[test]
    fn ports_case_and_trailing_dots_are_dropped() {
        for (text, name) in [
            ("WWW.Example.com:8443", "www.example.com"),
            ("example.com.", "example.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:443", "10.0.0.1"),
            ("[::1]:443", "::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(Name::parse(text).unwrap().as_str(), name, "{text}");
        }
    }

    #[test]
    fn names_without_a_certificate_are_refused_with_their_reason() {
        assert_eq!(Name::parse("*"), Err(NameFault::Everything));
        assert_eq!(Name::parse(""), Err(NameFault::Everything));
        assert_eq!(Name::parse("*:8443"), Err(NameFault::Everything));
        assert!(matches!(Name::parse("*.example.com"), Err(NameFault::Wildcard(_))));
        assert!(matches!(Name::parse("example.*"), Err(NameFault::Pattern(_))));
        assert!(matches!(Name::parse("*.a.*"), Err(NameFault::Pattern(_))));
        for bad in ["a..b", "-a.com", "exämple.com", "a b", &"a".repeat(300)] {
            assert!(matches!(Name::parse(bad), Err(NameFault::Malformed(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn secret_names_are_always_short_enough(authority in ".{0,300}", email in ".{0,100}") {
            prop_assert!(account_secret(&authority, Some(&email)).len() <= 253);
        }

        #[test]
        fn different_accounts_have_different_secrets(a in "[ -~]{0,300}", b in "[ -~]{0,300}") {
            prop_assume!(a != b);
            prop_assert_ne!(account_secret(&a, None), account_secret(&b, None));
        }

        #[test]
        fn a_parsed_name_parses_to_itself(text in "\\PC{0,80}") {
            if let Ok(name) = Name::parse(&text) {
                prop_assert_eq!(Name::parse(name.as_str()).unwrap(), name);
            }
        }
    }
}
