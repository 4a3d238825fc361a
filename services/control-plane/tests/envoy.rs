//! The control plane against the real Envoy.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser as _;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::HealthCheck;
use envoy_types::pb::envoy::config::core::v3::health_check::{HealthChecker, HttpHealthCheck};
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, RouteMatch};
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;
use envoy_types::pb::google::protobuf::{Duration as WireDuration, UInt32Value};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use nuncio_control_plane::{Bootstrap, Bound, Event, Settings, start};
use nuncio_process::Context;
use nuncio_testing::ads::samples;
use nuncio_xds::{Payload, TypeUrl};
use prost::Message as _;
use tokio::sync::mpsc;

type Http = Client<HttpConnector, Empty<Bytes>>;

const PATIENCE: Duration = Duration::from_secs(60);

/// A control plane without objects, one Envoy, and a client.
struct Gateway {
    context: Context,
    bound: Bound,
    _events: mpsc::Sender<Event>,
    client: Http,
}

struct Envoy {
    folder: tempfile::TempDir,
    _process: tokio::process::Child,
    client: Http,
}

impl Gateway {
    async fn start() -> Self {
        let context = Context::new("test");
        let (events, source) = mpsc::channel(1);
        let settings = Settings::parse_from([
            "control-plane",
            "--grpc-host=127.0.0.1",
            "--grpc-port=0",
            "--admin-host=127.0.0.1",
            "--admin-port=0",
            "--xds-grace=200ms",
            "--xds-hold=1h",
        ]);
        let bound = start(settings, &context, source).await.unwrap();
        events.send(Event::Synced).await.unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { context, bound, _events: events, client }
    }

    fn put(&self, type_url: &TypeUrl, name: &str, bytes: &[u8]) {
        let version = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        let payload = Arc::new(Payload::new(type_url, name.into(), version, bytes));
        self.bound.fleet.change(|cache| cache.put(type_url, payload));
    }

    fn remove(&self, type_url: &TypeUrl, name: &str) {
        self.bound.fleet.change(|cache| cache.remove(type_url, name, Instant::now()));
    }

    /// Puts a cluster with one endpoint.
    fn put_backend(&self, name: &str, port: u16) {
        self.put(&TypeUrl::ENDPOINTS, name, &samples::endpoints(name, port));
        self.put(&TypeUrl::CLUSTER, name, &samples::cluster(name, ""));
    }

    fn envoy(&self) -> Envoy {
        let folder = tempfile::tempdir().unwrap();
        let bootstrap = Bootstrap {
            node_id: "test".into(),
            cluster: "default-default".into(),
            ads_host: "127.0.0.1".into(),
            ads_port: self.bound.grpc.port(),
            admin: "127.0.0.1:0".parse().unwrap(),
            ready: "127.0.0.1:0".parse().unwrap(),
            statsd: None,
        };
        let config = folder.path().join("bootstrap.json");
        std::fs::write(&config, bootstrap.to_json()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = tokio::process::Command::new(nuncio_testing::envoy::program())
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(folder.path().join("admin"))
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Envoy is fetched by the tools script");
        Envoy { folder, _process: process, client: self.client.clone() }
    }
}

impl Envoy {
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Asks the admin interface, once it is there.
    async fn admin(&self, path: &str) -> Option<String> {
        let admin = std::fs::read_to_string(self.folder.path().join("admin")).ok()?;
        let (_, body) = get(&self.client, &format!("http://{}{path}", admin.trim())).await?;
        Some(body)
    }

