//! Websockets: every text or binary message comes back as it was.

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::{Body, Shared, answer};

/// Largest message that is echoed, in bytes.
const MESSAGE_LIMIT: usize = 1 << 20;

/// Tells whether a request asks for a websocket, over HTTP/1.1 (RFC 6455) or
/// HTTP/2 (RFC 8441).
pub(super) fn is_upgrade(request: &Request<Incoming>) -> bool {
    if request.method() == Method::CONNECT {
        let protocol = request.extensions().get::<Protocol>();
        return protocol.is_some_and(|protocol| protocol.as_str() == "websocket");
    }
    let upgrade = request.headers().get(UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Accepts the websocket and echoes in the background.
pub(super) fn answer(mut request: Request<Incoming>, shared: &Shared) -> Response<Body> {
    let mut response = answer::status_only(StatusCode::OK);
    if request.method() != Method::CONNECT {
        let Some(key) = request.headers().get("sec-websocket-key") else {
            return answer::status_only(StatusCode::BAD_REQUEST);
        };
        let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) else {
            return answer::status_only(StatusCode::BAD_REQUEST);
        };
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert("sec-websocket-accept", accept);
    }
    if let Ok(name) = shared.name.parse() {
        response.headers_mut().insert("x-echo-backend", name);
    }
    let upgrade = hyper::upgrade::on(&mut request);
    shared.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => echo(TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!(%error, "echo websocket was not upgraded"),
        }
    });
    response
}

async fn echo(stream: TokioIo<hyper::upgrade::Upgraded>) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_LIMIT))
        .max_frame_size(Some(MESSAGE_LIMIT));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    while let Some(Ok(message)) = socket.next().await {
        let data = message.is_text() || message.is_binary();
        if data && socket.send(message).await.is_err() {
            return;
        }
    }
}
