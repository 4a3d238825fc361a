//! Several endpoints of one service: who gets which request.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use nuncio_integration_tests::{Client, Stack};
use reqwest::Method;

const POOL: [&str; 5] = ["one", "two", "three", "four", "five"];

fn mapping(prefix: &str, balancer: &str) -> String {
    format!(
        "{{hostname: \"*\", prefix: /{prefix}/, service: pool, resolver: endpoint, \
         load_balancer: {balancer}}}"
    )
}

async fn stack(balancers: &[(&str, &str)]) -> Stack {
    let mut builder = Stack::builder().backends("pool", &POOL).await;
    for (prefix, balancer) in balancers {
        builder = builder.object("Mapping", prefix, &mapping(prefix, balancer));
    }
    builder.start().await
}

async fn ask(stack: &Stack, path: &str, headers: &[(&str, String)]) -> String {
    let mut request = stack.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    Client::send(request).await.unwrap().echo().backend
}

#[tokio::test]
async fn requests_are_spread_over_all_endpoints() {
    let stack =
        stack(&[("plain", "{policy: round_robin}"), ("least", "{policy: least_request}")]).await;
    let mut rounds = BTreeSet::new();
    let mut least = BTreeSet::new();
    for _ in 0..POOL.len() {
        rounds.insert(ask(&stack, "/plain/", &[]).await);
    }
    for _ in 0..100 {
        least.insert(ask(&stack, "/least/", &[]).await);
    }
    assert_eq!((rounds.len(), least.len()), (POOL.len(), POOL.len()));
}

#[tokio::test]
async fn equal_headers_stick_to_one_endpoint() {
    let stack = stack(&[
        ("ring", "{policy: ring_hash, header: x-user}"),
        ("maglev", "{policy: maglev, header: x-user}"),
    ])
    .await;
    for path in ["/ring/", "/maglev/"] {
        let mut met = BTreeSet::new();
        for user in 0..30 {
            let headers = [("x-user", format!("user-{user}"))];
            let first = ask(&stack, path, &headers).await;
            for _ in 0..3 {
                assert_eq!(ask(&stack, path, &headers).await, first, "{path} {headers:?}");
            }
            met.insert(first);
        }
        assert!(met.len() > 1, "{path}: thirty users met only {met:?}");
    }
}

#[tokio::test]
async fn a_cookie_sticks_to_one_endpoint_and_is_made_where_it_is_missing() {
    let stack = stack(&[(
        "cookie",
        "{policy: ring_hash, cookie: {name: sticky, path: /cookie, ttl: 300s}}",
    )])
    .await;
    let reply = stack.get("/cookie/").await.unwrap();
    let set = reply.header("set-cookie").unwrap().to_owned();
    assert!(set.starts_with("sticky=") && set.contains("Max-Age=300"), "{set}");
    assert!(set.contains("Path=/cookie"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    for _ in 0..10 {
        let headers = [("cookie", cookie.clone())];
        assert_eq!(ask(&stack, "/cookie/", &headers).await, reply.echo().backend);
    }
    let mut met = BTreeSet::new();
    for user in 0..30 {
        met.insert(ask(&stack, "/cookie/", &[("cookie", format!("sticky={user}"))]).await);
    }
    assert!(met.len() > 1, "thirty cookies met only {met:?}");
}

#[tokio::test]
async fn a_client_address_sticks_to_one_endpoint() {
    let stack = stack(&[("address", "{policy: maglev, source_ip: true}")]).await;
    let url = format!("http://{}/address/", stack.http());
    let mut met = BTreeSet::new();
    for last in 1..=20 {
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        let client = Client::with(|builder| builder.local_address(address));
        let first = client.get(&url).await.unwrap().echo().backend;
        assert_eq!(client.get(&url).await.unwrap().echo().backend, first, "{address}");
        met.insert(first);
    }
    assert!(met.len() > 1, "twenty addresses met only {met:?}");
}

#[tokio::test]
async fn a_load_balancer_that_makes_no_sense_takes_its_mapping_away() {
    let broken = [
        ("no-cookie-name", "{policy: ring_hash, cookie: {ttl: 5s}}"),
        ("nothing-to-hash", "{policy: ring_hash}"),
        ("two-to-hash", "{policy: maglev, header: x-user, source_ip: true}"),
        ("idle-key", "{policy: round_robin, header: x-user}"),
        ("unknown-policy", "{policy: magic}"),
    ];
    let stack = stack(&broken).await;
    for (prefix, _) in broken {
        assert_eq!(stack.get(&format!("/{prefix}/")).await.unwrap().status, 404, "{prefix}");
    }
    let errors = stack.ask_admin("/ambassador/v0/diag/?json=true&filter=errors").await.body;
    for (prefix, _) in broken {
        assert!(errors.contains(prefix), "{prefix}: {errors}");
    }
}

#[tokio::test]
async fn the_modules_load_balancer_is_for_mappings_that_have_none() {
    let stack = Stack::builder()
        .backends("pool", &POOL)
        .await
        .module("{resolver: endpoint, load_balancer: {policy: ring_hash, header: x-user}}")
        .object("Mapping", "global", r#"{hostname: "*", prefix: /global/, service: pool}"#)
        .object("Mapping", "own", &mapping("own", "{policy: round_robin}"))
        .start()
        .await;
    let user = [("x-user", "alice".to_owned())];
    let (mut sticky, mut spread) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..POOL.len() * 2 {
        sticky.insert(ask(&stack, "/global/", &user).await);
        spread.insert(ask(&stack, "/own/", &user).await);
    }
    assert_eq!((sticky.len(), spread.len()), (1, POOL.len()));
}