    /// Waits for a listener and returns its address.
    async fn listener(&self, name: &str) -> SocketAddr {
        until(
            "the listener",
            || self.log(),
            async || {
                let body = self.admin("/listeners?format=json").await?;
                let body: serde_json::Value = serde_json::from_str(&body).ok()?;
                let statuses = body["listener_statuses"].as_array()?;
                let status = statuses.iter().find(|status| status["name"] == name)?;
                let port = status["local_address"]["socket_address"]["port_value"].as_u64()?;
                (port > 0).then(|| format!("127.0.0.1:{port}").parse().unwrap())
            },
        )
        .await
    }
}

async fn until<T>(what: &str, state: impl Fn() -> String, look: impl AsyncFn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "no {what}: {}", state());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn get(client: &Http, url: &str) -> Option<(u16, String)> {
    // Envoy may be about to write the address that stands in the URL.
    let response = client.get(url.parse().ok()?).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Serves its name on every path, and returns its port.
async fn backend(context: &Context, name: &'static str) -> u16 {
    let router = axum::Router::new().fallback(move || async move { name });
    let address = "127.0.0.1:0".parse().unwrap();
    nuncio_process::http::serve(context, "backend", address, router).await.unwrap().port()
}

/// A route table whose second route has an expression that Envoy refuses.
fn broken_routes(name: &str, cluster: &str) -> Vec<u8> {
    let good = samples::routes(name, "host", &[("/", cluster), ("/broken", cluster)]);
    let mut routes = RouteConfiguration::decode(good.as_slice()).unwrap();
    routes.virtual_hosts[0].routes[1].r#match = Some(RouteMatch {
        path_specifier: Some(PathSpecifier::SafeRegex(RegexMatcher {
            regex: "*".into(),
            ..RegexMatcher::default()
        })),
        ..RouteMatch::default()
    });
    routes.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_table_that_envoy_refuses_is_contained_for_old_and_new_envoys() {
    let gateway = Gateway::start().await;
    let one = backend(&gateway.context, "one").await;
    let two = backend(&gateway.context, "two").await;
    gateway.put_backend("one", one);
    gateway.put(&TypeUrl::ROUTES, "r", &samples::routes("r", "host", &[("/", "one")]));
    gateway.put(&TypeUrl::LISTENER, "l", &samples::listener("l", 0, "r", "l"));
    let envoy = gateway.envoy();
    let address = envoy.listener("l").await;
    let url = format!("http://{address}/");
    let serves = async |url: &str, name: &'static str| {
        let client = gateway.client.clone();
        until(
            name,
            || envoy.log(),
            async || {
                get(&client, url).await.filter(|(status, body)| *status == 200 && body == name)
            },
        )
        .await;
    };
    serves(&url, "one").await;

    gateway.put_backend("two", two);
    gateway.put(&TypeUrl::ROUTES, "r", &broken_routes("r", "two"));
    gateway.remove(&TypeUrl::CLUSTER, "one");
    gateway.remove(&TypeUrl::ENDPOINTS, "one");
    let refused = until(
        "refusal",
        || envoy.log(),
        async || {
            let cache = gateway.bound.fleet.cache();
            cache.refused().next().map(|(_, name, reason)| (name.to_string(), reason.to_string()))
        },
    )
    .await;
    assert_eq!(refused.0, "r");
    assert!(refused.1.contains("repetition operator"), "{}", refused.1);
    serves(&url, "one").await;

    let second = gateway.envoy();
    let new_url = format!("http://{}/", second.listener("l").await);
    serves(&new_url, "one").await;

