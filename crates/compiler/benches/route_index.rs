//! Requests per second through one worker of Envoy, by list and by tree.
//!
//! Every route is a prefix of its own with a fixed answer, behind them one for
//! `/`; requests go evenly to 1,000 of them. Only the ratio of two columns of
//! one row means anything on another machine. Needs Envoy and `h2load`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use envoy_types::pb::envoy::config::route::v3 as pb;
use nuncio_compiler::route_index::{PathCondition, RouteEntry, RouteTable};
use nuncio_testing::envoy::Envoy;
use prost::Message as _;

#[path = "../tests/support/gateway.rs"]
mod gateway;

const SIZES: [usize; 4] = [10, 1_000, 10_000, 100_000];
const SECONDS: &str = "3";
/// Distinct URLs that are asked for.
const URLS: usize = 1_000;

#[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> anyhow::Result<()> {
    println!(
        "| routes | list req/s | tree req/s | ratio | list MiB | tree MiB | list RSS | tree RSS | plan and encode |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for size in SIZES {
        let table = Table::new(size);
        let began = Instant::now();
        let tree = table.tree();
        let took = began.elapsed();
        let list = measure(table.list(), size)?;
        let tree = tree.map(|tree| measure(tree, size)).transpose()?.unwrap_or(list);
        println!(
            "| {size} | {:.0} | {:.0} | {:.2} | {:.1} | {:.1} | {} MiB | {} MiB | {took:.1?} |",
            list.rate,
            tree.rate,
            tree.rate / list.rate,
            list.size,
            tree.size,
            list.memory,
            tree.memory,
        );
    }
    Ok(())
}

struct Table {
    prefixes: Vec<String>,
    encoded: Vec<Vec<u8>>,
}

impl Table {
    fn new(size: usize) -> Self {
        let mut prefixes: Vec<String> = (1..size).map(|n| format!("/svc-{n:06}/")).collect();
        prefixes.push("/".into());
        let encoded = prefixes
            .iter()
            .map(|prefix| {
                pb::Route {
                    r#match: Some(pb::RouteMatch {
                        path_specifier: Some(pb::route_match::PathSpecifier::Prefix(
                            prefix.clone(),
                        )),
                        ..Default::default()
                    }),
                    action: Some(gateway::answer(prefix)),
                    ..Default::default()
                }
                .encode_to_vec()
            })
            .collect();
        Self { prefixes, encoded }
    }

    fn host() -> pb::VirtualHost {
        pb::VirtualHost { name: "host".into(), domains: vec!["*".into()], ..Default::default() }
    }

    fn list(&self) -> Vec<u8> {
        let routes = self.encoded.iter().map(|route| pb::Route::decode(&**route));
        let routes = routes.collect::<Result<_, _>>().expect("what was encoded decodes");
        pb::VirtualHost { routes, ..Self::host() }.encode_to_vec()
    }

    /// Returns nothing where the compiler would choose the list.
    fn tree(&self) -> Option<Vec<u8>> {
        let entries: Vec<RouteEntry<'_>> = self
            .prefixes
            .iter()
            .zip(&self.encoded)
            .map(|(prefix, encoded)| RouteEntry {
                path: PathCondition::Prefix(prefix),
                case_sensitive: true,
                encoded,
            })
            .collect();
        let RouteTable::Indexed(index) = RouteTable::plan(&entries) else { return None };
        let mut host = Self::host().encode_to_vec();
        index.append_matcher(&entries, &mut host);
        Some(host)
    }
}

/// What was seen of one Envoy.
#[derive(Clone, Copy)]
struct Figures {
    /// Requests per second.
    rate: f64,
    /// Encoded virtual host, in MiB.
    size: f64,
    /// Resident memory under load, in MiB.
    memory: u64,
}

fn measure(host: Vec<u8>, routes: usize) -> anyhow::Result<Figures> {
    let size = host.len() as f64 / f64::from(1 << 20);
    let envoy = Envoy::start(gateway::gateway(&[host]))?;
    let address = envoy.listener("gateway")?;
    let mut urls = tempfile::NamedTempFile::new().context("no file for URLs")?;
    let mut text = String::new();
    for n in 0..URLS {
        // A stride that shares no factor with a power of ten visits all parts.
        let route = (n * 7919) % (routes - 1) + 1;
        writeln!(text, "http://{address}/svc-{route:06}/item?n={n}")?;
    }
    urls.write_all(text.as_bytes()).context("cannot write the URLs")?;
    let load = Command::new("h2load")
        .args(["--h1", "-t", "1", "-c", "16", "-D", SECONDS, "--warm-up-time", "1", "-i"])
        .arg(urls.path())
        .output()
        .context("cannot start h2load")?;
    let report = String::from_utf8_lossy(&load.stdout);
    let number = |before: &str, after: &str| -> anyhow::Result<f64> {
        let rest = report.split_once(before).with_context(|| format!("no `{before}`: {report}"))?.1;
        Ok(rest.split_once(after).context("a cut report")?.0.trim().parse()?)
    };
    let good = number("status codes:", " 2xx")?;
    let all = number("requests:", " total")?;
    ensure!(good >= all * 0.99, "answers other than 200:\n{report}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", envoy.pid()))?;
    let memory = status.split_once("VmRSS:").context("no VmRSS")?.1;
    let memory: u64 = memory.split_whitespace().next().context("no VmRSS")?.parse()?;
    let rate = good / SECONDS.parse::<f64>()?;
    Ok(Figures { rate, size, memory: memory / 1024 })
}
