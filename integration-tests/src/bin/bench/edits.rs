//! From the rename of a file to the first answer that shows its content.

use std::time::{Duration, Instant};

use nuncio_integration_tests::{Client, PATIENCE, Stack, mapping};
use reqwest::Method;

use crate::world::{self, DOMAIN};
use crate::{grouped, say};

/// Edits whose way into effect is timed; the first ones only warm up.
const EDITS: usize = 200;
const WARM_UP: usize = 10;
/// Between two edits, so that none is part of a burst.
const PAUSE: Duration = Duration::from_millis(200);
const PREFIX: &str = "/edited/";

pub(crate) async fn run() -> bool {
    say("| File saved to in effect | p50 | p90 | p99 | longest |");
    say("|---|---|---|---|---|");
    for count in [1000, 10_000] {
        one_host(count).await;
    }
    many_hosts(10_000).await;
    true
}

async fn one_host(count: usize) {
    let builder = Stack::builder().backend("first").await.backend("second").await;
    world::one_host(builder.files(), count, |_| "first".to_owned());
    let stack = builder.mapping("edited", PREFIX, "first").start().await;
    let url = format!("http://{}{PREFIX}", stack.http());
    let text = |service: &str| mapping("edited", PREFIX, service);
    let what = format!("{} Mappings on one host", grouped(count));
    time(&what, &stack, text, || stack.client().request(Method::GET, &url)).await;
}

async fn many_hosts(count: usize) {
    let builder = Stack::builder().backend("first").await.backend("second").await;
    let certificate = world::certificate();
    builder.files().write("certificate.yaml", world::secret(&certificate));
    world::many_hosts(builder.files(), count, "first");
    let text = |service: &str| world::mapping_of("h0", "edited", PREFIX, service);
    let stack = builder.file("mapping-edited.yaml", &text("first")).start().await;
    let host = format!("h0.{DOMAIN}");
    let client = Client::trusting(&certificate.authority, &host, stack.https());
    let url = format!("https://{host}:{}{PREFIX}", stack.https().port());
    let what = format!("{} Mappings, ten to a Host with TLS", grouped(count));
    time(&what, &stack, text, || client.request(Method::GET, &url).header("host", &host)).await;
}

/// Times edits of the Mapping `edited`, which `text` writes.
async fn time(
    what: &str,
    stack: &Stack,
    text: impl Fn(&str) -> String,
    request: impl Fn() -> reqwest::RequestBuilder,
) {
    let mut times = Vec::with_capacity(EDITS);
    for edit in 0..EDITS {
        let service = ["second", "first"][edit % 2];
        tokio::time::sleep(PAUSE).await;
        let began = Instant::now();
        stack.files().write("mapping-edited.yaml", text(service));
        loop {
            let reply = Client::send(request()).await.expect("the gateway answers");
            if reply.status == 200 && reply.echo().backend == service {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "an edit never took effect: {reply:?}");
        }
        times.push(began.elapsed());
    }
    times.drain(..WARM_UP);
    times.sort();
    let at = |share: usize| milliseconds(times[(times.len() * share / 100).min(times.len() - 1)]);
    let what = format!("{what}, {} edits", times.len());
    say(&format!("| {what} | {} | {} | {} | {} |", at(50), at(90), at(99), at(100)));
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