    gateway.put(&TypeUrl::ROUTES, "r", &samples::routes("r", "host", &[("/", "two")]));
    serves(&url, "two").await;
    serves(&new_url, "two").await;
    assert_eq!(gateway.bound.fleet.cache().refused().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_under_load_fail_no_request() {
    let gateway = Gateway::start().await;
    let port = backend(&gateway.context, "up").await;
    gateway.put_backend("c0", port);
    gateway.put(&TypeUrl::ROUTES, "r", &samples::routes("r", "host", &[("/", "c0")]));
    gateway.put(&TypeUrl::LISTENER, "l", &samples::listener("l", 0, "r", "l"));
    let envoy = gateway.envoy();
    let url = format!("http://{}/", envoy.listener("l").await);
    until(
        "first answer",
        || envoy.log(),
        async || get(&gateway.client, &url).await.filter(|(status, _)| *status == 200),
    )
    .await;

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (client, url, stopped) = (gateway.client.clone(), url.clone(), stopped.clone());
        load.spawn(async move {
            let (mut good, mut bad) = (0_u64, Vec::new());
            while !*stopped.borrow() {
                match get(&client, &url).await {
                    Some((200, _)) => good += 1,
                    other => bad.push(other),
                }
            }
            (good, bad)
        });
    }
    // Each edit moves the route to a new cluster and deletes the one before.
    let mut edits = tokio::time::interval(Duration::from_millis(100));
    for edit in 1..=30 {
        edits.tick().await;
        let (new, old) = (format!("c{edit}"), format!("c{}", edit - 1));
        gateway.put_backend(&new, port);
        gateway.put(&TypeUrl::ROUTES, "r", &samples::routes("r", "host", &[("/", &new)]));
        gateway.remove(&TypeUrl::CLUSTER, &old);
        gateway.remove(&TypeUrl::ENDPOINTS, &old);
    }
    stop.send(true).unwrap();
    let mut total = 0;
    for (good, bad) in load.join_all().await {
        assert_eq!(bad, Vec::new(), "{}", envoy.log());
        total += good;
    }
    assert!(total > 100, "the load was no load: {total}");
    assert_eq!(gateway.bound.fleet.cache().refused().count(), 0);
}

/// Answers health checks of a cluster once it is let.
async fn reluctant(context: &Context) -> (u16, tokio::sync::watch::Sender<bool>) {
    let (let_go, answers) = tokio::sync::watch::channel(false);
    let router = axum::Router::new().fallback(move || {
        let mut answers = answers.clone();
        async move { answers.wait_for(|answers| *answers).await.map_or("gone", |_| "slow") }
    });
    let address = "127.0.0.1:0".parse().unwrap();
    let bound = nuncio_process::http::serve(context, "backend", address, router).await.unwrap();
    (bound.port(), let_go)
}

/// A cluster that is warm when a health check has been answered.
fn checked(name: &str) -> Vec<u8> {
    let mut cluster = Cluster::decode(samples::cluster(name, "").as_slice()).unwrap();
    let seconds = |seconds| Some(WireDuration { seconds, nanos: 0 });
    cluster.health_checks.push(HealthCheck {
        timeout: seconds(600),
        interval: seconds(600),
        unhealthy_threshold: Some(UInt32Value { value: 1 }),
        healthy_threshold: Some(UInt32Value { value: 1 }),
        health_checker: Some(HealthChecker::HttpHealthCheck(HttpHealthCheck {
            path: "/health".into(),
            ..HttpHealthCheck::default()
        })),
        ..HealthCheck::default()
    });
    cluster.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_wait_for_the_health_checks_of_a_new_cluster() {
    let gateway = Gateway::start().await;
    let one = backend(&gateway.context, "one").await;
    let (slow, let_go) = reluctant(&gateway.context).await;
    gateway.put_backend("one", one);
    gateway.put(&TypeUrl::ROUTES, "r", &samples::routes("r", "host", &[("/", "one")]));
    gateway.put(&TypeUrl::LISTENER, "l", &samples::listener("l", 0, "r", "l"));
    let envoy = gateway.envoy();
    let url = format!("http://{}/", envoy.listener("l").await);
    let answer = async |url: &str| get(&gateway.client, url).await;
    let name = "the first answer";
    until(name, || envoy.log(), async || answer(&url).await.filter(|a| a.1 == "one")).await;

    gateway.put(&TypeUrl::ENDPOINTS, "slow", &samples::endpoints("slow", slow));
    gateway.put(&TypeUrl::CLUSTER, "slow", &checked("slow"));
    gateway.put(&TypeUrl::ROUTES, "r", &samples::routes("r", "host", &[("/", "slow")]));
    let warming = async || {
        let stats = envoy.admin("/stats?filter=warming_clusters").await?;
        stats.contains("warming_clusters: 1").then_some(())
    };
    until("warming cluster", || envoy.log(), warming).await;
    // Envoy acknowledges clusters when all of them are warm, and not before.
    let clusters = async || {
        let metrics = format!("http://{}/metrics", gateway.bound.admin);
        let (_, text) = get(&gateway.client, &metrics).await.unwrap();
        let line = "nuncio_control_plane_acknowledged_total{resource=\"cluster\"} ";
        let value = text.lines().find_map(|text| text.strip_prefix(line)).unwrap();
        value.parse::<u64>().unwrap()
    };
    let acknowledged = clusters().await;
    for _ in 0..50 {
        assert_eq!(answer(&url).await, Some((200, "one".into())), "{}", envoy.log());
        assert_eq!(clusters().await, acknowledged);
    }
    let_go.send(true).unwrap();
    until("slow answer", || envoy.log(), async || answer(&url).await.filter(|a| a.1 == "slow"))
        .await;
    assert_eq!(clusters().await, acknowledged + 1);
}
