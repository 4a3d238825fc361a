//! gRPC: every method of every service answers each message with itself.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response, Version};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Body;

/// Tells whether a request speaks gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        // gRPC-Web travels under a longer name and has no trailers.
        value.strip_prefix("application/grpc").is_some_and(|rest| !rest.starts_with("-web"))
    })
}

/// Sends the messages back as they come, then the status.
///
/// Length-prefixed messages mean the same in both directions, so the bytes
/// need no decoding. `x-echo-grpc-status` chooses a status other than 0.
pub(super) fn answer(request: Request<Incoming>, name: &str) -> Response<Body> {
    let (head, body) = request.into_parts();
    let status = head.headers.get("x-echo-grpc-status").cloned();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.unwrap_or(HeaderValue::from_static("0")));
    let body = body.map_err(Into::into).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    for (key, value) in [("x-echo-backend", name), ("x-echo-path", head.uri.path())] {
        if let Ok(value) = value.parse() {
            headers.insert(key, value);
        }
    }
    if head.version != Version::HTTP_2 {
        // Without this HTTP/1.1 would announce no trailers and drop them.
        headers.insert(http::header::TRAILER, HeaderValue::from_static("grpc-status"));
    }
    response
}
