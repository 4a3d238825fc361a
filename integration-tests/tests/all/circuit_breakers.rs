//! Circuit breakers: what is over the threshold is refused at once.

use nuncio_integration_tests::{Client, Reply, Stack, eventually, exchange, free_port, head};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const TIGHT: &str = "[{max_connections: 1, max_pending_requests: 1}]";

/// Sends a request that its backend answers only after a minute.
fn slow(stack: &Stack, path: &str) -> JoinHandle<Option<Reply>> {
    let request = stack.request(Method::GET, &format!("{path}?delay-ms=60000"));
    tokio::spawn(Client::send(request))
}

/// Fills the one connection and the one place in the queue of a cluster.
async fn fill(stack: &Stack, path: &str, stat: &str) -> [JoinHandle<Option<Reply>>; 2] {
    let arrived = stack.backend("first").requests();
    let active = slow(stack, path);
    let came = async || (stack.backend("first").requests() > arrived).then_some(());
    eventually("the first request is at the backend", came).await;
    let queued = slow(stack, path);
    let name = format!("cluster.{stat}.upstream_rq_pending_active");
    let waits = async || (stack.statistic(&name).await == Some(1)).then_some(());
    eventually("the second request waits", waits).await;
    [active, queued]
}

async fn assert_overflows(stack: &Stack, path: &str, stat: &str) {
    let requests = fill(stack, path, stat).await;
    let reply = stack.get(path).await.unwrap();
    assert_eq!((reply.status, reply.header("x-envoy-overloaded")), (503, Some("true")));
    let overflow = format!("cluster.{stat}.upstream_rq_pending_overflow");
    assert_eq!(stack.statistic(&overflow).await, Some(1));
    for request in requests {
        request.abort();
    }
}

#[tokio::test]
async fn a_mappings_breaker_refuses_what_is_over_it_and_nothing_else() {
    let spec = |prefix: &str, stat: &str, more: &str| {
        format!("{{hostname: \"*\", prefix: {prefix}, service: first, stats_name: {stat}{more}}}")
    };
    let breakers = format!(", circuit_breakers: {TIGHT}");
    let stack = Stack::builder()
        .backend("first")
        .await
        .object("Mapping", "tight", &spec("/tight/", "tight", &breakers))
        .object("Mapping", "loose", &spec("/loose/", "loose", ""))
        .start()
        .await;
    assert_overflows(&stack, "/tight/", "tight").await;
    assert_eq!(stack.get("/loose/").await.unwrap().status, 200);
}

#[tokio::test]
async fn the_modules_breaker_is_for_mappings_that_have_none() {
    let own = r#"{hostname: "*", prefix: /own/, service: first, stats_name: own,
        circuit_breakers: [{max_connections: 64, max_pending_requests: 64}]}"#;
    let global = r#"{hostname: "*", prefix: /global/, service: first, stats_name: global}"#;
    let stack = Stack::builder()
        .backend("first")
        .await
        .module(&format!("{{circuit_breakers: {TIGHT}}}"))
        .object("Mapping", "own", own)
        .object("Mapping", "global", global)
        .start()
        .await;
    assert_overflows(&stack, "/global/", "global").await;
    let many: Vec<_> = (0..4).map(|_| slow(&stack, "/own/")).collect();
    let active = async || {
        let active = stack.statistic("cluster.own.upstream_rq_active").await;
        (active == Some(4)).then_some(())
    };
    eventually("four requests are under way", active).await;
    for request in many {
        request.abort();
    }
}

#[tokio::test]
async fn a_tcp_mappings_breaker_closes_connections_over_it() {
    let port = free_port();
    let spec =
        format!("{{port: {port}, service: first, circuit_breakers: [{{max_connections: 1}}]}}");
    let stack =
        Stack::builder().backend("first").await.object("TCPMapping", "tight", &spec).start().await;
    let address = ([127, 0, 0, 1], port).into();
    let mut held = TcpStream::connect(address).await.unwrap();
    held.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    held.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(exchange(address, head("a", "/", "")).await, "", "the second one is closed");
    drop(held);
    let again = async || exchange(address, head("a", "/", "")).await.contains("200").then_some(());
    eventually("there is room again", again).await;
    assert_eq!(stack.backend("first").requests(), 2);
}
