//! What requests notice of changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nuncio_integration_tests::{Client, Stack};
use reqwest::{Certificate, Method};

use crate::changes::Changes;
use crate::world::{self, DOMAIN};
use crate::{grouped, say};

/// Mappings beside those that change.
const MAPPINGS: usize = 1000;
const CHANGES: usize = 1000;
/// Between two changes.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the load lasts without changes.
const CALM: Duration = Duration::from_secs(15);
/// Clients of each kind; each asks without a pause.
const CLIENTS: usize = 3;
/// What clients without TLS ask for, in turn.
const PATHS: [&str; 4] = ["/m7/", "/edited/", "/canary/", "/churn/"];
/// Failures that are told; all are counted.
const TOLD: usize = 5;

pub(crate) async fn run() -> bool {
    let builder = Stack::builder().backend("first").await.backend("second").await;
    let endpoints = ["first", "second"].map(|name| builder.backend_named(name).address());
    let certificates = [world::certificate(), world::certificate()];
    let changes = Changes { certificates, endpoints };
    changes.begin(builder.files());
    world::one_host(builder.files(), MAPPINGS, |_| "first".to_owned());
    let hosts = [world::host("h0").as_str(), world::any_host()].join("---\n");
    let stack = builder.file("hosts.yaml", &hosts).start().await;
    // What the load asks for must be there before a failure counts.
    for path in PATHS {
        stack.until_status(path, 200).await;
    }
    let calm = load(&stack, &changes, false).await;
    let busy = load(&stack, &changes, true).await;
    stack.until_status(PATHS[0], 200).await;
    say("| Load | Changes | Requests | Requests/s | Failed |");
    say("|---|---|---|---|---|");
    calm.say("at rest", 0);
    busy.say("a change each 50 ms", CHANGES);
    for failure in busy.failures.iter().chain(&calm.failures).take(TOLD) {
        say(failure);
    }
    calm.failures.is_empty() && busy.failures.is_empty()
}

/// What requests noticed.
#[derive(Debug, Default)]
struct Load {
    answered: usize,
    failures: Vec<String>,
    lasted: Duration,
}

impl Load {
    fn say(&self, what: &str, changes: usize) {
        let asked = self.answered + self.failures.len();
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rate = asked as f64 / self.lasted.as_secs_f64();
        let (changes, asked) = (grouped(changes), grouped(asked));
        let failed = self.failures.len();
        say(&format!("| {what} | {changes} | {asked} | {rate:.0} | {failed} |"));
    }
}

async fn load(stack: &Stack, changes: &Changes, change: bool) -> Load {
    let stop = Arc::new(AtomicBool::new(false));
    let began = tokio::time::Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .flat_map(|_| {
            [cleartext(stack), secure(stack, changes, true), secure(stack, changes, false)]
        })
        .map(|asker| tokio::spawn(asker.ask(Arc::clone(&stop))))
        .collect();
    if change {
        let mut ticks = tokio::time::interval(PAUSE);
        for number in 0..CHANGES {
            ticks.tick().await;
            changes.make(stack.files(), number);
        }
    } else {
        tokio::time::sleep(CALM).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut sum = Load::default();
    for client in clients {
        let load = client.await.expect("a client does not panic");
        sum.answered += load.answered;
        sum.failures.extend(load.failures);
    }
    Load { lasted: began.elapsed(), ..sum }
}

/// One client and what it asks for, in turn.
struct Asker {
    client: Client,
    urls: Vec<String>,
    /// `host` of its requests.
    host: String,
}

impl Asker {
    async fn ask(self, stop: Arc<AtomicBool>) -> Load {
        let mut load = Load::default();
        for url in self.urls.iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match self.client.request(Method::GET, url).header("host", &self.host).send().await {
                Ok(answer) if answer.status() == 200 => match answer.bytes().await {
                    Ok(_) => load.answered += 1,
                    Err(error) => load.failures.push(format!("{url}: {error:?}")),
                },
                Ok(answer) => load.failures.push(format!("{url}: {}", answer.status())),
                Err(error) => load.failures.push(format!("{url}: {error:?}")),
            }
        }
        load
    }
}

fn cleartext(stack: &Stack) -> Asker {
    let urls = PATHS.iter().map(|path| format!("http://{}{path}", stack.http())).collect();
    Asker { client: Client::new(), urls, host: stack.http().to_string() }
}

/// A client of the Host with TLS, which keeps its connection or makes a new one
/// for every request.
fn secure(stack: &Stack, changes: &Changes, keeps: bool) -> Asker {
    let host = format!("h0.{DOMAIN}");
    let authorities = changes.certificates.each_ref().map(|bundle| {
        Certificate::from_pem(bundle.authority.as_bytes()).expect("we made it as PEM")
    });
    let client = Client::with(|builder| {
        let builder = builder.tls_certs_only(authorities).resolve(&host, stack.https());
        if keeps { builder } else { builder.http1_only().pool_max_idle_per_host(0) }
    });
    let urls = vec![format!("https://{host}:{}{}", stack.https().port(), PATHS[0])];
    Asker { client, urls, host }
}
