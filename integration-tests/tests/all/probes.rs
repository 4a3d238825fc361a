//! Emissary's probes and how the gateway stops.

use nuncio_integration_tests::Stack;
use reqwest::Method;

async fn stack() -> Stack {
    Stack::builder().backend("first").await.mapping("m", "/", "first").start().await
}

#[tokio::test]
async fn the_admin_port_answers_emissarys_probes() {
    let stack = stack().await;
    let alive = stack.ask_admin("/ambassador/v0/check_alive").await;
    assert_eq!((alive.status, alive.body.trim()), (200, "Ambassador is alive and well"));
    let ready = stack.ask_admin("/ambassador/v0/check_ready").await;
    assert_eq!((ready.status, ready.body.trim()), (200, "Ambassador is ready and waiting"));
}

#[tokio::test]
async fn envoy_routes_the_probes_too() {
    let stack = stack().await;
    for probe in ["check_alive", "check_ready"] {
        let reply = stack.get(&format!("/ambassador/v0/{probe}")).await.unwrap();
        assert_eq!(reply.status, 200, "{probe}");
    }
    assert_eq!(stack.backend("first").requests(), 0);
}

#[tokio::test]
async fn a_signal_lets_requests_in_flight_finish_and_exits_cleanly() {
    let stack = stack().await;
    let slow = stack.request(Method::GET, "/?delay-ms=1500");
    let slow = tokio::spawn(nuncio_integration_tests::Client::send(slow));
    let backend = async || (stack.backend("first").requests() > 0).then_some(());
    nuncio_integration_tests::eventually("the request reached the backend", backend).await;
    let client = stack.client().clone();
    let url = format!("http://{}/", stack.http());
    let (process, _files, _backends) = stack.into_parts();
    process.signal("TERM");
    assert_eq!(slow.await.unwrap().map(|reply| reply.status), Some(200));
    let ended = process.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(client.get(&url).await.is_none(), "nobody listens any more");
}

#[tokio::test]
async fn envoy_does_not_outlive_a_gateway_that_is_killed() {
    let stack = stack().await;
    let client = stack.client().clone();
    let url = format!("http://{}/", stack.http());
    assert!(client.get(&url).await.is_some());
    let (process, _files, _backends) = stack.into_parts();
    process.signal("KILL");
    let gone = async || client.get(&url).await.is_none().then_some(());
    nuncio_integration_tests::eventually("envoy is gone", gone).await;
}
