//! The task that owns the connection to Redis.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use nuncio_limits::{Act, Charge, Count, Now, STEPS, Window};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, RedisError, Value};
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::scripts::{REFUND, SLIDING};

/// Checks of one pipeline. More would make the first wait for the last.
const BATCH: usize = 256;

/// Pipelines on the way at once; the next forms meanwhile. Enough to fill a
/// link of several milliseconds, few enough that batches form under load.
const IN_FLIGHT: usize = 8;

/// Failures in a row after which the store counts as down.
const PATIENCE: u32 = 5;

/// Wait between two tries of a store that is down.
const RETRY: Duration = Duration::from_millis(100);

/// Longest wait for a connection and its first answer.
const CONNECT: Duration = Duration::from_millis(500);

/// Grace in a key's life: replicas' clocks differ.
const SKEW_SECONDS: u64 = 1;

/// The charges of one check.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) charges: Vec<Charge>,
    pub(super) now: Now,
    pub(super) reply: oneshot::Sender<Result<Vec<Count>, StoreError>>,
}

/// What is known of the connection. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Link(Arc<LinkState>);

#[derive(Debug, Default)]
struct LinkState {
    up: AtomicBool,
    ambiguous: AtomicU64,
    commands: AtomicU64,
    batches: AtomicU64,
}

impl Link {
    /// Says whether the last try of the store succeeded.
    pub fn is_up(&self) -> bool {
        self.0.up.load(Ordering::Relaxed)
    }

    /// Returns how many checks timed out with their charges perhaps applied.
    pub fn ambiguous(&self) -> u64 {
        self.0.ambiguous.load(Ordering::Relaxed)
    }

    /// Returns how many counters were charged by commands, and in how many
    /// pipelines.
    pub fn traffic(&self) -> (u64, u64) {
        (self.0.commands.load(Ordering::Relaxed), self.0.batches.load(Ordering::Relaxed))
    }

    pub(super) fn count_ambiguous(&self) {
        self.0.ambiguous.fetch_add(1, Ordering::Relaxed);
    }

    fn set(&self, up: bool) {
        self.0.up.store(up, Ordering::Relaxed);
    }
}

pub(super) struct Writer {
    pub(super) client: redis::Client,
    pub(super) deadline: Duration,
    pub(super) prefix: String,
    pub(super) jitter: u32,
    pub(super) link: Link,
}

type Connecting = Pin<Box<dyn Future<Output = Result<MultiplexedConnection, RedisError>> + Send>>;

/// How one pipeline ended.
enum Outcome {
    Answered,
    /// The connection is of no use any more.
    Lost,
    Failed,
}

