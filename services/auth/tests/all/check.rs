//! Checks over gRPC and HTTP, and how policy files are followed.

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use nuncio_testing::tokens::Issuer;
use serde_json::{Value, json};

use crate::support::{Service, check_request, filter, policy, secret};

fn keyed() -> Vec<Value> {
    vec![
        filter("key", &json!({"APIKey": {"keys": [{"secretName": "keys"}]}})),
        policy(&json!([{"host": "*", "path": "/keys/*", "filters": [{"name": "key"}]}])),
        secret("keys", &json!({"a": "one"})),
    ]
}

#[tokio::test]
async fn requests_are_decided_over_grpc_and_http_alike() {
    let service = Service::start(&keyed()).await;
    let client = reqwest::Client::new();
    for (path, key, expected) in [
        ("/keys/x", "", 403),
        ("/keys/x", "two", 403),
        ("/keys/x?y", "one", 200),
        ("/x", "", 200),
        ("/y/../keys/x", "one", 400),
    ] {
        let answer = service.check(path, &[("x-api-key", key)]).await;
        assert_eq!(answer.status(), expected, "{path} {key}");
        if !path.contains("..") {
            let url = format!("http://{}{path}", service.bound.http);
            let answer = client.get(url).header("x-api-key", key).send().await.unwrap();
            assert_eq!(i32::from(answer.status().as_u16()), expected, "{path} {key}");
        }
    }
    let denied = service.check("/keys/x", &[]).await;
    assert_eq!(denied.body(), r#"{"message":"API key not found","requestId":"","statusCode":403}"#);
}

#[tokio::test]
async fn messages_that_describe_no_request_are_refused() {
    let service = Service::start(&keyed()).await;
    assert_eq!(service.send(CheckRequest::default()).await.status(), 400);
    let hosts = [("host", "a.com"), ("host", "b.com")];
    assert_eq!(service.check_host("a.com", "/x", &hosts).await.status(), 400);
    assert_eq!(service.check_host("u@a.com", "/x", &[]).await.status(), 400);
    assert_eq!(service.check("/x", &[("a b", "1")]).await.status(), 400);
    assert_eq!(service.check("/x", &[("a", "x\ny")]).await.status(), 400);
    let mut request = check_request("a.com", "/x", &[("host", "A.com")]);
    assert_eq!(service.send(request.clone()).await.status(), 200);
    request.attributes.as_mut().unwrap().request = None;
    assert_eq!(service.send(request).await.status(), 400);
}

#[tokio::test]
async fn claims_reach_the_backend_and_spoofed_headers_do_not() {
    let issuer = Issuer::new("k");
    let spec = json!({
        "JWT": {"injectRequestHeaders": [{"name": "X-User", "value": "{{ .token.Claims.sub }}"}]},
        "ext": {"jwks": issuer.jwks()},
    });
    let objects = [filter("token", &spec), policy(&json!([{"filters": [{"name": "token"}]}]))];
    let service = Service::start(&objects).await;
    let token = format!("Bearer {}", issuer.sign(&json!({"sub": "ann"})));
    let spoofed = [("authorization", token.as_str()), ("x-user", "root"), ("x_user", "root")];
    let answer = service.check("/", &spoofed).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.set()["x-user"], "ann");
    let client = reqwest::Client::new();
    let mut call = client.get(format!("http://{}/", service.bound.http));
    for (name, value) in spoofed {
        call = call.header(name, value);
    }
    let answer = call.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-user"], "ann");
    assert_eq!(answer.headers()["x-envoy-auth-headers-to-remove"], "x_user");
    let refused = client.get(format!("http://{}/", service.bound.http)).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer realm="));
}

