//! External filters against local services.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::response::IntoResponse as _;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::rpc::Status;
use serde_json::{Value, json};

use crate::support::{Service, filter, policy, serve};

fn objects(external: &Value) -> Vec<Value> {
    vec![
        filter(
            "external",
            &json!({"External": external, "ext": {"injectableHeaders": ["x-user"]}}),
        ),
        policy(&json!([{"filters": [{"name": "external"}]}])),
    ]
}

#[tokio::test]
async fn an_http_service_decides() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let router = Router::new().fallback(async move |request: axum::extract::Request| {
        let header = |name: &str| {
            let value = request.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let line = format!(
            "{} {} {} {}",
            request.method(),
            request.uri(),
            header("host"),
            header("x-own")
        );
        log.lock().unwrap().push(line);
        match header("authorization").as_str() {
            "good" => [("x-user", "ann"), ("x-unlisted", "1")].into_response(),
            "down" => http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            _ => (http::StatusCode::FOUND, [("location", "/login")], "go").into_response(),
        }
    });
    let address = serve(router).await;
    let external = json!({
        "auth_service": address.to_string(), "path_prefix": "/check",
        "allowed_authorization_headers": ["x-user"], "status_on_error": {"code": 503},
    });
    let service = Service::start(&objects(&external)).await;
    let allowed = service.check("/a?b", &[("authorization", "good"), ("x-own", "1")]).await;
    assert_eq!(allowed.status(), 200);
    assert_eq!(allowed.set().into_iter().collect::<Vec<_>>(), [("x-user".into(), "ann".into())]);
    assert_eq!(seen.lock().unwrap()[0], "GET /check/a?b example.com ");
    let denied = service.check("/", &[]).await;
    assert_eq!((denied.status(), denied.body()), (302, "go"));
    assert_eq!(service.check("/", &[("authorization", "down")]).await.status(), 503);
    let metrics = service.metrics().await;
    for line in [
        "ambassador_edge_stack_external_filter_allowed 1",
        "ambassador_edge_stack_external_filter_denied 1",
        "ambassador_edge_stack_external_filter_error 1",
        r#"ambassador_edge_stack_external_filter_rq_class{class="3xx"} 1"#,
        r#"ambassador_edge_stack_external_filter_rq_status{status="302"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn an_unreachable_service_closes_or_opens_as_configured() {
    // Bound and dropped: nothing listens there.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for proto in ["http", "grpc"] {
        let closed = json!({"auth_service": gone.to_string(), "proto": proto, "timeout_ms": 500});
        let service = Service::start(&objects(&closed)).await;
        assert_eq!(service.check("/", &[]).await.status(), 403, "{proto}");
        let open =
            json!({"auth_service": gone.to_string(), "proto": proto, "failure_mode_allow": true});
        service.replace(&objects(&open)).await;
        assert_eq!(service.check("/", &[]).await.status(), 200, "{proto}");
    }
}

struct Judge;

#[tonic::async_trait]
impl Authorization for Judge {
    async fn check(
        &self,
        request: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        let http = request.into_inner().attributes.unwrap().request.unwrap().http.unwrap();
        let header = |name: &str, value: &str| HeaderValueOption {
            header: Some(HeaderValue {
                key: name.into(),
                value: value.into(),
                ..HeaderValue::default()
            }),
            ..HeaderValueOption::default()
        };
        let user = http.headers.get("x-who").cloned().unwrap_or_default();
        let response = match user.as_str() {
            "empty" => CheckResponse::default(),
            "error" => return Err(tonic::Status::internal("broken")),
            "" => CheckResponse {
                status: Some(Status { code: 16, ..Status::default() }),
                http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
                    status: Some(HttpStatus { code: 401 }),
                    headers: vec![header("set-cookie", "a=1"), header("set-cookie", "b=2")],
                    body: "who".into(),
                })),
                ..CheckResponse::default()
            },
            name => CheckResponse {
                status: Some(Status::default()),
                http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
                    headers: vec![
                        header("x-user", name),
                        header(":path", "/moved"),
                        header("host", "evil"),
                    ],
                    headers_to_remove: vec!["x-who".into(), "host".into()],
                    ..OkHttpResponse::default()
                })),
                ..CheckResponse::default()
            },
        };
        Ok(tonic::Response::new(response))
    }
}

#[tokio::test]
async fn a_grpc_service_decides_and_cannot_move_the_request() {
    let routes = tonic::service::Routes::new(AuthorizationServer::new(Judge));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(
        tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming),
    );
    let external =
        json!({"auth_service": address.to_string(), "proto": "grpc", "protocol_version": "v3"});
    let service = Service::start(&objects(&external)).await;
    let allowed = service.check("/", &[("x-who", "ann"), ("x-user", "root")]).await;
    assert_eq!(allowed.status(), 200);
    assert_eq!(allowed.set().into_iter().collect::<Vec<_>>(), [("x-user".into(), "ann".into())]);
    let Some(HttpResponse::OkResponse(ok)) = &allowed.0.http_response else { panic!() };
    assert_eq!(ok.headers_to_remove, ["x-who"]);
    let denied = service.check("/", &[]).await;
    assert_eq!((denied.status(), denied.body()), (401, "who"));
    let Some(HttpResponse::DeniedResponse(body)) = &denied.0.http_response else { panic!() };
    assert_eq!(body.headers.len(), 2, "both cookies");
    for broken in ["empty", "error"] {
        assert_eq!(service.check("/", &[("x-who", broken)]).await.status(), 403, "{broken}");
    }
}
