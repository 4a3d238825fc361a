//! The service behind a real Envoy: what reaches the backend.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use axum::Router;
use nuncio_testing::tokens::Issuer;
use serde_json::{Value, json};

use crate::support::{Service, filter, policy, secret, serve, until};

/// A running Envoy; ends with the test.
struct Envoy {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // Already gone is as good.
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// `NUNCIO_ENVOY`, else the program fetched into the workspace.
fn program() -> PathBuf {
    match std::env::var_os("NUNCIO_ENVOY") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/envoy-1.40.0/envoy"),
    }
}

impl Envoy {
    async fn start(auth: SocketAddr, backend: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("envoy.json");
        std::fs::write(&config, bootstrap(auth, backend).to_string()).unwrap();
        let admin = folder.path().join("admin");
        let program = program();
        let process = Command::new(&program)
            .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "error", "-c"])
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut envoy = Self { process, address: String::new(), _folder: folder };
        until(async || listener(&admin).await.is_some()).await;
        envoy.address = listener(&admin).await.unwrap();
        envoy
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Asks Envoy which port it took.
async fn listener(admin: &Path) -> Option<String> {
    let admin = std::fs::read_to_string(admin).ok()?;
    let url = format!("http://{}/listeners?format=json", admin.trim());
    let listeners: Value = reqwest::get(url).await.ok()?.json().await.ok()?;
    let socket = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
    Some(format!("127.0.0.1:{}", socket["port_value"].as_u64()?))
}

fn address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn cluster(name: &str, to: SocketAddr, http2: bool) -> Value {
    let protocol = if http2 { "http2_protocol_options" } else { "http_protocol_options" };
    json!({
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": address(to)}}
        ]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": { protocol: {} },
        }},
    })
}

fn bootstrap(auth: SocketAddr, backend: SocketAddr) -> Value {
    let local = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    let ext_authz = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "grpc_service": {"envoy_grpc": {"cluster_name": "auth"}, "timeout": "5s"},
        "transport_api_version": "V3",
        "clear_route_cache": true,
        "encode_raw_headers": true,
        "status_on_error": {"code": 503},
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "normalize_path": true,
        "merge_slashes": true,
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}],
        }]},
        "http_filters": [
            {"name": "ext_authz", "typed_config": ext_authz},
            {"name": "router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            }},
        ],
    });
    json!({
        "admin": {"address": local},
        "static_resources": {
            "clusters": [cluster("auth", auth, true), cluster("backend", backend, false)],
            "listeners": [{
                "name": "in", "address": local,
                "filter_chains": [{"filters": [
                    {"name": "http", "typed_config": manager},
                ]}],
            }],
        },
    })
}

/// Sends a path exactly as it is, which HTTP clients do not.
async fn raw_status(envoy: &Envoy, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(&envoy.address).await.unwrap();
    let call = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(call.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Answers with the path and headers it saw, one a line.
fn echo() -> Router {
    Router::new().fallback(async |request: axum::extract::Request| {
        let mut text = format!("{}\n", request.uri());
        for (name, value) in request.headers() {
            text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
        }
        text
    })
}

#[tokio::test]
async fn envoy_asks_obeys_and_passes_on() {
    let issuer = Issuer::new("k");
    let token_filter = json!({
        "JWT": {"injectRequestHeaders": [{"name": "X-User", "value": "{{ .token.Claims.sub }}"}]},
        "ext": {"jwks": issuer.jwks()},
    });
    let service = Service::start(&[
        filter("token", &token_filter),
        filter("key", &json!({"APIKey": {"keys": [{"secretName": "keys"}]}})),
        secret("keys", &json!({"a": "one"})),
        policy(&json!([
            {"path": "/tokens/*", "filters": [{"name": "token"}]},
            {"path": "/keys/*", "filters": [{"name": "key"}]},
            {"path": "/broken/*", "filters": [{"name": "absent"}]},
        ])),
    ])
    .await;
    let backend = serve(echo()).await;
    let envoy = Envoy::start(service.bound.grpc, backend).await;
    let client = reqwest::Client::new();
    let status = async |path: &str, headers: &[(&str, &str)]| {
        let mut call = client.get(envoy.url(path));
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        let answer = call.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(status("/open", &[]).await.0, 200);
    assert_eq!(status("/keys/x", &[("x-api-key", "one")]).await.0, 200);
    let (code, body) = status("/keys/x", &[]).await;
    assert_eq!(
        (code, body.as_str()),
        (403, r#"{"message":"API key not found","requestId":"","statusCode":403}"#)
    );
    assert_eq!(status("/broken/x", &[]).await.0, 500);
    assert_eq!(status("/keys%2Fx", &[("x-api-key", "one")]).await.0, 400);
    let token = format!("Bearer {}", issuer.sign(&json!({"sub": "ann"})));
    let (code, seen) = status(
        "/tokens/x?q=1",
        &[
            ("authorization", &token),
            ("x-user", "root"),
            ("x_user", "root"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ],
    )
    .await;
    assert_eq!(code, 200);
    let users: Vec<_> =
        seen.lines().filter(|line| line.replace('_', "-").starts_with("x-user")).collect();
    assert_eq!(users, ["x-user: ann"], "{seen}");
    assert!(seen.starts_with("/tokens/x?q=1\n"), "{seen}");
    assert!(seen.contains("a=1; b=2") || seen.matches("cookie: ").count() == 2, "{seen}");
    let refused = client.get(envoy.url("/tokens/x")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["www-authenticate"], "Bearer realm=\"token.default\"");
    assert_eq!(raw_status(&envoy, "/open/..%2Fkeys/x").await, "HTTP/1.1 400 Bad Request");
    service.context.drain.force();
    until(async || status("/open", &[]).await.0 == 503).await;
}
