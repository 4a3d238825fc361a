//! A world around the loop: the real CA, and everything else in memory, with
//! a fuse that can stop the loop dead at any call.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use nuncio_api::{Change, Decoded, Object, Origin, Reading, decode};
use nuncio_process::{Drain, Readiness};
use nuncio_renewal::bundle::Leaf;
use nuncio_renewal::name::Name;
use nuncio_renewal::order::{AuthorizationView, OrderView};
use nuncio_renewal::plan::{HostId, SecretId};
use nuncio_renewal::problem::Failure;
use nuncio_renewal::secret::KeyPem;
use nuncio_renewal::status::HostStatus;
use nuncio_renewal::time::UnixTime;
use nuncio_testing::pebble::{Options, Pebble};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::super::{Deps, Rules, Worker};
use crate::challenge::{Answers, router};
use crate::clock::{Clock, SystemClock};
use crate::hosts::World;
use crate::issuer::{Acme, Authorities, Authority, Client, OpenOrder, trust};
use crate::metrics::Metrics;
use crate::outbox::{MANAGED_BY, Outbox, OutboxError, SecretText};
use crate::probe::{Gateway, Probe};
use crate::records::{Records, RecordsError, Shelf};
use crate::source::Input;

/// Everything a test holds.
pub(super) struct Rig {
    pub(super) clock: Arc<HandClock>,
    pub(super) records: Arc<MemoryRecords>,
    pub(super) authorities: Arc<Counting>,
    pub(super) answers: Answers,
    pub(super) fuse: Arc<Fuse>,
    pub(super) pebble: Mutex<Pebble>,
    objects: Arc<Objects>,
    metrics: Metrics,
}

/// A running loop; dropping it stops it dead.
pub(super) struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Rig {
    /// Starts Pebble and a responder that it looks at.
    pub(super) async fn start(change: impl FnOnce(&mut Options)) -> Self {
        let rig = Self::down(change).await;
        rig.pebble.lock().unwrap().launch().unwrap();
        rig
    }

    /// The same with the CA not running yet.
    pub(super) async fn down(change: impl FnOnce(&mut Options)) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = Options::new(listener.local_addr().unwrap().port());
        change(&mut options);
        let pebble = Pebble::reserve(options).unwrap();
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        let answers = Answers::default();
        let routes = router(answers.clone(), metrics.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let roots = trust(Some(&pebble.ca_bundle())).unwrap();
        let fuse = Arc::new(Fuse::default());
        let inner = Acme::new(Client::new(roots, metrics.clone()).unwrap());
        Self {
            clock: Arc::default(),
            records: Arc::new(MemoryRecords { fuse: Arc::clone(&fuse), shelves: Mutex::default() }),
            authorities: Arc::new(Counting {
                inner,
                fuse: Arc::clone(&fuse),
                counts: Arc::default(),
            }),
            objects: Arc::new(Objects { fuse: Arc::clone(&fuse), ..Objects::default() }),
            answers,
            fuse,
            pebble: Mutex::new(pebble),
            metrics,
        }
    }

    pub(super) fn directory(&self) -> String {
        self.pebble.lock().unwrap().directory()
    }

    /// Tells a running loop, and every one started later, of objects.
    pub(super) fn tell(&self, objects: Vec<Value>) {
        for object in objects {
            self.objects.put(parse(object));
        }
    }

    pub(super) fn delete(&self, object: Value) {
        self.objects.delete(&parse(object));
    }

    pub(super) fn run(&self) -> Running {
        self.run_with(|_| {})
    }

    /// Starts the loop with what the former one left behind.
    pub(super) fn run_with(&self, change: impl FnOnce(&mut Rules)) -> Running {
        // One issue at a time: see the harness on Pebble's deadlock.
        let mut rules = Rules { passive: false, namespace: "default".into(), in_flight: 1 };
        change(&mut rules);
        let deps = Arc::new(Deps {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            records: Arc::clone(&self.records) as Arc<dyn Records>,
            outbox: Arc::clone(&self.objects) as Arc<dyn Outbox>,
            authorities: Arc::clone(&self.authorities) as Arc<dyn Authorities>,
            answers: self.answers.clone(),
            probe: Probe::new(Gateway::Off, Duration::ZERO),
            metrics: self.metrics.clone(),
            rules,
        });
        let inputs = self.objects.subscribe();
        Running(tokio::spawn(async move {
            let ready = Readiness::default().guard("test");
            let left = Worker::read(&deps).await.unwrap();
            let world = World::new("default".into(), Default::default());
            Worker::new(deps, world, left).run(inputs, ready, Drain::new()).await;
        }))
    }

    /// Waits until a predicate holds.
    pub(super) async fn until(&self, holds: impl Fn() -> bool) {
        let waiting = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let told = || format!("{:?}", self.objects.state.lock().unwrap().told);
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{}", told()));
    }

    /// Waits until the loop has looked around and gone to sleep again.
    pub(super) async fn settle(&self) {
        let before = self.clock.looks();
        self.clock.advance(Duration::ZERO);
        self.until(|| self.clock.looks() > before).await;
    }

    /// Waits until a finished issue has been noted; tells whether it could be.
    pub(super) async fn settle_or_blow(&self) -> bool {
        let noted = async {
            self.until_status("web", |status| status.contains("Ready")).await;
            self.until(|| self.records.count(Shelf::Inflight) == 0).await;
        };
        tokio::select! {
            () = noted => true,
            () = self.fuse.blown() => false,
        }
    }

    /// Forgets the statuses told so far.
    pub(super) fn forget(&self) {
        self.objects.state.lock().unwrap().told.clear();
    }

    pub(super) async fn issued(&self, secret: &str) -> Leaf {
        self.until(|| self.leaf(secret).is_some()).await;
        self.leaf(secret).unwrap()
    }

    pub(super) async fn issued_after(&self, secret: &str, former: &Leaf) -> Leaf {
        self.until(|| self.leaf(secret).is_some_and(|leaf| leaf != *former)).await;
        self.leaf(secret).unwrap()
    }

    fn leaf(&self, secret: &str) -> Option<Leaf> {
        Leaf::parse(self.secret(secret)?.get("tls.crt")?).ok()
    }

    /// Returns what the loop wrote to a Secret in namespace `default`.
    pub(super) fn secret(&self, name: &str) -> Option<BTreeMap<&'static str, String>> {
        let id = SecretId { namespace: "default".into(), name: name.into() };
        self.objects.state.lock().unwrap().written.get(&id).cloned()
    }

    /// Returns the statuses a Host was given, as JSON text.
    pub(super) fn told(&self, host: &str) -> Vec<String> {
        self.objects.state.lock().unwrap().told.get(host).cloned().unwrap_or_default()
    }

    pub(super) async fn until_status(&self, host: &str, holds: impl Fn(&str) -> bool) {
        self.until(|| self.told(host).last().is_some_and(|status| holds(status))).await;
    }
}

