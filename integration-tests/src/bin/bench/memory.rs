//! The resident memory of each program.

use std::time::{Duration, Instant};

use nuncio_integration_tests::{
    Backend, Client, Files, Parts, control_plane_alone, eventually, free_port, listener,
};

use crate::{grouped, say, world};

const SIZES: [usize; 3] = [1000, 10_000, 100_000];
/// Mappings of one service, where they share.
const PER_SERVICE: usize = 100;
/// How long the load lasts.
const LOAD: Duration = Duration::from_secs(5);

pub(crate) async fn run() -> bool {
    for count in SIZES {
        gateway(count).await;
    }
    say("| Control plane alone | Resident |");
    say("|---|---|");
    for count in SIZES {
        let files = Files::new();
        files.write("listener.yaml", listener("http", free_port(), "HTTP"));
        world::one_host(&files, count, |number| format!("s{number}"));
        let process = control_plane_alone(&files).await;
        let memory = resident(process.id());
        say(&format!("| {} Mappings, a service each | {memory:.0} MB |", grouped(count)));
    }
    true
}

/// Tells the memory of a whole gateway, at rest and after some load.
async fn gateway(count: usize) {
    let files = Files::new();
    let backend = Backend::start(nuncio::echo::Options::named("s0")).await;
    let port = free_port();
    files.write("backend.yaml", backend.manifest());
    files.write("listener.yaml", listener("http", port, "HTTP"));
    world::one_host(&files, count, |number| format!("s{}", number / PER_SERVICE));
    let parts = Parts::start(&files, &[]).await;
    let (client, url) = (Client::new(), format!("http://127.0.0.1:{port}/m7/"));
    eventually("the gateway serves", async || {
        client.get(&url).await.filter(|reply| reply.status == 200)
    })
    .await;
    let before: Vec<_> = parts.processes().iter().map(|(_, id)| resident(*id)).collect();
    let ends = Instant::now() + LOAD;
    while Instant::now() < ends {
        client.get(&url).await.expect("the gateway serves");
    }
    let (count, shared) = (grouped(count), PER_SERVICE);
    say(&format!("| {count} Mappings, {shared} to a service | At rest | After some load |"));
    say("|---|---|---|");
    for ((name, id), before) in parts.processes().into_iter().zip(before) {
        say(&format!("| {name} | {before:.1} MB | {:.1} MB |", resident(id)));
    }
    say("");
}

/// In units of 10^6 bytes.
fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or_default() * 1024.0 / 1e6
}
