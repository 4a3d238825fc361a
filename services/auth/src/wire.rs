//! Envoy's messages to core types and back; nothing is decided here.

use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue as WireHeader, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer as WirePeer};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::{HttpStatus, StatusCode as WireStatus};
use envoy_types::pb::google::rpc::Status;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use nuncio_authz::{Decision, Denial, FilterError, Host, Mutations, Peer, Request, Verdict};

/// Why a message is no request that can be decided. It is answered 400.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the message describes no HTTP request")]
    Empty,
    #[error("header `{0}` cannot be read")]
    Header(String),
    #[error("the host cannot be read")]
    Host(#[source] nuncio_authz::HostError),
    #[error("several hosts are named")]
    SeveralHosts,
}

/// Source: gRPC's `PERMISSION_DENIED`; Envoy only asks whether it is 0.
const DENIED: i32 = 7;

/// Reads what Envoy asks about.
pub(crate) fn request(check: CheckRequest) -> Result<Request, RequestError> {
    let attributes = check.attributes.ok_or(RequestError::Empty)?;
    let outer = attributes.request.ok_or(RequestError::Empty)?;
    let http = outer.http.ok_or(RequestError::Empty)?;
    let headers = headers(&http)?;
    let host = host(&http.host, &headers)?;
    let mut headers = headers;
    headers.remove(http::header::HOST);
    let raw = !http.raw_body.is_empty();
    let body = if raw { http.raw_body } else { http.body.into_bytes() };
    let flagged = headers.get("x-envoy-auth-partial-body").is_some_and(|value| value == "true");
    let longer = usize::try_from(http.size).is_ok_and(|size| size > body.len()) && !body.is_empty();
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    Ok(Request {
        id: id.unwrap_or(http.id),
        method: http.method,
        scheme: http.scheme,
        host,
        path: http.path,
        protocol: http.protocol,
        body,
        body_is_partial: flagged || longer,
        headers,
        source: peer(attributes.source),
        destination: peer(attributes.destination),
        context: attributes.context_extensions.into_iter().collect(),
    })
}

/// Raw entries when Envoy sends them, each as it came; otherwise the map, in
/// which Envoy joined repeated headers.
fn headers(http: &HttpRequest) -> Result<HeaderMap, RequestError> {
    let raw = http.header_map.iter().flat_map(|map| &map.headers).map(|header| {
        let text = header.raw_value.is_empty();
        (&header.key, if text { header.value.as_bytes() } else { &header.raw_value })
    });
    let joined = http.headers.iter().map(|(name, value)| (name, value.as_bytes()));
    let mut headers = HeaderMap::new();
    for (name, value) in raw.chain(joined).filter(|(name, _)| !name.starts_with(':')) {
        let unreadable = || RequestError::Header(name.clone());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unreadable())?;
        let value = HeaderValue::from_bytes(value).map_err(|_| unreadable())?;
        headers.try_append(key, value).map_err(|_| unreadable())?;
    }
    Ok(headers)
}

fn host(named: &str, headers: &HeaderMap) -> Result<Host, RequestError> {
    let host = Host::parse(named).map_err(RequestError::Host)?;
    for other in headers.get_all(http::header::HOST) {
        let same = other.to_str().ok().and_then(|text| Host::parse(text).ok());
        if same.is_none_or(|other| other.name() != host.name()) {
            return Err(RequestError::SeveralHosts);
        }
    }
    Ok(host)
}

fn peer(peer: Option<WirePeer>) -> Peer {
    let Some(peer) = peer else { return Peer::default() };
    let socket = match peer.address.and_then(|address| address.address) {
        Some(Address::SocketAddress(socket)) => socket,
        _ => Default::default(),
    };
    let port = match socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => u16::try_from(port).unwrap_or_default(),
        _ => 0,
    };
    Peer { address: socket.address, port, principal: peer.principal, certificate: peer.certificate }
}

