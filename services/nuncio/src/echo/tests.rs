use futures_util::{SinkExt as _, StreamExt as _};
use http::header::CONTENT_TYPE;
use http::{StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio_tungstenite::tungstenite::Message;

use super::*;

type TestClient = Client<HttpConnector, Full<Bytes>>;

fn client(http2: bool) -> TestClient {
    Client::builder(TokioExecutor::new()).http2_only(http2).build_http()
}

async fn ask(client: &TestClient, request: Request<Full<Bytes>>) -> (Response<()>, Answer) {
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(head, ()), serde_json::from_slice(&body).unwrap())
}

async fn started() -> (Echo, String) {
    let echo = Echo::start(Options::named("quote")).await.unwrap();
    let url = format!("http://{}", echo.address());
    (echo, url)
}

#[tokio::test]
async fn an_answer_tells_what_was_received() {
    let (echo, url) = started().await;
    let request = Request::post(format!("{url}/a/b?x=1&y=%20"))
        .header("x-two", "first")
        .header("x-two", "second")
        .body(Full::from("hello"))
        .unwrap();
    let (_, answer) = ask(&client(false), request).await;
    assert_eq!(answer.backend, "quote");
    assert_eq!((answer.method.as_str(), answer.path.as_str()), ("POST", "/a/b"));
    assert_eq!(answer.query, "x=1&y=%20");
    assert_eq!(answer.all("x-two"), ["first", "second"]);
    assert_eq!(answer.body, "hello");
    assert_eq!(answer.protocol, "HTTP/1.1");
    assert_eq!(answer.authority, echo.address().to_string());
    assert_eq!(echo.requests(), 1);
}

#[tokio::test]
async fn one_port_speaks_both_versions_of_http() {
    let (_echo, url) = started().await;
    for (http2, protocol) in [(false, "HTTP/1.1"), (true, "HTTP/2")] {
        let request = Request::get(&url).body(Full::default()).unwrap();
        let (_, answer) = ask(&client(http2), request).await;
        assert_eq!(answer.protocol, protocol);
    }
}

#[tokio::test]
async fn requests_choose_status_headers_and_delay_of_their_answer() {
    let (_echo, url) = started().await;
    let request = Request::get(format!("{url}/?status=503&header=x-a:%20b&delay-ms=30"))
        .header("x-echo-header", "x-c: d")
        .body(Full::default())
        .unwrap();
    let before = std::time::Instant::now();
    let (head, _) = ask(&client(false), request).await;
    assert_eq!(head.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(head.headers()["x-a"], "b");
    assert_eq!(head.headers()["x-c"], "d");
    assert!(before.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn grpc_messages_come_back_with_a_status() {
    let (_echo, url) = started().await;
    let message = Bytes::from_static(b"\0\0\0\0\x03abc");
    let request = Request::post(format!("{url}/any.Service/Method"))
        .version(Version::HTTP_2)
        .header(CONTENT_TYPE, "application/grpc")
        .body(Full::new(message.clone()))
        .unwrap();
    let response = client(true).request(request).await.unwrap();
    assert_eq!(response.headers()["x-echo-path"], "/any.Service/Method");
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), message);
}

#[tokio::test]
async fn websocket_messages_come_back() {
    let (echo, _) = started().await;
    let url = format!("ws://{}/socket", echo.address());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    for message in [Message::text("hello"), Message::binary(vec![0, 255])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
}

#[tokio::test]
async fn fixed_documents_are_served_at_their_path() {
    let mut options = Options::named("keys");
    let document = Document { content_type: "application/json", body: Bytes::from_static(b"{}") };
    options.documents.insert("/keys".to_owned(), document);
    let echo = Echo::start(options).await.unwrap();
    let url = format!("http://{}/keys", echo.address()).parse().unwrap();
    let response = client(false).get(url).await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{}");
}

#[tokio::test]
async fn a_dropped_backend_frees_its_port() {
    let (echo, _) = started().await;
    let address = echo.address();
    drop(echo);
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
