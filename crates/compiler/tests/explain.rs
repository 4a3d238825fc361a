//! Explanations against a real Envoy: random configurations and requests, and
//! for each request what is explained is what happens.
//!
//! `EXPLAIN_SEED` plays a former run again, `EXPLAIN_CONFIGURATIONS` sets how
//! many configurations are tried (each with 200 requests).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use nuncio_compiler::explain::{Request, Tables};
use nuncio_compiler::{Compiler, Settings};
use nuncio_testing::manifests;
use nuncio_testing::wire::{Echo, Trust};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngSeed, TestRunner};

#[path = "explain/compare.rs"]
mod compare;
#[path = "explain/site.rs"]
mod site;
#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "support/snapshot.rs"]
mod snapshot;
#[path = "explain/world.rs"]
mod world;

use site::Site;
use world::{Ask, BACKENDS, Ports, World};

const CONFIGURATIONS: usize = 50;
const REQUESTS: usize = 200;
/// One configuration of so many is large.
const LARGE: usize = 5;
/// Most disagreements that are printed, and the most of each, in bytes; all of
/// it is ASCII.
const PRINTED: usize = 20;
const LONGEST: usize = 3_000;

#[test]
fn explanations_agree_with_envoy_on_random_configurations() {
    let seed = setting("EXPLAIN_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.as_millis().try_into().unwrap()
    });
    let count = setting("EXPLAIN_CONFIGURATIONS").map_or(CONFIGURATIONS, |n| n.try_into().unwrap());
    println!("EXPLAIN_SEED={seed}");
    let config = Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() };
    let mut runner = TestRunner::new(config);
    let world = |number: usize, runner: &mut TestRunner| {
        world::world(number.is_multiple_of(LARGE), REQUESTS).new_tree(runner).unwrap().current()
    };
    let worlds: Vec<World> = (0..count).map(|number| world(number, &mut runner)).collect();

    let backends = Backends::start();
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(world) = worlds.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let found = backends.hold(world);
                    tally.lock().unwrap().add(found);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    println!("{tally:?}");
    assert!(
        tally.disagreements.is_empty(),
        "EXPLAIN_SEED={seed}: {} of {} requests disagree\n{}",
        tally.disagreements.len(),
        tally.requests,
        tally.disagreements[..tally.disagreements.len().min(PRINTED)].join("\n")
    );
    assert_eq!(tally.requests, count * REQUESTS);
    // A run in which little happens would prove little.
    for (what, found, least) in [
        ("forwarded", tally.forwarded, 10),
        ("redirected", tally.redirected, 40),
        ("not found", tally.not_found, 20),
        ("of an index", tally.indexed, 20),
    ] {
        assert!(found * least >= tally.requests, "EXPLAIN_SEED={seed}: only {found} {what}");
    }
}

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// What became of the requests.
#[derive(Default)]
struct Tally {
    requests: usize,
    forwarded: usize,
    redirected: usize,
    not_found: usize,
    /// To a configuration whose routes stand in a tree.
    indexed: usize,
    disagreements: Vec<String>,
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { requests, forwarded, redirected, not_found, indexed, disagreements } = self;
        write!(
            f,
            "{requests} requests: {forwarded} forwarded, {redirected} redirected, {not_found} not found, {indexed} of an index, {} disagree",
            disagreements.len()
        )
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.forwarded += other.forwarded;
        self.redirected += other.redirected;
        self.not_found += other.not_found;
        self.indexed += other.indexed;
        self.disagreements.extend(other.disagreements);
    }
}

/// Backends, and the objects that lead to them.
struct Backends {
    echoes: BTreeMap<&'static str, Echo>,
    objects: String,
    trust: Arc<Trust>,
}

impl Backends {
    fn start() -> Self {
        let echo = |name| (name, Echo::start(&[("x-backend", name), ("x-up", "up")]).unwrap());
        let echoes: BTreeMap<_, _> = BACKENDS.into_iter().map(echo).collect();
        let mut objects = secret();
        for (name, echo) in &echoes {
            let port = echo.address().port();
            objects.push_str(&format!(
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\nspec: {{ports: [{{name: p, port: 80, targetPort: {port}}}, {{name: q, port: 8080, targetPort: {port}}}]}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{name: p, port: {port}}}, {{name: q, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
            ));
        }
        objects.push_str("---\napiVersion: v1\nkind: Service\nmetadata: {name: empty, namespace: default}\nspec: {ports: [{name: p, port: 80, targetPort: 80}]}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: empty, namespace: default, labels: {kubernetes.io/service-name: empty}}\naddressType: IPv4\nports: [{name: p, port: 80}]\nendpoints: []\n");
        Self { echoes, objects, trust: Arc::new(Trust::everybody().unwrap()) }
    }

    /// Holds the explanation of every request against what Envoy does.
    fn hold(&self, world: &World) -> Tally {
        let ports = Ports {
            http: nuncio_testing::ports::free_port(),
            https: nuncio_testing::ports::free_port(),
        };
        let text = ports.fill(&format!("{}---\n{}", self.objects, world.objects.join("---\n")));
        let mut compiler = Compiler::new(Settings {
            bind_address: [127, 0, 0, 1].into(),
            resolve_defined_services: true,
            ..Settings::default()
        });
        compiler.apply(manifests::changes(&text));
        let resources: Vec<_> = compiler.resources().cloned().collect();
        let mut site = Site::start(&resources, &self.echoes, world.draw, self.trust.clone());
        let tables = Tables::of(&resources);
        let mut tally = Tally::default();
        for ask in &world.asks {
            let request = request(ask, ports);
            let explained = tables.explain(&request);
            let happened = site.send(&request);
            tally.requests += 1;
            tally.indexed += usize::from(site.indexed);
            let status = happened.as_ref().and_then(nuncio_testing::wire::Message::status);
            tally.forwarded += usize::from(status == Some(200));
            tally.redirected += usize::from(status.is_some_and(|it| (301..309).contains(&it)));
            tally.not_found += usize::from(status == Some(404));
            let verdict = compare::compare(&request, &explained, &site, happened.as_ref());
            if let Err(why) = verdict {
                let happened = happened.map_or_else(
                    || "the connection is closed".to_owned(),
                    |it| format!("{} {:?}\n{}", it.start, it.headers, it.body),
                );
                let mut text = format!(
                    "# {why}\n{request:?}\nexplained: {:?} {:?}\nEnvoy: {happened}",
                    explained.stopped, explained.outcomes
                );
                text.truncate(LONGEST);
                tally.disagreements.push(text);
            }
        }
        tally
    }
}

fn request(ask: &Ask, ports: Ports) -> Request {
    let header = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Request {
        method: ask.method.to_owned(),
        tls: ask.tls,
        authority: ports.fill(&ask.authority),
        port: if ask.secure_port { ports.https } else { ports.http },
        path: ask.path.clone(),
        headers: ask.headers.iter().map(header).collect(),
    }
}

fn secret() -> String {
    let key = rcgen::generate_simple_self_signed(vec!["any.test".into()]).unwrap();
    let indent = |pem: String| pem.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: default}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indent(key.cert.pem()),
        indent(key.signing_key.serialize_pem())
    )
}
