//! The request as policy sees it.

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::host::Host;

/// A request under decision. Only `host`, `path`, `method` and `source` decide
/// which policy applies: headers such as `X-Forwarded-Uri` are the client's
/// word.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Method as sent.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host.
    pub host: Host,
    /// Path with query, exactly as sent.
    pub path: String,
    /// Protocol, such as `HTTP/1.1`; empty when unknown.
    pub protocol: String,
    /// Headers without pseudo-headers, as earlier filters left them.
    pub headers: HeaderMap,
    /// As much of the body as Envoy sent.
    pub body: Vec<u8>,
    /// Whether the body is longer than what Envoy sent.
    pub body_is_partial: bool,
    /// Request id, for error bodies; empty when there is none.
    pub id: String,
    /// Who sent it.
    pub source: Peer,
    /// Whom it was sent to.
    pub destination: Peer,
    /// What the matched route adds; passed on, never decided on.
    pub context: BTreeMap<String, String>,
}

/// One end of the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// IP address; empty when unknown.
    pub address: String,
    /// Port; 0 when unknown.
    pub port: u16,
    /// Identity of the peer's certificate; empty without one.
    pub principal: String,
    /// The certificate, URL-encoded PEM; empty without one.
    pub certificate: String,
}

impl Request {
    /// Returns the value of a header or pseudo-header, several joined by `, `
    /// (`; ` for Cookie).
    pub fn value(&self, name: &str) -> Option<String> {
        match name {
            ":method" => return Some(self.method.clone()),
            ":path" => return Some(self.path.clone()),
            ":authority" => return Some(self.host.authority().to_owned()),
            ":scheme" => return Some(self.scheme.clone()),
            _ => {}
        }
        let separator = if name.eq_ignore_ascii_case("cookie") { "; " } else { ", " };
        let values: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        (!values.is_empty()).then(|| values.join(separator))
    }
}
