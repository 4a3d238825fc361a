//! Protocols other than plain HTTP requests: gRPC and websockets.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use nuncio_integration_tests::Stack;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn grpc_calls_reach_a_grpc_mapping_with_their_trailers() {
    let mapping = r#"
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: grpc}
spec: {hostname: "*", prefix: /echo.Echo/, rewrite: "", grpc: true, service: first}
"#;
    let stack = Stack::builder().backend("first").await.file("m.yaml", mapping).start().await;
    let message = Bytes::from_static(b"\0\0\0\0\x02hi");
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let request = Request::post(format!("http://{}/echo.Echo/Say", stack.http()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(message.clone()))
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-echo-path"], "/echo.Echo/Say");
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), message);
}

#[tokio::test]
async fn websockets_pass_where_a_mapping_allows_them_and_nowhere_else() {
    let mappings = r#"
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: allowed}
spec: {hostname: "*", prefix: /allowed/, allow_upgrade: [websocket], service: first}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: plain}
spec: {hostname: "*", prefix: /plain/, service: first}
"#;
    let stack = Stack::builder().backend("first").await.file("m.yaml", mappings).start().await;
    let url = |path: &str| format!("ws://{}{path}", stack.http());
    let (mut socket, _) = tokio_tungstenite::connect_async(url("/allowed/")).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    assert!(tokio_tungstenite::connect_async(url("/plain/")).await.is_err());
}
