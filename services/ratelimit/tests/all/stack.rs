//! A running service and its clients.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use nuncio_process::Context;
use nuncio_ratelimit::{Bound, ConfigType, Settings, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::transport::Channel;

/// A service in this process, with a folder of its own.
pub(crate) struct Stack {
    pub(crate) context: Context,
    pub(crate) bound: Bound,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) client: RateLimitServiceClient<Channel>,
}

/// Settings of a service that reads `config` below a folder.
pub(crate) fn settings(folder: &tempfile::TempDir) -> Settings {
    let mut settings = Settings::local();
    settings.rules.config_type = ConfigType::File;
    settings.rules.runtime_root = folder.path().to_owned();
    // Tests share the machine: the deadline is proved where it matters.
    settings.store.store_deadline = Duration::from_secs(5);
    settings
}

impl Stack {
    /// Starts a service with one file of limits.
    pub(crate) async fn start(limits: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join("config/limits.yaml"), limits).unwrap();
        let mut settings = settings(&folder);
        change(&mut settings);
        Self::with(folder, settings).await.unwrap()
    }

    pub(crate) async fn with(
        folder: tempfile::TempDir,
        settings: Settings,
    ) -> anyhow::Result<Self> {
        let context = Context::new("ratelimit");
        let bound = start(settings, &context).await?;
        let client = RateLimitServiceClient::connect(format!("http://{}", bound.grpc)).await?;
        Ok(Self { context, bound, folder, client })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("config").join(name)
    }

    pub(crate) async fn check(
        &self,
        request: RateLimitRequest,
    ) -> Result<RateLimitResponse, tonic::Status> {
        let answer = self.client.clone().should_rate_limit(request).await?;
        Ok(answer.into_inner())
    }

    /// Sends one descriptor and says whether it was admitted.
    pub(crate) async fn admits(&self, domain: &str, entries: &[(&str, &str)]) -> bool {
        let response = self.check(request(domain, &[entries])).await.unwrap();
        response.overall_code() == Code::Ok
    }

    /// Sends one HTTP/1.1 request and returns status and body.
    pub(crate) async fn http(
        address: std::net::SocketAddr,
        method: &str,
        path: &str,
        body: &str,
    ) -> (u16, String) {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// Returns a number of the service, 0 when it is not there.
    pub(crate) async fn metric(&self, line_start: &str) -> f64 {
        let (_, text) = Self::http(self.bound.admin, "GET", "/metrics", "").await;
        let line = text.lines().find(|line| line.starts_with(line_start));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    pub(crate) async fn stop(self) {
        drop(self.client);
        self.context.drain.start();
        self.context.tasks.until_stopped(Duration::from_secs(10)).await.unwrap();
    }
}

pub(crate) fn request(domain: &str, descriptors: &[&[(&str, &str)]]) -> RateLimitRequest {
    let entry = |(key, value): &(&str, &str)| Entry { key: (*key).into(), value: (*value).into() };
    RateLimitRequest {
        domain: domain.into(),
        descriptors: descriptors
            .iter()
            .map(|entries| RateLimitDescriptor {
                entries: entries.iter().map(entry).collect(),
                ..Default::default()
            })
            .collect(),
        hits_addend: 0,
    }
}

/// Waits until a condition holds, at most ten seconds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
