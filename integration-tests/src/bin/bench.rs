//! What `.ci/bench` measures of a whole gateway: how soon an edit is in effect,
//! what requests notice of edits, and the memory of each process.
//!
//! Prints a table for each part that is named: `edits`, `load`, `memory`. Run it
//! with `--release`: it builds and measures the programs of the same profile.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nuncio_integration_tests::{
    Backend, Client, Files, PATIENCE, Parts, Stack, eventually, free_port, mapping,
};

/// Mappings in the folder, a file for each hundred.
const MAPPINGS: usize = 1000;
/// Edits whose way into effect is timed; the first ones only warm up.
const EDITS: usize = 200;
const WARM_UP: usize = 10;
/// Edits a second under load.
const RATE: u64 = 10;
/// How long the load lasts, with edits and without.
const LOAD: Duration = Duration::from_secs(15);
/// Clients that ask without a pause.
const CLIENTS: usize = 8;

#[tokio::main]
async fn main() -> ExitCode {
    let parts: Vec<String> = std::env::args().skip(1).collect();
    for part in &parts {
        match part.as_str() {
            "edits" => edits(&stack().await).await,
            "load" => {
                if !both_loads(&stack().await).await {
                    return ExitCode::FAILURE;
                }
            }
            "memory" => memory().await,
            other => {
                say(&format!("there is no part `{other}`"));
                return ExitCode::from(64);
            }
        }
    }
    ExitCode::SUCCESS
}

async fn stack() -> Stack {
    let builder = Stack::builder().backend("first").await.backend("second").await;
    many(builder.files());
    builder.mapping("edited", "/edited/", "first").start().await
}

fn many(files: &Files) {
    for file in 0..MAPPINGS / 100 {
        let mappings: Vec<_> = (0..100)
            .map(|number| format!("m{}", file * 100 + number))
            .map(|name| mapping(&name, &format!("/{name}/"), "first"))
            .collect();
        files.write(&format!("many-{file}.yaml"), mappings.join("---\n"));
    }
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
            assert!(began.elapsed() < PATIENCE, "an edit never took effect");
        }
        times.push(began.elapsed());
    }
    times.drain(..WARM_UP);
    times.sort();
    let at = |share: usize| {
        let time = times[(times.len() * share / 100).min(times.len() - 1)];
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    };
    say("| File saved to in effect | p50 | p90 | p99 | longest |");
    say("|---|---|---|---|---|");
    let what = format!("{MAPPINGS} Mappings, {} edits", times.len());
    say(&format!("| {what} | {} | {} | {} | {} |", at(50), at(90), at(99), at(100)));
}

/// Measures requests without edits and with them; says whether none failed.
async fn both_loads(stack: &Stack) -> bool {
    let calm = load(stack, false).await;
    let busy = load(stack, true).await;
    say("| Configuration | Edits | Requests/s | Failed |");
    say("|---|---|---|---|");
    for (what, load) in [("at rest", &calm), ("an edit each 100 ms", &busy)] {
        let rate = load.answered / LOAD.as_secs();
        say(&format!("| {what} | {} | {rate} | {} |", load.edits, load.failed));
    }
    calm.failed + busy.failed == 0
}

/// What requests noticed.
struct Load {
    answered: u64,
    failed: u64,
    edits: usize,
}

async fn load(stack: &Stack, edit: bool) -> Load {
    let stop = Arc::new(AtomicBool::new(false));
    let url = format!("http://{}/m7/", stack.http());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, url, client) = (Arc::clone(&stop), url.clone(), Client::new());
            tokio::spawn(async move {
                let mut load = Load { answered: 0, failed: 0, edits: 0 };
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
    let mut sum = Load { answered: 0, failed: 0, edits: number };
    for client in clients {
        let load = client.await.expect("a client does not panic");
        sum.answered += load.answered;
        sum.failed += load.failed;
    }
    sum
}

/// Tells the resident memory of each program of a gateway, at rest and after
/// some load.
async fn memory() {
    let files = Files::new();
    let backend = Backend::start(nuncio::echo::Options::named("first")).await;
    let port = free_port();
    files.write("backend.yaml", backend.manifest());
    files.write("listener.yaml", listener(port));
    many(&files);
    let parts = Parts::start(&files, &[]).await;
    let (client, url) = (Client::new(), format!("http://127.0.0.1:{port}/m7/"));
    eventually("the gateway serves", async || {
        client.get(&url).await.filter(|reply| reply.status == 200)
    })
    .await;
    let before: Vec<_> = parts.processes().iter().map(|(_, id)| resident(*id)).collect();
    let ends = Instant::now() + LOAD / 3;
    while Instant::now() < ends {
        client.get(&url).await.expect("the gateway serves");
    }
    say(&format!("| Memory at {MAPPINGS} Mappings | At rest | After some load |"));
    say("|---|---|---|");
    for ((name, id), before) in parts.processes().into_iter().zip(before) {
        say(&format!("| {name} | {before:.1} MB | {:.1} MB |", resident(id)));
    }
}

fn listener(port: u16) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {{name: http}}\n\
         spec: {{port: {port}, protocol: HTTP, securityModel: XFP, \
         hostBinding: {{namespace: {{from: ALL}}}}}}\n"
    )
}

fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

#[allow(clippy::print_stdout, reason = "the figures are this program's output")]
fn say(line: &str) {
    println!("{line}");
}
