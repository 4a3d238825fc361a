//! Counters in Redis or Valkey, shared by all replicas.
//!
//! A fixed window is one `INCRBY` and one `EXPIRE`. One task owns the
//! connection; checks that arrive while it writes leave together in the next
//! pipeline, equal counters among them as one `INCRBY` of the sum, and each
//! check gets the count it would have got alone. A check is one round trip.
//!
//! The store is never waited for longer than the deadline. After failures in a
//! row, or a lost connection, checks fail at once while the task tries the
//! store in the background.

use std::time::Duration;

use nuncio_limits::{Charge, Count, Now};
use nuncio_process::{Context, Hidden};
use tokio::sync::{mpsc, oneshot};

use super::Link;
use super::denials::Denials;
use super::writer::{Job, Writer};
use super::{Counters, StoreError};

/// Checks that may wait for the writer: at the default deadline more could not
/// be answered in time at 400,000 checks a second.
const QUEUE: usize = 4_096;

/// How to reach and use the server.
#[derive(Debug, Clone)]
pub struct Options {
    /// `redis://…`, `redis+unix://…`, `host:port`, or the path of a socket.
    pub url: Hidden<String>,
    /// `password` or `user:password`, when the URL has none.
    pub auth: Option<Hidden<String>>,
    /// Longest wait of a check.
    pub deadline: Duration,
    /// Put before every key.
    pub prefix: String,
    /// Upper bound of a random addition to each key's life, in seconds.
    pub expiration_jitter: u32,
    /// Memory for remembered denials, in bytes; 0 remembers none.
    pub denial_bytes: usize,
}

/// Why Redis cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The address is none.
    #[error("the Redis address is not a URL such as `redis://host:6379`, a `host:port` or a path")]
    Address(#[source] redis::RedisError),
}

/// Counters in Redis.
#[derive(Debug)]
pub struct Redis {
    jobs: mpsc::Sender<Job>,
    denials: Denials,
    deadline: Duration,
    link: Link,
}

impl Redis {
    /// Starts the task that owns the connection. A server that does not answer
    /// is no error: it is tried until it does.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn start(context: &Context, options: &Options) -> Result<Self, OptionsError> {
        let client = client(options).map_err(OptionsError::Address)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let link = Link::default();
        let writer = Writer {
            client,
            deadline: options.deadline,
            prefix: options.prefix.clone(),
            jitter: options.expiration_jitter,
            link: link.clone(),
        };
        context.tasks.spawn("redis", writer.run(queue));
        let denials = Denials::new(options.denial_bytes);
        Ok(Self { jobs, denials, deadline: options.deadline, link })
    }

    /// Returns what is known of the connection.
    pub fn link(&self) -> &Link {
        &self.link
    }

    async fn ask(&self, charges: Vec<Charge>, now: Now) -> Result<Vec<Count>, StoreError> {
        if !self.link.is_up() {
            return Err(StoreError::Down);
        }
        let (reply, answer) = oneshot::channel();
        let job = Job { charges, now, reply };
        self.jobs.try_send(job).map_err(|_full| StoreError::Overloaded)?;
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(Ok(counts)) => counts,
            // The task ends only with the process.
            Ok(Err(_gone)) => Err(StoreError::Down),
            Err(_late) => {
                self.link.count_ambiguous();
                Err(StoreError::Timeout)
            }
        }
    }
}

impl Counters for Redis {
    async fn charge(&self, charges: &[Charge], now: Now) -> Result<Vec<Count>, StoreError> {
        let recalled: Vec<Option<Count>> = charges.iter().map(|c| self.denials.recall(c)).collect();
        let asked: Vec<Charge> = charges
            .iter()
            .zip(&recalled)
            .filter(|(_, known)| known.is_none())
            .map(|(charge, _)| charge.clone())
            .collect();
        if asked.is_empty() {
            return Ok(recalled.into_iter().flatten().collect());
        }
        let mut answered = self.ask(asked, now).await?.into_iter();
        let mut counts = Vec::with_capacity(charges.len());
        for (charge, known) in charges.iter().zip(recalled) {
            let count = match known {
                Some(count) => count,
                None => {
                    let count = answered.next().ok_or(StoreError::Refused)?;
                    self.denials.note(charge, count, now);
                    count
                }
            };
            counts.push(count);
        }
        Ok(counts)
    }
}

fn client(options: &Options) -> Result<redis::Client, redis::RedisError> {
    use redis::IntoConnectionInfo as _;
    let address = options.url.reveal();
    let url = if address.contains("://") {
        address.clone()
    } else if address.starts_with('/') {
        format!("redis+unix://{address}")
    } else {
        format!("redis://{address}")
    };
    let mut info = url.into_connection_info()?;
    if let Some(auth) = &options.auth
        && info.redis_settings().password().is_none()
    {
        let settings = match auth.reveal().split_once(':') {
            Some((user, password)) => {
                info.redis_settings().clone().set_username(user).set_password(password)
            }
            None => info.redis_settings().clone().set_password(auth.reveal()),
        };
        info = info.set_redis_settings(settings);
    }
    redis::Client::open(info)
}
