//! What `make bench` measures of a whole gateway: how soon an edit is in
//! effect, what requests notice of edits, and the memory of each process.
//!
//! Prints one line a figure. Run it with `--release`: it builds and measures
//! the `nuncio` of the same profile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nuncio_integration_tests::{Client, Stack, mapping};

/// Mappings in the folder, a file for each hundred.
const MAPPINGS: usize = 1000;
/// Edits whose way into effect is timed.
const EDITS: usize = 50;
/// Edits a second under load.
const RATE: u64 = 10;
/// How long the load lasts, with edits and without.
const LOAD: Duration = Duration::from_secs(15);
/// Clients that ask without a pause.
const CLIENTS: usize = 8;

#[tokio::main]
async fn main() {
    let stack = stack().await;
    edits(&stack).await;
    let calm = load(&stack, false).await;
    let busy = load(&stack, true).await;
    for (what, load) in [("without edits", &calm), ("with 10 edits/s", &busy)] {
        let rate = per_second(load.answered);
        say(&format!("requests {what}: {rate} per second, {} failed", load.failed));
    }
    memory(&stack);
    assert_eq!(calm.failed + busy.failed, 0, "requests failed");
}

async fn stack() -> Stack {
    let mut builder = Stack::builder().backend("first").await.backend("second").await;
    for file in 0..MAPPINGS / 100 {
        let many: Vec<_> = (0..100)
            .map(|number| format!("m{}", file * 100 + number))
            .map(|name| mapping(&name, &format!("/{name}/"), "first"))
            .collect();
        builder = builder.file(&format!("many-{file}.yaml"), &many.join("---\n"));
    }
    builder.mapping("edited", "/edited/", "first").start().await
}

/// Times an edit from the rename of the file to the first answer that shows it.
async fn edits(stack: &Stack) {
    let mut times = Vec::with_capacity(EDITS);
    for edit in 0..EDITS {
        let service = ["second", "first"][edit % 2];
        let text = mapping("edited", "/edited/", service);
        let began = Instant::now();
        stack.files().write("mapping-edited.yaml", text);
        loop {
            let reply = stack.get("/edited/").await.expect("the gateway answers");
            if reply.echo().backend == service {
                break;
            }
        }
        times.push(began.elapsed());
    }
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_millis();
    say(&format!(
        "file saved to in effect at {MAPPINGS} Mappings: p50 {} ms, p99 {} ms",
        at(50),
        at(99)
    ));
}

/// What requests noticed.
struct Load {
    answered: u64,
    failed: u64,
}

async fn load(stack: &Stack, edit: bool) -> Load {
    let stop = Arc::new(AtomicBool::new(false));
    let url = format!("http://{}/m7/", stack.http());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, url, client) = (Arc::clone(&stop), url.clone(), Client::new());
            tokio::spawn(async move {
                let mut load = Load { answered: 0, failed: 0 };
                while !stop.load(Ordering::Relaxed) {
                    match client.get(&url).await {
                        Some(reply) if reply.status == 200 => load.answered += 1,
                        _ => load.failed += 1,
                    }
                }
                load
            })
        })
        .collect();
    let (began, mut number) = (Instant::now(), 0);
    let mut ticks = tokio::time::interval(Duration::from_millis(1000 / RATE));
    while began.elapsed() < LOAD {
        ticks.tick().await;
        if edit {
            let service = ["second", "first"][number % 2];
            stack.files().write("mapping-edited.yaml", mapping("edited", "/edited/", service));
            number += 1;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut sum = Load { answered: 0, failed: 0 };
    for client in clients {
        let load = client.await.expect("a client does not panic");
        sum = Load { answered: sum.answered + load.answered, failed: sum.failed + load.failed };
    }
    sum
}

/// Tells the resident memory of the gateway's processes.
fn memory(stack: &Stack) {
    let nuncio = stack.process_id();
    say(&format!("memory of nuncio run (four services): {} MB", resident(nuncio)));
    let children = format!("/proc/{nuncio}/task");
    let threads = std::fs::read_dir(children).into_iter().flatten().flatten();
    for thread in threads {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in text.split_whitespace().filter_map(|id| id.parse().ok()) {
            say(&format!("memory of envoy: {} MB", resident(child)));
        }
    }
}

fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() / 1024
}

fn per_second(count: u64) -> u64 {
    count / LOAD.as_secs()
}

#[allow(clippy::print_stdout, reason = "the figures are this program's output")]
fn say(line: &str) {
    println!("{line}");
}