/// Writes a decision. The answer always has a status and a body of its kind:
/// Envoy takes an empty one as "allowed".
pub(crate) fn response(decision: &Decision) -> CheckResponse {
    match decision {
        Decision::Allow(allow) => CheckResponse {
            status: Some(Status::default()),
            http_response: Some(HttpResponse::OkResponse(allowed(allow.changes()))),
            ..CheckResponse::default()
        },
        Decision::Deny(denial) => CheckResponse {
            status: Some(Status { code: DENIED, ..Status::default() }),
            http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
                status: Some(HttpStatus { code: status(denial.status) }),
                headers: denial.headers.iter().map(appended).collect(),
                body: String::from_utf8_lossy(&denial.body).into_owned(),
            })),
            ..CheckResponse::default()
        },
    }
}

fn allowed(changes: &Mutations) -> OkHttpResponse {
    let removed = changes.headers_removed();
    OkHttpResponse {
        headers: changes.headers_set().iter().map(replaced).collect(),
        headers_to_remove: removed.iter().map(|name| name.as_str().to_owned()).collect(),
        response_headers_to_add: changes.response_headers().iter().map(appended).collect(),
        ..OkHttpResponse::default()
    }
}

/// Envoy refuses statuses that its enumeration lacks, such as 418.
fn status(status: StatusCode) -> i32 {
    let code = i32::from(status.as_u16());
    match WireStatus::try_from(code) {
        Ok(WireStatus::Empty) | Err(_) if code >= 500 => 500,
        Ok(WireStatus::Empty) | Err(_) => 403,
        Ok(_) => code,
    }
}

fn option(header: &(HeaderName, HeaderValue), action: HeaderAppendAction) -> HeaderValueOption {
    let (name, value) = header;
    HeaderValueOption {
        header: Some(WireHeader {
            key: name.as_str().to_owned(),
            // Envoy wants one of the two; raw bytes carry any value.
            value: value.to_str().map(str::to_owned).unwrap_or_default(),
            raw_value: match value.to_str() {
                Ok(_) => Vec::new(),
                Err(_) => value.as_bytes().to_vec(),
            },
        }),
        append_action: action.into(),
        keep_empty_value: true,
        // Left unset: in a denial Envoy drops Set-Cookie when it is true.
        ..HeaderValueOption::default()
    }
}

fn replaced(header: &(HeaderName, HeaderValue)) -> HeaderValueOption {
    option(header, HeaderAppendAction::OverwriteIfExistsOrAdd)
}

fn appended(header: &(HeaderName, HeaderValue)) -> HeaderValueOption {
    option(header, HeaderAppendAction::AppendIfExistsOrAdd)
}

/// Writes the request as it is now, for an external service.
pub(crate) fn check(request: &Request, body: Vec<u8>, partial: bool) -> CheckRequest {
    use envoy_types::pb::envoy::config::core::v3::HeaderMap as WireHeaders;
    use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
    use envoy_types::pb::envoy::service::auth::v3::attribute_context::Request as WireRequest;

    let mut headers: std::collections::HashMap<String, String> = [
        (":method", request.method.as_str()),
        (":path", &request.path),
        (":authority", request.host.authority()),
        (":scheme", &request.scheme),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for name in request.headers.keys() {
        if let Some(value) = request.value(name.as_str()) {
            headers.insert(name.as_str().to_owned(), value);
        }
    }
    if partial {
        headers.insert("x-envoy-auth-partial-body".to_owned(), "true".to_owned());
    }
    let (body, raw_body) = match String::from_utf8(body) {
        Ok(text) => (text, Vec::new()),
        Err(error) => (String::new(), error.into_bytes()),
    };
    let http = HttpRequest {
        id: request.id.clone(),
        method: request.method.clone(),
        headers,
        path: request.path.clone(),
        host: request.host.authority().to_owned(),
        scheme: request.scheme.clone(),
        protocol: request.protocol.clone(),
        size: i64::try_from(body.len() + raw_body.len()).unwrap_or(-1),
        header_map: None::<WireHeaders>,
        body,
        raw_body,
        ..HttpRequest::default()
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(wire_peer(&request.source)),
            destination: Some(wire_peer(&request.destination)),
            request: Some(WireRequest { http: Some(http), ..WireRequest::default() }),
            context_extensions: request.context.clone().into_iter().collect(),
            ..AttributeContext::default()
        }),
    }
}