impl Writer {
    /// Works until every sender is gone: checks in progress at the drain are
    /// still answered.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Job>) -> anyhow::Result<()> {
        let mut connection: Option<MultiplexedConnection> = None;
        let mut connecting = self.connect(Duration::ZERO);
        let mut in_flight = FuturesUnordered::new();
        let mut failures = 0;
        let mut told = false;
        loop {
            let mut jobs = Vec::new();
            tokio::select! {
                taken = queue.recv_many(&mut jobs, BATCH), if in_flight.len() < IN_FLIGHT => {
                    if taken == 0 {
                        return Ok(());
                    }
                    match &connection {
                        Some(connection) => in_flight.push(self.send(connection.clone(), jobs)),
                        None => refuse(jobs),
                    }
                }
                Some(outcome) = in_flight.next(), if !in_flight.is_empty() => {
                    failures = if matches!(outcome, Outcome::Answered) { 0 } else { failures + 1 };
                    let lost = matches!(outcome, Outcome::Lost) || failures >= PATIENCE;
                    if lost && connection.is_some() {
                        tracing::warn!("redis is not answering, checks fail until it does");
                        (connection, failures, told) = (None, 0, true);
                        self.link.set(false);
                        connecting = self.connect(Duration::ZERO);
                    }
                }
                tried = &mut connecting, if connection.is_none() => match tried {
                    Ok(new) => {
                        tracing::info!("redis is answering");
                        (connection, told) = (Some(new), false);
                        self.link.set(true);
                    }
                    Err(error) => {
                        if !told {
                            tracing::warn!(error = nuncio_process::chain(&error), "redis is unreachable, retrying");
                            told = true;
                        }
                        connecting = self.connect(RETRY);
                    }
                }
            }
        }
    }

    fn connect(&self, wait: Duration) -> Connecting {
        let client = self.client.clone();
        let deadline = self.deadline;
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            // Late answers are of no use to anyone; twice the deadline keeps a
            // pipeline from being given up just before its checks are.
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT))
                .set_response_timeout(Some(deadline * 2));
            let tried = async {
                let mut new = client.get_multiplexed_async_connection_with_config(&config).await?;
                redis::cmd("PING").query_async::<()>(&mut new).await?;
                Ok(new)
            };
            tokio::time::timeout(CONNECT, tried).await.unwrap_or_else(|_late| {
                Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())
            })
        })
    }

    /// Sends one pipeline and answers its jobs.
    fn send(
        &self,
        mut connection: MultiplexedConnection,
        mut jobs: Vec<Job>,
    ) -> impl Future<Output = Outcome> + Send + use<> {
        // Nobody waits for these any more, and nothing was charged for them.
        jobs.retain(|job| !job.reply.is_closed());
        let batch = Batch::new(&jobs, &self.prefix, self.jitter);
        self.link.0.commands.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.link.0.batches.fetch_add(1, Ordering::Relaxed);
        async move {
            if jobs.is_empty() {
                return Outcome::Answered;
            }
            let answers: Result<Vec<Value>, RedisError> =
                batch.pipeline.query_async(&mut connection).await;
            match answers {
                Ok(answers) => batch.answer(jobs, &answers),
                Err(error) => {
                    tracing::debug!(error = nuncio_process::chain(&error), "redis failed");
                    let lost = error.is_connection_dropped() || error.is_unrecoverable_error();
                    let reason =
                        if error.is_timeout() { StoreError::Timeout } else { StoreError::Down };
                    for job in jobs {
                        // A check that gave up has its answer.
                        let _gone = job.reply.send(Err(reason));
                    }
                    if lost && !error.is_timeout() { Outcome::Lost } else { Outcome::Failed }
                }
            }
        }
    }
}

fn refuse(jobs: Vec<Job>) {
    for job in jobs {
        let _gone = job.reply.send(Err(StoreError::Down));
    }
}

/// One pipeline and who waits for which of its answers.
struct Batch {
    pipeline: Pipeline,
    /// For each charge of each job in order: its command and, for sums, the
    /// hits of this and all earlier charges of the same command.
    places: Vec<Place>,
    /// Hits of each command that is a sum.
    sums: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    command: usize,
    upto: u64,
}

impl Batch {
    fn new(jobs: &[Job], prefix: &str, jitter: u32) -> Self {
        let mut pipeline = Pipeline::new();
        pipeline.ignore_errors();
        let mut places = Vec::new();
        let mut sums: Vec<u64> = Vec::new();
        // Commands in order; adds to one counter are one command.
        let mut adds: HashMap<String, usize> = HashMap::new();
        let mut commands: Vec<(String, &Charge, Now)> = Vec::new();
        for job in jobs {
            for charge in &job.charges {
                let name = charge.name(prefix);
                let (Act::Add(hits), Window::Fixed { .. }) = (charge.act, charge.window) else {
                    places.push(Place { command: commands.len(), upto: 0 });
                    commands.push((name, charge, job.now));
                    sums.push(0);
                    continue;
                };
                let command = *adds.entry(name).or_insert_with_key(|name| {
                    commands.push((name.clone(), charge, job.now));
                    sums.push(0);
                    commands.len() - 1
                });
                sums[command] = sums[command].saturating_add(hits);
                places.push(Place { command, upto: sums[command] });
            }
        }
        for (index, (name, charge, now)) in commands.iter().enumerate() {
            write(&mut pipeline, name, charge, *now, sums[index], jitter);
        }
        Self { pipeline, places, sums }
    }