/// `acmeProvider` for a CA.
pub(super) fn acme(directory: &str) -> Value {
    json!({ "authority": directory })
}

/// A Host; `more` replaces fields of its spec.
pub(super) fn host(name: &str, hostname: &str, directory: &str, more: &[(&str, Value)]) -> Value {
    let mut spec = json!({ "hostname": hostname, "acmeProvider": acme(directory) });
    for (field, value) in more {
        spec[*field] = value.clone();
    }
    json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Host",
        "metadata": { "name": name, "namespace": "default" },
        "spec": spec,
    })
}

/// A Secret that somebody else made.
pub(super) fn secret(name: &str, kind: &str, data: &BTreeMap<&str, String>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": "default" },
        "type": kind,
        "stringData": data,
    })
}

fn parse(value: Value) -> Object {
    match decode(value, Origin::default(), &Reading::of_namespace("default")) {
        Decoded::Object { object, .. } => object,
        other => panic!("{other:?}"),
    }
}

/// The clock of the machine, which a test can move.
#[derive(Default)]
pub(super) struct HandClock {
    offset: AtomicI64,
    moved: Notify,
    looks: AtomicI64,
}

impl HandClock {
    pub(super) fn set(&self, now: UnixTime) {
        self.offset.store(now.0 - SystemClock.now().0, Ordering::SeqCst);
        self.moved.notify_one();
    }

    pub(super) fn advance(&self, span: Duration) {
        self.set(self.now().plus(span));
    }

    fn looks(&self) -> i64 {
        self.looks.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> UnixTime {
        UnixTime(SystemClock.now().0 + self.offset.load(Ordering::SeqCst))
    }

    async fn sleep_until(&self, time: UnixTime) {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let span = self.now().until(time).min(Duration::from_secs(30));
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            () = self.moved.notified() => {}
        }
    }
}

/// Stops everything dead at a chosen call, as a power failure would.
#[derive(Default)]
pub(super) struct Fuse {
    left: Mutex<Option<usize>>,
    blown: Notify,
}

impl Fuse {
    /// Lets `calls` points pass and blows at the next; `None` never blows.
    pub(super) fn set(&self, calls: Option<usize>) {
        *self.left.lock().unwrap() = calls;
    }

