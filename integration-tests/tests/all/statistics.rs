//! Statistics that are sent instead of asked for.

use nuncio_integration_tests::{PATIENCE, Stack};
use tokio::net::UdpSocket;

/// Reads what is sent until all of `wanted` was among it.
async fn until_told(socket: &UdpSocket, wanted: &[&str]) {
    let mut told = String::new();
    let mut packet = vec![0; 65536];
    let read = tokio::time::timeout(PATIENCE, async {
        while !wanted.iter().all(|text| told.contains(text)) {
            let length = socket.recv(&mut packet).await.unwrap();
            told.push_str(&String::from_utf8_lossy(&packet[..length]));
            told.push('\n');
        }
    });
    assert!(read.await.is_ok(), "not told of all of {wanted:?}:\n{told}");
}

async fn counted(more: &[(&str, &str)]) -> (UdpSocket, Stack) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    let mapping = r#"{hostname: "*", prefix: /m/, service: first, stats_name: my_stats}"#;
    let mut builder = Stack::builder().backend("first").await.object("Mapping", "m", mapping);
    let variables =
        [("STATSD_ENABLED", "true"), ("STATSD_HOST", "127.0.0.1"), ("STATSD_PORT", &port)];
    for (name, value) in variables.iter().chain(more) {
        builder = builder.environment(name, value);
    }
    let stack = builder.start().await;
    assert_eq!(stack.get("/m/").await.unwrap().status, 200);
    (socket, stack)
}

#[tokio::test]
async fn statsd_is_told_of_every_cluster_by_its_stats_name() {
    let (socket, _stack) = counted(&[]).await;
    until_told(&socket, &["envoy.cluster.my_stats.upstream_rq_total:1|c"]).await;
}

#[tokio::test]
async fn datadogs_agent_is_told_with_tags() {
    let (socket, _stack) = counted(&[("DOGSTATSD", "true"), ("DD_ENTITY_ID", "pod-1")]).await;
    let tags = [
        "envoy.cluster.upstream_rq_total:1|c|#",
        "envoy.cluster_name:my_stats",
        "dd.internal.entity_id:pod-1",
    ];
    until_told(&socket, &tags).await;
}

#[tokio::test]
async fn a_collector_that_is_not_found_keeps_nobody_from_serving() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/m/", "first")
        .environment("STATSD_ENABLED", "true")
        .environment("STATSD_HOST", "no-such-host.invalid")
        .start()
        .await;
    stack.until_status("/m/", 200).await;
}
