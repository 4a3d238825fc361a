//! Compression of responses by what the client accepts.

use nuncio_integration_tests::{Client, Stack};
use reqwest::Method;

async fn encoding(stack: &Stack, accepted: &str) -> Option<String> {
    let request = stack.request(Method::GET, "/").header("accept-encoding", accepted);
    let reply = Client::send(request).await.unwrap();
    assert_eq!(reply.status, 200);
    reply.header("content-encoding").map(str::to_owned)
}

#[tokio::test]
async fn a_client_gets_the_best_of_what_it_accepts() {
    let module = "apiVersion: getambassador.io/v3alpha1\nkind: Module\n\
                  metadata: {name: ambassador, namespace: default}\n\
                  spec: {config: {gzip: {}, brotli: {}, zstd: {}}}\n";
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .file("module.yaml", module)
        .start()
        .await;
    for (accepted, expected) in [
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip, zstd", Some("gzip")),
        ("zstd, gzip", Some("zstd")),
        ("gzip", Some("gzip")),
        ("gzip;q=1.0, br;q=0.5", Some("gzip")),
        ("br;q=0, gzip", Some("gzip")),
        ("identity", None),
        ("deflate", None),
    ] {
        assert_eq!(encoding(&stack, accepted).await.as_deref(), expected, "{accepted}");
    }
}