    fn len(&self) -> usize {
        self.sums.len()
    }

    /// Hands every job its counts. The store applied the sum at once, in which
    /// the charges stand in order of arrival.
    fn answer(&self, jobs: Vec<Job>, answers: &[Value]) -> Outcome {
        let mut places = self.places.iter();
        let mut outcome = Outcome::Answered;
        for job in jobs {
            let counts: Result<Vec<Count>, StoreError> = job
                .charges
                .iter()
                .zip(places.by_ref())
                .map(|(charge, place)| {
                    let answer = answers.get(place.command).ok_or(StoreError::Refused)?;
                    let later = self.sums[place.command] - place.upto;
                    count(charge, answer, later).ok_or(StoreError::Refused)
                })
                .collect();
            if counts.is_err() {
                outcome = Outcome::Failed;
            }
            let _gone = job.reply.send(counts);
        }
        if let Some(error) = answers.iter().find_map(|a| a.clone().extract_error().err()) {
            tracing::debug!(error = nuncio_process::chain(&error), "redis refused");
            if error.is_unrecoverable_error() || error.code() == Some("READONLY") {
                return Outcome::Lost;
            }
        }
        outcome
    }
}

/// Appends the commands of one charge, of which exactly one is answered.
fn write(pipeline: &mut Pipeline, name: &str, charge: &Charge, now: Now, sum: u64, jitter: u32) {
    let left = charge.span.end.saturating_sub(now.millis());
    match (charge.window, charge.act) {
        (Window::Fixed { .. }, Act::Add(_)) => {
            let extra = if jitter > 0 { rand::random_range(0..=u64::from(jitter)) } else { 0 };
            let seconds = left.div_ceil(1_000) + SKEW_SECONDS + extra;
            pipeline.cmd("INCRBY").arg(name).arg(sum);
            pipeline.cmd("EXPIRE").arg(name).arg(seconds).ignore();
        }
        (Window::Fixed { .. }, Act::Look) => {
            pipeline.cmd("GET").arg(name);
        }
        (Window::Fixed { .. }, Act::Refund(hits)) => {
            pipeline.cmd("EVAL").arg(REFUND).arg(1).arg(name).arg(charge.limit).arg(hits);
        }
        (Window::Sliding { .. }, act) => {
            let (word, hits) = match act {
                Act::Add(hits) => ("add", hits),
                Act::Look => ("look", 0),
                Act::Refund(hits) => ("refund", hits),
            };
            let part = charge.span.end - charge.span.start;
            let life = (STEPS + 1) * part + SKEW_SECONDS * 1_000;
            let script = pipeline.cmd("EVAL").arg(SLIDING).arg(1).arg(name);
            script
                .arg(word)
                .arg(charge.span.index)
                .arg(STEPS)
                .arg(charge.limit)
                .arg(hits)
                .arg(life);
        }
    }
}

/// Reads one answer; `later` hits of the same command came after this charge.
fn count(charge: &Charge, answer: &Value, later: u64) -> Option<Count> {
    let number = |value: &Value| match value {
        Value::Int(value) => u64::try_from(*value).ok(),
        Value::BulkString(text) => std::str::from_utf8(text).ok()?.parse::<u64>().ok(),
        Value::Nil => Some(0),
        _ => None,
    };
    match (charge.window, answer) {
        (Window::Fixed { .. }, answer) => Some(Count::fixed(number(answer)?.saturating_sub(later))),
        (Window::Sliding { .. }, Value::Array(pair)) => {
            let [after, oldest] = pair.as_slice() else { return None };
            let part = charge.span.end - charge.span.start;
            let relief = match oldest {
                Value::Int(oldest @ 0..) => (oldest.unsigned_abs() + STEPS + 1) * part,
                _ => 0,
            };
            Some(Count { after: number(after)?, relief, cached: false })
        }
        _ => None,
    }
}
