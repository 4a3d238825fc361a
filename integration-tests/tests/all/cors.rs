//! Cross-origin requests, by Module and by Mapping.

use nuncio_integration_tests::{Client, Reply, Stack};
use reqwest::Method;

async fn preflight(stack: &Stack, path: &str, origin: &str) -> Reply {
    let request = stack.request(Method::OPTIONS, path).header("origin", origin);
    Client::send(request.header("access-control-request-method", "PUT")).await.unwrap()
}

#[tokio::test]
async fn the_modules_cors_holds_until_a_mapping_has_its_own() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .module(
            r#"{cors: {origins: ["http://foo.test"], methods: [POST, GET, OPTIONS],
                headers: [Content-Type], exposed_headers: [x-shown], max_age: "86400"}}"#,
        )
        .mapping("global", "/global/", "first")
        .object(
            "Mapping",
            "own",
            r#"{hostname: "*", prefix: /own/, service: first,
                cors: {origins: ["http://bar.test", "http://baz.test"], methods: [PUT], credentials: true}}"#,
        )
        .start()
        .await;
    let reply = preflight(&stack, "/global/", "http://foo.test").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://foo.test"));
    assert_eq!(reply.header("access-control-allow-methods"), Some("POST, GET, OPTIONS"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("Content-Type"));
    assert_eq!(reply.header("access-control-max-age"), Some("86400"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);

    for origin in ["http://bar.test", "http://baz.test"] {
        let reply = preflight(&stack, "/own/", origin).await;
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
        assert_eq!(reply.header("access-control-allow-methods"), Some("PUT"));
        assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(reply.header("access-control-max-age"), None, "nothing is left of the Module's");
    }
    let stranger = preflight(&stack, "/own/", "http://foo.test").await;
    assert_eq!(stranger.header("access-control-allow-origin"), None);

    // The request itself reaches the backend; its answer is marked.
    let request = stack.request(Method::GET, "/global/").header("origin", "http://foo.test");
    let reply = Client::send(request).await.unwrap();
    assert_eq!((reply.status, reply.echo().backend.as_str()), (200, "first"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://foo.test"));
    assert_eq!(reply.header("access-control-expose-headers"), Some("x-shown"));
    let plain = stack.get("/global/").await.unwrap();
    assert_eq!(plain.header("access-control-allow-origin"), None);
}