    pub(super) async fn blown(&self) {
        self.blown.notified().await;
    }

    async fn point(&self) {
        let blows = match &mut *self.left.lock().unwrap() {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        };
        if blows {
            self.blown.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// Records in memory; a put that began is not undone by the fuse after it.
pub(super) struct MemoryRecords {
    fuse: Arc<Fuse>,
    shelves: Mutex<BTreeMap<(Shelf, SecretId), Vec<u8>>>,
}

impl MemoryRecords {
    pub(super) fn count(&self, shelf: Shelf) -> usize {
        self.shelves.lock().unwrap().keys().filter(|(one, _)| *one == shelf).count()
    }
}

#[async_trait]
impl Records for MemoryRecords {
    async fn put(&self, shelf: Shelf, id: &SecretId, bytes: Vec<u8>) -> Result<(), RecordsError> {
        self.fuse.point().await;
        self.shelves.lock().unwrap().insert((shelf, id.clone()), bytes);
        self.fuse.point().await;
        Ok(())
    }

    async fn take(&self, shelf: Shelf, id: &SecretId) -> Result<Option<Vec<u8>>, RecordsError> {
        Ok(self.shelves.lock().unwrap().get(&(shelf, id.clone())).cloned())
    }

    async fn remove(&self, shelf: Shelf, id: &SecretId) -> Result<(), RecordsError> {
        self.fuse.point().await;
        self.shelves.lock().unwrap().remove(&(shelf, id.clone()));
        self.fuse.point().await;
        Ok(())
    }

    async fn all(&self, shelf: Shelf) -> Result<BTreeMap<SecretId, Vec<u8>>, RecordsError> {
        let shelves = self.shelves.lock().unwrap();
        let here = shelves.iter().filter(|((one, _), _)| *one == shelf);
        Ok(here.map(|((_, id), bytes)| (id.clone(), bytes.clone())).collect())
    }
}

/// Objects in memory: what a test put there and what the loop wrote.
#[derive(Default)]
struct Objects {
    fuse: Arc<Fuse>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<nuncio_api::ObjectKey, Object>,
    written: BTreeMap<SecretId, BTreeMap<&'static str, String>>,
    told: BTreeMap<String, Vec<String>>,
    listener: Option<mpsc::Sender<Input>>,
}

impl Objects {
    fn put(&self, object: Object) {
        let mut state = self.state.lock().unwrap();
        state.objects.insert(object.key(), object.clone());
        state.send(Change::Apply { object: Arc::new(object), findings: Vec::new() });
    }

    fn delete(&self, object: &Object) {
        let mut state = self.state.lock().unwrap();
        state.objects.remove(&object.key());
        state.send(Change::Delete(object.key()));
    }

    fn subscribe(&self) -> mpsc::Receiver<Input> {
        let (sender, receiver) = mpsc::channel(1024);
        let mut state = self.state.lock().unwrap();
        let changes = state
            .objects
            .values()
            .map(|object| Change::Apply { object: Arc::new(object.clone()), findings: Vec::new() });
        sender.try_send(Input::Changes(changes.collect())).unwrap();
        sender.try_send(Input::Synced).unwrap();
        state.listener = Some(sender);
        receiver
    }
}

impl State {
    fn send(&self, change: Change) {
        if let Some(listener) = &self.listener {
            let _gone_or_told = listener.try_send(Input::Changes(vec![change]));
        }
    }
}

#[async_trait]
impl Outbox for Objects {
    async fn secret(&self, id: &SecretId, secret: SecretText) -> Result<(), OutboxError> {
        self.fuse.point().await;
        let mut value = super::rig::secret(&id.name, secret.kind, &secret.data);
        value["metadata"]["labels"] = json!({ MANAGED_BY.0: MANAGED_BY.1 });
        self.put(parse(value));
        self.state.lock().unwrap().written.insert(id.clone(), secret.data);
        self.fuse.point().await;
        Ok(())
    }

    async fn status(&self, host: &HostId, status: &HostStatus) -> Result<(), OutboxError> {
        let text = serde_json::to_string(status).unwrap();
        self.state.lock().unwrap().told.entry(host.name.clone()).or_default().push(text);
        Ok(())
    }
}

/// The real CA, with calls counted and points before and after each.
pub(super) struct Counting {
    inner: Acme,
    fuse: Arc<Fuse>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    refused: BTreeMap<String, Failure>,
    tries: BTreeMap<String, usize>,
    accounts: Vec<String>,
    orders: usize,
    calls: usize,
}

impl Counting {
    pub(super) fn inner(&self) -> &Acme {
        &self.inner
    }

    /// Returns how many different accounts were used.
    pub(super) fn accounts(&self) -> usize {
        self.account_urls().len()
    }

    pub(super) fn account_urls(&self) -> Vec<String> {
        let mut urls = self.counts.lock().unwrap().accounts.clone();
        urls.sort();
        urls.dedup();
        urls
    }

    /// Returns how many orders the CA has placed.
    pub(super) fn orders(&self) -> usize {
        self.counts.lock().unwrap().orders
    }

    /// Has the CA refuse orders for a name, or no longer.
    pub(super) fn refuse(&self, name: &str, failure: Option<Failure>) {
        let refused = &mut self.counts.lock().unwrap().refused;
        match failure {
            Some(failure) => refused.insert(name.to_owned(), failure),
            None => refused.remove(name),
        };
    }

    /// Returns how often an order for a name was asked for.
    pub(super) fn tries(&self, name: &str) -> usize {
        self.counts.lock().unwrap().tries.get(name).copied().unwrap_or(0)
    }

    pub(super) fn calls(&self) -> usize {
        self.counts.lock().unwrap().calls
    }
}

struct CountingAccount {
    inner: Arc<dyn Authority>,
    fuse: Arc<Fuse>,
    counts: Arc<Mutex<Counts>>,
}

struct CountingOrder {
    inner: Box<dyn OpenOrder>,
    fuse: Arc<Fuse>,
}

#[async_trait]
impl Authorities for Counting {
    async fn open(
        &self,
        directory: &str,
        key: &KeyPem,
        url: Option<&str>,
        email: Option<&str>,
    ) -> Result<Arc<dyn Authority>, Failure> {
        self.fuse.point().await;
        self.counts.lock().unwrap().calls += 1;
        let inner = self.inner.open(directory, key, url, email).await?;
        self.counts.lock().unwrap().accounts.push(inner.account().to_owned());
        self.fuse.point().await;
        let (fuse, counts) = (Arc::clone(&self.fuse), Arc::clone(&self.counts));
        Ok(Arc::new(CountingAccount { inner, fuse, counts }))
    }
}

#[async_trait]
impl Authority for CountingAccount {
    fn account(&self) -> &str {
        self.inner.account()
    }

    async fn new_order(
        &self,
        names: &std::collections::BTreeSet<Name>,
    ) -> Result<Box<dyn OpenOrder>, Failure> {
        self.fuse.point().await;
        {
            let mut counts = self.counts.lock().unwrap();
            for name in names {
                *counts.tries.entry(name.to_string()).or_default() += 1;
                if let Some(failure) = counts.refused.get(name.as_str()) {
                    return Err(failure.clone());
                }
            }
        }
        let inner = self.inner.new_order(names).await?;
        self.counts.lock().unwrap().orders += 1;
        self.fuse.point().await;
        Ok(Box::new(CountingOrder { inner, fuse: Arc::clone(&self.fuse) }))
    }

    async fn order(&self, url: &str) -> Result<Box<dyn OpenOrder>, Failure> {
        self.fuse.point().await;
        let inner = self.inner.order(url).await?;
        self.fuse.point().await;
        Ok(Box::new(CountingOrder { inner, fuse: Arc::clone(&self.fuse) }))
    }
}

#[async_trait]
impl OpenOrder for CountingOrder {
    fn view(&mut self) -> OrderView {
        self.inner.view()
    }

    async fn refresh(&mut self) -> Result<OrderView, Failure> {
        self.inner.refresh().await
    }

    async fn authorizations(&mut self) -> Result<Vec<AuthorizationView>, Failure> {
        self.fuse.point().await;
        let list = self.inner.authorizations().await;
        self.fuse.point().await;
        list
    }

    async fn accept(&mut self, token: &str) -> Result<(), Failure> {
        self.fuse.point().await;
        let done = self.inner.accept(token).await;
        self.fuse.point().await;
        done
    }

    async fn finalize(&mut self, csr: &[u8]) -> Result<OrderView, Failure> {
        self.fuse.point().await;
        let view = self.inner.finalize(csr).await;
        self.fuse.point().await;
        view
    }

    async fn certificate(&mut self) -> Result<String, Failure> {
        self.fuse.point().await;
        let chain = self.inner.certificate().await;
        self.fuse.point().await;
        chain
    }
}

/// How long a test waits for a state before it fails.
const PATIENCE: Duration = Duration::from_secs(30);
