//! Plain HTTP: what was received, as JSON, shaped by the request's wishes.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::tls::Session;
use super::{Body, Document, Peer};

/// Largest request body that is read and echoed, in bytes.
const BODY_LIMIT: usize = 16 << 20;
/// Longest delay a request may ask for.
const DELAY_LIMIT: Duration = Duration::from_secs(60);

/// The JSON body of an echo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// Name of the backend that answered.
    pub backend: String,
    /// Request method.
    pub method: String,
    /// Path as received, without query.
    pub path: String,
    /// Query as received, without `?`; empty when there was none.
    pub query: String,
    /// `:authority` or `host` as received; empty when there was none.
    pub authority: String,
    /// Headers in the order received, names in lower case; values that are
    /// not UTF-8 have their bad bytes replaced.
    pub headers: Vec<(String, String)>,
    /// Body as text; empty when it is not UTF-8.
    pub body: String,
    /// Body in base64 when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub protocol: String,
    /// Address and port of the peer.
    pub remote: String,
    /// The TLS session; absent on cleartext connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Session>,
}

impl Answer {
    /// Returns the first value of a received header, by lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns every value of a received header, by lower-case name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.iter().filter(|(key, _)| key == name);
        values.map(|(_, value)| value.as_str()).collect()
    }
}

/// What a request asked of its answer.
#[derive(Debug, Default)]
struct Wishes {
    status: StatusCode,
    delay: Duration,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Wishes {
    /// Reads wishes from query parameters and `x-echo-*` headers; what cannot
    /// be understood is ignored.
    fn of<B>(request: &Request<B>) -> Self {
        let mut wishes = Self::default();
        for pair in request.uri().query().unwrap_or_default().split('&') {
            if let Some((name, value)) = pair.split_once('=') {
                let value = percent_decode_str(value).decode_utf8_lossy();
                wishes.take(name, &value);
            }
        }
        for (name, value) in request.headers() {
            if let (Some(name), Ok(value)) = (name.as_str().strip_prefix("x-echo-"), value.to_str())
            {
                wishes.take(name, value);
            }
        }
        wishes
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            "status" => {
                if let Ok(status) = value.parse::<StatusCode>()
                    && !status.is_informational()
                {
                    self.status = status;
                }
            }
            "delay-ms" => {
                if let Ok(millis) = value.parse() {
                    self.delay = Duration::from_millis(millis).min(DELAY_LIMIT);
                }
            }
            "header" => {
                if let Some((name, value)) = value.split_once(':')
                    && let Ok(name) = name.trim().parse()
                    && let Ok(value) = value.trim().parse()
                {
                    self.headers.push((name, value));
                }
            }
            _ => {}
        }
    }
}

/// Answers with a fixed document.
pub(super) fn fixed(document: &Document) -> Response<Body> {
    let mut response = Response::new(full(document.body.clone()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(document.content_type));
    response
}

/// Answers with what was received.
pub(super) async fn echo(request: Request<Incoming>, peer: &Peer, name: &str) -> Response<Body> {
    let wishes = Wishes::of(&request);
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return status_only(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let body = body.to_bytes();
    let text = std::str::from_utf8(&body).ok();
    let answer = Answer {
        backend: name.to_owned(),
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authority: authority(&head.uri, &head.headers),
        headers: pairs(&head.headers),
        body: text.unwrap_or_default().to_owned(),
        body_base64: text.is_none().then(|| BASE64_STANDARD.encode(&body)),
        protocol: protocol(head.version).to_owned(),
        remote: peer.remote.to_string(),
        tls: peer.tls.clone(),
    };
    let mut json = serde_json::to_vec_pretty(&answer).expect("an answer holds only strings");
    json.push(b'\n');
    tokio::time::sleep(wishes.delay).await;
    let mut response = Response::new(full(json.into()));
    *response.status_mut() = wishes.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(name) = name.parse() {
        headers.insert("x-echo-backend", name);
    }
    for (name, value) in wishes.headers {
        headers.append(name, value);
    }
    response
}

/// Answers with a status and no body.
pub(super) fn status_only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn full(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

fn authority(uri: &http::Uri, headers: &HeaderMap) -> String {
    let host = || headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(http::uri::Authority::as_str).or_else(host).unwrap_or_default().to_owned()
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        _ => "unknown",
    }
}
