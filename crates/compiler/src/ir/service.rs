//! The `service` string of Mappings and plug-in services.

use std::borrow::Cow;

/// Scheme of a service string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What is wrong with a service string; the rest of it is still used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("found invalid port for service `{service}`: `{port}` is not a number up to 65535")]
    Port { service: String, port: String },
    #[error("service `{0}` names no host")]
    NoHost(String),
    #[error("service `{0}` has an unknown scheme `{1}`")]
    Scheme(String, String),
    #[error("service `{0}` holds characters that no host name has")]
    Host(String),
}

/// A service string taken apart: `[scheme://]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    pub(crate) scheme: Option<Scheme>,
    /// Lower-case, without brackets.
    pub(crate) host: String,
    /// Unset when absent, 0 or unusable.
    pub(crate) port: Option<u16>,
}

impl Service {
    /// Parses a service string. Everything after the authority is dropped; on
    /// a fault the usable rest is returned.
    pub(crate) fn parse(text: &str) -> (Self, Option<Fault>) {
        let mut fault = None;
        let trimmed = text.trim();
        let (scheme, rest) = match trimmed.split_once("://") {
            Some((name, rest)) if name.eq_ignore_ascii_case("http") => (Some(Scheme::Http), rest),
            Some((name, rest)) if name.eq_ignore_ascii_case("https") => (Some(Scheme::Https), rest),
            Some((name, rest)) => {
                fault = Some(Fault::Scheme(text.to_owned(), name.to_owned()));
                (None, rest)
            }
            None => (None, trimmed.strip_prefix("//").unwrap_or(trimmed)),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = &rest[..end];
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = split_port(authority);
        let port = match port {
            None | Some("") => None,
            Some(digits) => match digits.parse::<u16>() {
                Ok(0) => None,
                Ok(port) => Some(port),
                Err(_) => {
                    fault = Some(Fault::Port { service: text.to_owned(), port: digits.to_owned() });
                    None
                }
            },
        };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let host = if host.is_empty() {
            fault = Some(Fault::NoHost(text.to_owned()));
            "unknown".to_owned()
        } else if host.bytes().all(is_host_byte) {
            host.to_ascii_lowercase()
        } else {
            fault = Some(Fault::Host(text.to_owned()));
            "unknown".to_owned()
        };
        (Self { scheme, host, port }, fault)
    }

    /// Returns whether the host is an IP address.
    pub(crate) fn is_ip(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok()
    }

    /// Appends the namespace where Emissary does: other namespace than the
    /// gateway's, and a host that is neither qualified nor local.
    pub(crate) fn qualify(&mut self, namespace: &str, own_namespace: &str) {
        let bare = !self.host.contains(['.', ':']) && self.host != "localhost";
        if bare && namespace != own_namespace {
            self.host = format!("{}.{namespace}", self.host);
        }
    }

    /// Returns the port, 443 with TLS and 80 without where none is given.
    pub(crate) fn port_or_default(&self, tls: bool) -> u16 {
        self.port.unwrap_or(if tls { 443 } else { 80 })
    }

    /// Returns the text that goes into cluster names: scheme, host, port as
    /// far as given.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(self.host.len() + 16);
        if let Some(scheme) = self.scheme {
            text.push_str(scheme.as_str());
            text.push_str("://");
        }
        text.push_str(&self.authority());
        text
    }

    /// Returns host and port as far as given; with underscores for what is not
    /// a word character, the default name in statistics.
    pub(crate) fn authority(&self) -> Cow<'_, str> {
        match self.port {
            Some(port) => Cow::Owned(format!("{}:{port}", self.bracketed())),
            None => self.bracketed(),
        }
    }

    /// Returns the host as it stands in an authority.
    pub(crate) fn bracketed(&self) -> Cow<'_, str> {
        if self.host.contains(':') {
            Cow::Owned(format!("[{}]", self.host))
        } else {
            Cow::Borrowed(&self.host)
        }
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%')
}

/// Splits the port off; more than one colon outside brackets is IPv6.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    if let Some(close) = authority.rfind(']') {
        let (host, rest) = authority.split_at(close + 1);
        return (host, rest.strip_prefix(':'));
    }
    match authority.split_once(':') {
        Some((_, rest)) if rest.contains(':') => (authority, None),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_strings_are_taken_apart() {
        let cases = [
            ("quote", None, "quote", None),
            ("quote:8080", None, "quote", Some(8080)),
            ("HTTPS://Quote.ns:443/path?x", Some(Scheme::Https), "quote.ns", Some(443)),
            ("//quote", None, "quote", None),
            ("[::1]:80", None, "::1", Some(80)),
            ("::1", None, "::1", None),
            ("http://quote:0", Some(Scheme::Http), "quote", None),
        ];
        for (text, scheme, host, port) in cases {
            let (service, fault) = Service::parse(text);
            assert_eq!(fault, None, "{text}");
            assert_eq!(service, Service { scheme, host: host.into(), port }, "{text}");
        }
    }

    #[test]
    fn a_bad_port_is_a_fault_and_the_default_port_stays() {
        let (service, fault) = Service::parse("quote:eighty");
        assert!(fault.expect("a fault").to_string().contains("found invalid port for service"));
        assert_eq!(service.port_or_default(false), 80);
        assert_eq!(service.port_or_default(true), 443);
    }

    #[test]
    fn only_bare_names_of_other_namespaces_are_qualified() {
        let cases = [
            ("s1", "foo", "s1.foo"),
            ("s1", "default", "s1"),
            ("s1.bar", "foo", "s1.bar"),
            ("localhost", "foo", "localhost"),
            ("127.0.0.1", "foo", "127.0.0.1"),
        ];
        for (text, namespace, expected) in cases {
            let (mut service, _) = Service::parse(text);
            service.qualify(namespace, "default");
            assert_eq!(service.text(), expected);
        }
    }
}