fn wire_peer(peer: &Peer) -> WirePeer {
    use envoy_types::pb::envoy::config::core::v3::{Address as WireAddress, SocketAddress};
    let socket = SocketAddress {
        address: peer.address.clone(),
        port_specifier: Some(PortSpecifier::PortValue(u32::from(peer.port))),
        ..SocketAddress::default()
    };
    WirePeer {
        address: Some(WireAddress { address: Some(Address::SocketAddress(socket)) }),
        principal: peer.principal.clone(),
        certificate: peer.certificate.clone(),
        ..WirePeer::default()
    }
}

/// Reads an external service's answer. Headers that would move the request
/// (pseudo-headers, Host) are dropped; anything unreadable is a failure.
pub(crate) fn verdict(response: CheckResponse, request: &Request) -> Verdict {
    let Some(status) = response.status else {
        return Verdict::Fail(FilterError::new("the answer has no status"));
    };
    match (status.code, response.http_response) {
        (0, Some(HttpResponse::OkResponse(ok))) => continued(ok, request),
        (0, _) => Verdict::Continue(Mutations::new()),
        (_, Some(HttpResponse::DeniedResponse(denied))) => refused(denied),
        (_, Some(HttpResponse::ErrorResponse(_))) => {
            Verdict::Fail(FilterError::new("the service answered with an error"))
        }
        _ => Verdict::Respond(Denial::new(StatusCode::FORBIDDEN)),
    }
}

fn continued(ok: OkHttpResponse, request: &Request) -> Verdict {
    let mut changes = Mutations::new();
    for name in ok.headers_to_remove {
        if let Some(name) = ordinary(&name) {
            changes.remove(name);
        }
    }
    for option in ok.headers {
        #[expect(deprecated, reason = "the only way of appending that Envoy heeds in an answer")]
        let appends = option.append.is_some_and(|append| append.value);
        let Some((name, value)) = header(option) else { continue };
        let joined = match (appends, request.value(name.as_str())) {
            (true, Some(old)) => {
                let new = String::from_utf8_lossy(value.as_bytes()).into_owned();
                HeaderValue::from_str(&format!("{old},{new}"))
            }
            _ => Ok(value),
        };
        match joined {
            Ok(value) => changes.set(name, value),
            Err(_) => return Verdict::Fail(FilterError::new("a header cannot be joined")),
        }
    }
    for (name, value) in ok.response_headers_to_add.into_iter().filter_map(header) {
        changes.add_response(name, value);
    }
    Verdict::Continue(changes)
}

fn refused(denied: DeniedHttpResponse) -> Verdict {
    let code = denied.status.map_or(403, |status| status.code);
    let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    let mut denial = Denial::new(status.unwrap_or(StatusCode::FORBIDDEN));
    denial.headers = denied.headers.into_iter().filter_map(header).collect();
    denial.body = denied.body.into_bytes();
    Verdict::Respond(denial)
}

fn header(option: HeaderValueOption) -> Option<(HeaderName, HeaderValue)> {
    let header = option.header?;
    let bytes = match header.raw_value.is_empty() {
        true => header.value.into_bytes(),
        false => header.raw_value,
    };
    Some((ordinary(&header.key)?, HeaderValue::from_bytes(&bytes).ok()?))
}

fn ordinary(name: &str) -> Option<HeaderName> {
    name.parse().ok().filter(|name| *name != http::header::HOST)
}
