//! Limits from a control plane, over both protocols.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::ratelimit::config::ratelimit::v3 as pb;
use nuncio_process::{Context, grpc};
use nuncio_proto::ratelimit::v1 as overlay;
use nuncio_ratelimit::{ConfigType, Settings};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::stack::{Stack, until};

const TYPE_URL: &str = "type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig";

type Configs = BTreeMap<String, Vec<u8>>;

/// A control plane that serves whatever the channel holds and tells refusals.
#[derive(Clone)]
struct Plane {
    configs: watch::Receiver<Configs>,
    refusals: mpsc::Sender<String>,
}

/// The test's side of a plane.
struct Handle {
    address: SocketAddr,
    configs: watch::Sender<Configs>,
    refusals: mpsc::Receiver<String>,
    context: Context,
}

impl Handle {
    async fn start() -> Self {
        let context = Context::new("plane");
        let (configs, served) = watch::channel(Configs::new());
        let (refusals, refused) = mpsc::channel(64);
        let plane = Plane { configs: served, refusals };
        let routes = Routes::new(AggregatedDiscoveryServiceServer::new(plane));
        let address = "127.0.0.1:0".parse().unwrap();
        let address = grpc::serve(&context, "plane", address, routes, &[]).await.unwrap();
        Self { address, configs, refusals: refused, context }
    }

    fn set(&self, name: &str, bytes: Vec<u8>) {
        self.configs.send_modify(|configs| drop(configs.insert(name.into(), bytes)));
    }
}

type Answers<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Plane {
    type StreamAggregatedResourcesStream = Answers<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Answers<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let (mut plane, mut requests) = (self.clone(), request.into_inner());
        let (answers, stream) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut version = 0;
            while let Ok(Some(request)) = requests.message().await {
                if let Some(error) = request.error_detail {
                    plane.refusals.send(error.message).await.unwrap();
                }
                if version > 0 && plane.configs.changed().await.is_err() {
                    return;
                }
                version += 1;
                let configs = plane.configs.borrow_and_update().clone();
                let any = |value| Any { type_url: TYPE_URL.into(), value };
                let response = DiscoveryResponse {
                    version_info: version.to_string(),
                    nonce: version.to_string(),
                    type_url: TYPE_URL.into(),
                    resources: configs.into_values().map(any).collect(),
                    ..Default::default()
                };
                if answers.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (mut plane, mut requests) = (self.clone(), request.into_inner());
        let (answers, stream) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut sent = Configs::new();
            let mut nonce = 0;
            while let Ok(Some(request)) = requests.message().await {
                if let Some(error) = request.error_detail {
                    plane.refusals.send(error.message).await.unwrap();
                }
                if nonce > 0 && plane.configs.changed().await.is_err() {
                    return;
                }
                nonce += 1;
                let configs = plane.configs.borrow_and_update().clone();
                let changed =
                    configs.iter().filter(|(name, bytes)| sent.get(*name) != Some(*bytes));
                let resources = changed.map(|(name, bytes)| Resource {
                    name: name.clone(),
                    version: nonce.to_string(),
                    resource: Some(Any { type_url: TYPE_URL.into(), value: bytes.clone() }),
                    ..Default::default()
                });
                let response = DeltaDiscoveryResponse {
                    nonce: nonce.to_string(),
                    type_url: TYPE_URL.into(),
                    resources: resources.collect(),
                    removed_resources: sent
                        .keys()
                        .filter(|k| !configs.contains_key(*k))
                        .cloned()
                        .collect(),
                    ..Default::default()
                };
                sent = configs;
                if answers.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

fn tree(name: &str, domain: &str, requests: u32) -> Vec<u8> {
    let policy = pb::RateLimitPolicy {
        unit: pb::RateLimitUnit::Year.into(),
        requests_per_unit: requests,
        ..Default::default()
    };
    pb::RateLimitConfig {
        name: name.into(),
        domain: domain.into(),
        descriptors: vec![pb::RateLimitDescriptor {
            key: "k".into(),
            rate_limit: Some(policy),
            ..Default::default()
        }],
    }
    .encode_to_vec()
}

/// The same with a prefix pattern on top, `k: *` at `rate` an hour.
fn object(name: &str, domain: &str, rate: u64, header: &str) -> Vec<u8> {
    let label = overlay::Label { key: "k".into(), value: "*".into() };
    let limit = overlay::Limit {
        name: "one.default-0".into(),
        patterns: vec![overlay::Pattern { labels: vec![overlay::Labels { any_of: vec![label] }] }],
        rate,
        unit_seconds: 3_600,
        inject_response_headers: vec![overlay::Header {
            name: "x-limit".into(),
            value: header.into(),
        }],
        ..Default::default()
    };
    let mut bytes = tree(name, domain, 1_000);
    bytes.extend(overlay::RateLimitConfigOverlay { limits: vec![limit] }.encode_to_vec());
    bytes
}

async fn start(plane: &Handle, protocol: ConfigType) -> Stack {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::local().with_control_plane(plane.address.to_string());
    settings.rules.config_type = protocol;
    Stack::with(folder, settings).await.unwrap()
}

async fn until_in_force(stack: &Stack, line: &str) {
    until("the limit is in force", async || {
        Stack::http(stack.bound.admin, "GET", "/rlconfig", "").await.1.contains(line)
    })
    .await;
}

async fn a_life(protocol: ConfigType) {
    let mut plane = Handle::start().await;
    plane.set("a", tree("a", "d", 1));
    let stack = start(&plane, protocol).await;
    tokio::time::timeout(Duration::from_secs(10), stack.context.ready.ready()).await.unwrap();
    until_in_force(&stack, "d.k: unit=YEAR requests_per_unit=1,").await;
    assert!(stack.admits("d", &[("k", "v")]).await);
    assert!(!stack.admits("d", &[("k", "v")]).await);

    // An object's limit matches what only begins with its pattern.
    plane.set("b", object("b", "e", 2, "{{ .RateLimitResponse.OverallCode }}"));
    until_in_force(&stack, "e.one.default-0: unit=HOUR requests_per_unit=2,").await;
    let entries = [("k", "v"), ("more", "labels")];
    for _ in 0..2 {
        assert!(stack.admits("e", &entries).await);
    }
    assert!(!stack.admits("e", &entries).await);

    // A template that cannot be used is refused and what was good stays. By
    // delta the rest proceeds; a state of the world is taken whole or not.
    plane.set("b", object("b", "e", 3, "{{ range . }}{{ end }}"));
    let refusal = tokio::time::timeout(Duration::from_secs(10), plane.refusals.recv()).await;
    assert!(refusal.unwrap().unwrap().contains("`range` is not supported"));
    plane.set("a", tree("a", "d", 5));
    if protocol == ConfigType::GrpcXdsDelta {
        until_in_force(&stack, "d.k: unit=YEAR requests_per_unit=5,").await;
    }
    until_in_force(&stack, "e.one.default-0: unit=HOUR requests_per_unit=2,").await;
    plane.set("b", object("b", "e", 4, "ok"));
    until_in_force(&stack, "e.one.default-0: unit=HOUR requests_per_unit=4,").await;
    until_in_force(&stack, "d.k: unit=YEAR requests_per_unit=5,").await;
    assert!(stack.admits("d", &[("k", "v")]).await, "the raised limit keeps the count");
    stack.stop().await;
    plane.context.drain.start();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_follow_the_control_plane_over_delta() {
    a_life(ConfigType::GrpcXdsDelta).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_follow_the_control_plane_over_state_of_the_world() {
    a_life(ConfigType::GrpcXdsSotw).await;
}