#[tokio::test]
async fn a_changed_file_takes_effect_and_a_broken_one_changes_nothing() {
    let service = Service::start(&keyed()).await;
    let key = [("x-api-key", "two")];
    assert_eq!(service.check("/keys/x", &key).await.status(), 403);
    let mut objects = keyed();
    objects[2] = secret("keys", &json!({"a": "two"}));
    service.replace(&objects).await;
    assert_eq!(service.check("/keys/x", &key).await.status(), 200);
    assert_eq!(service.check("/keys/x", &[("x-api-key", "one")]).await.status(), 403);
    std::fs::write(service.file(), "{{{ not yaml").unwrap();
    // A second, good file shows that the broken one was read.
    let other = service.file().with_file_name("other.json");
    let rule = json!([{"path": "/marker", "filters": [{"name": "absent"}]}]);
    let mut marker = policy(&rule);
    marker["metadata"]["name"] = json!("marker");
    std::fs::write(&other, marker.to_string()).unwrap();
    crate::support::until(async || service.check("/marker", &[]).await.status() == 500).await;
    assert_eq!(service.check("/keys/x", &key).await.status(), 200);
    assert_eq!(service.check("/keys/x", &[]).await.status(), 403);
}

#[tokio::test]
async fn objects_that_cannot_be_read_close_what_they_guard() {
    let mut objects = keyed();
    objects[0]["spec"] = json!({"APIKey": {"keys": "wrong"}});
    let service = Service::start(&objects).await;
    assert_eq!(service.check("/keys/x", &[("x-api-key", "one")]).await.status(), 500);
    assert_eq!(service.check("/x", &[]).await.status(), 200);
    let mut objects = keyed();
    objects[1]["spec"]["rules"][0]["filters"] = json!("wrong");
    let service = Service::start(&objects).await;
    assert_eq!(service.check("/keys/x", &[("x-api-key", "one")]).await.status(), 500);
    assert_eq!(service.check("/x", &[]).await.status(), 200);
}

#[tokio::test]
async fn an_object_that_becomes_unreadable_keeps_its_last_good_version() {
    let service = Service::start(&keyed()).await;
    for (object, field) in [(0, "APIKey"), (1, "rules")] {
        let mut objects = keyed();
        objects[object]["spec"][field] = json!("wrong");
        // A new key shows that the broken object was read.
        let key = format!("key-{object}");
        objects[2] = secret("keys", &json!({"a": key}));
        service.replace(&objects).await;
        assert_eq!(service.check("/keys/x", &[("x-api-key", &key)]).await.status(), 200);
        assert_eq!(service.check("/keys/x", &[]).await.status(), 403);
    }
    // Once it is gone, its last good version is gone too.
    let objects = keyed();
    service.replace(&objects[1..]).await;
    assert_eq!(service.check("/keys/x", &[("x-api-key", "one")]).await.status(), 500);
}

#[tokio::test]
async fn other_instances_objects_are_not_read() {
    let mut objects = keyed();
    objects[1]["spec"]["ambassador_id"] = json!(["other"]);
    let service = Service::start(&objects).await;
    assert_eq!(service.check("/keys/x", &[]).await.status(), 200);
}

#[tokio::test]
async fn the_admin_port_shows_filters_rules_and_findings() {
    let mut objects = keyed();
    objects.push(filter("later", &json!({"OAuth2": {"authorizationURL": "https://idp"}})));
    let service = Service::start(&objects).await;
    let get = async |path: &str| -> Value {
        let url = format!("http://{}{path}", service.bound.admin);
        reqwest::get(url).await.unwrap().json().await.unwrap()
    };
    let config = get("/config").await;
    assert_eq!(config["filters"][0]["type"], "APIKey");
    assert!(config["findings"].to_string().contains("not supported yet"), "{config}");
    assert!(!config.to_string().contains("one"), "no key is shown");
    let explained = get("/explain?host=example.com&path=/keys/a").await;
    assert_eq!(explained["rule"], "policy.default#0");
    assert_eq!(explained["filters"][0]["name"], "key.default");
    assert!(service.metrics().await.contains("nuncio_auth_rules 1"));
}
