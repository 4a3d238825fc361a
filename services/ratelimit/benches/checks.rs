//! Checks a second and CPU time a check: a server that answers OK to
//! everything (the floor of the transport), this service counting in process,
//! and this service counting in Redis.
//!
//! Every server is a process of its own, so that its CPU time can be told from
//! that of the load. Rounds alternate between the servers; medians are shown,
//! and multiples of the floor in the same run, because machines differ.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use nuncio_process::{Context, grpc};
use nuncio_ratelimit::{ConfigType, Settings, start};
use nuncio_testing::redis::Redis;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURE: Duration = Duration::from_secs(2);
const IN_FLIGHT: [usize; 2] = [16, 256];
const CONNECTIONS: usize = 4;
const SERVERS: [&str; 3] = ["no-op", "memory", "redis"];
/// `USER_HZ` on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

const LIMITS: &str = "
domain: bench
descriptors:
- {key: client, rate_limit: {unit: hour, requests_per_unit: 4000000000}}
";

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "serve") {
        return runtime.block_on(serve(&arguments[at + 1..]));
    }
    runtime.block_on(compare())
}

/// Serves until the parent ends this process.
async fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let context = Context::new("ratelimit");
    let folder = tempfile::tempdir()?;
    let address = match arguments {
        [kind, ..] if kind == "no-op" => {
            let routes = Routes::new(RateLimitServiceServer::new(Floor));
            grpc::serve(&context, "floor", "127.0.0.1:0".parse()?, routes, &[]).await?
        }
        [_, redis @ ..] => {
            std::fs::create_dir(folder.path().join("config"))?;
            std::fs::write(folder.path().join("config/limits.yaml"), LIMITS)?;
            let mut settings = Settings::local();
            settings.rules.config_type = ConfigType::File;
            settings.rules.runtime_root = folder.path().to_owned();
            if let [url] = redis {
                settings = settings.with_redis(url);
                // Saturation is measured, not the deadline.
                settings.store.store_deadline = Duration::from_secs(5);
            }
            start(settings, &context).await?.grpc
        }
        [] => anyhow::bail!("say what to serve"),
    };
    println!("{address}");
    std::future::pending().await
}

/// Answers OK without looking.
struct Floor;

#[tonic::async_trait]
impl RateLimitService for Floor {
    async fn should_rate_limit(
        &self,
        _request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        Ok(Response::new(RateLimitResponse {
            overall_code: Code::Ok.into(),
            ..RateLimitResponse::default()
        }))
    }
}

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(kind: &str, redis: &Redis) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", kind]).stdout(Stdio::piped()).stderr(Stdio::null());
        if kind == "redis" {
            command.arg(redis.url());
        }
        let mut process = command.spawn()?;
        let output = process.stdout.take().expect("standard output was asked for");
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        Ok(Self { process, address: format!("http://{}", address.trim()) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Measured {
    per_second: f64,
    cpu_micros: f64,
    redis_micros: f64,
    p50_micros: f64,
    p99_micros: f64,
}

async fn compare() -> anyhow::Result<()> {
    let redis = Redis::start()?;
    let servers: Vec<Server> =
        SERVERS.iter().map(|kind| Server::start(kind, &redis)).collect::<Result<_, _>>()?;
    println!(
        "| Server | In flight | Checks/s | CPU a check | ÷ no-op | Redis CPU a check | p50 | p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for in_flight in IN_FLIGHT {
        let mut results: Vec<Vec<Measured>> = vec![Vec::new(); servers.len()];
        for _ in 0..ROUNDS {
            for (server, results) in servers.iter().zip(&mut results) {
                load(server, in_flight, WARM_UP, None).await?;
                results.push(load(server, in_flight, MEASURE, redis.id()).await?);
            }
        }
        let floor = median(&results[0], |m| m.cpu_micros);
        for (kind, results) in SERVERS.iter().zip(&results) {
            let cpu = median(results, |m| m.cpu_micros);
            println!(
                "| {kind} | {in_flight} | {:.0} | {cpu:.1} µs | {:.2} | {:.1} µs | {:.0} µs | {:.0} µs |",
                median(results, |m| m.per_second),
                cpu / floor,
                median(results, |m| m.redis_micros),
                median(results, |m| m.p50_micros),
                median(results, |m| m.p99_micros),
            );
        }
    }
    Ok(())
}

/// Keeps `in_flight` checks on the way for some time.
async fn load(
    server: &Server,
    in_flight: usize,
    time: Duration,
    redis: Option<u32>,
) -> anyhow::Result<Measured> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(RateLimitServiceClient::connect(server.address.clone()).await?);
    }
    let before = (cpu_seconds(Some(server.process.id())), cpu_seconds(redis));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..in_flight {
        let mut client = clients[task % CONNECTIONS].clone();
        tasks.spawn(async move {
            let mut waits = Vec::new();
            while begun.elapsed() < time {
                let sent = Instant::now();
                let value = format!("client-{}", (task * 7_919 + waits.len()) % 10_000);
                let answer = client.should_rate_limit(request(value)).await?;
                anyhow::ensure!(answer.get_ref().overall_code() == Code::Ok, "a check was denied");
                waits.push(sent.elapsed());
            }
            anyhow::Ok(waits)
        });
    }
    let mut waits = Vec::new();
    while let Some(done) = tasks.join_next().await {
        waits.extend(done??);
    }
    let elapsed = begun.elapsed().as_secs_f64();
    waits.sort_unstable();
    let checks = waits.len() as f64;
    let spent = |now: f64, before: f64| (now - before) * 1e6 / checks;
    let quantile = |of: f64| waits[((checks - 1.0) * of) as usize].as_secs_f64() * 1e6;
    Ok(Measured {
        per_second: checks / elapsed,
        cpu_micros: spent(cpu_seconds(Some(server.process.id())), before.0),
        redis_micros: spent(cpu_seconds(redis), before.1),
        p50_micros: quantile(0.5),
        p99_micros: quantile(0.99),
    })
}

fn request(value: String) -> RateLimitRequest {
    let entry = Entry { key: "client".into(), value };
    RateLimitRequest {
        domain: "bench".into(),
        descriptors: vec![RateLimitDescriptor { entries: vec![entry], ..Default::default() }],
        hits_addend: 0,
    }
}

/// Returns user and system time of a process, 0 when there is none.
fn cpu_seconds(id: Option<u32>) -> f64 {
    let text = id.and_then(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).ok());
    let text = text.unwrap_or_default();
    // Fields 14 and 15; the name before them may hold spaces.
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

fn median(results: &[Measured], of: fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = results.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
