//! Events of the source into the compiler, and what comes out to everyone.
//!
//! One task owns the compiler. Nothing is published before the source has told
//! everything it began with: half a configuration would delete the other half
//! of a running Envoy's.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nuncio_api::{Change, ConsulService, ObjectKey};
use nuncio_compiler::{Compiler, ResourceName, TypeUrl as CompiledType};
use nuncio_process::{Drain, ReadyGuard};
use nuncio_source::{Event, Files};
use nuncio_xds::TypeUrl;
use nuncio_xds::nack::{News, Refusal};
use tokio::sync::{mpsc, watch};

use crate::debounce::Debounce;
use crate::guarded::{GivenUp, Guarded, Outcome};
use crate::publish::{KnownBad, Publisher};
use crate::questions::Question;
use crate::report::{Attribution, Report};
use crate::{Fleet, Objects};

/// How often files that objects name are read again.
const REREAD_FILES: Duration = Duration::from_secs(2);

/// What is read beside the objects, because they name it.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) files: Files,
    /// Services in Consul whose instances are wanted.
    pub(crate) wanted: watch::Sender<BTreeSet<ConsulService>>,
}

/// What the task listens to.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) registered: mpsc::Receiver<Change>,
    pub(crate) news: mpsc::Receiver<News>,
    pub(crate) asked: mpsc::Receiver<Question>,
}

/// The task's state.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) fleet: Fleet,
    pub(crate) report: Report,
    pub(crate) objects: Objects,
    pub(crate) status: crate::health::Snapshot,
    pub(crate) unready: Option<ReadyGuard>,
    /// Taken by the thread that compiles, and given back.
    compiler: Option<(Guarded<Compiler>, Publisher)>,
    debounce: Debounce,
    outside: Outside,
    synced: bool,
    waiting: Vec<Change>,
    waiting_since: Option<Instant>,
}

// === impl Intake ===

impl Intake {
    pub(crate) fn new(
        compiler: Guarded<Compiler>,
        fleet: Fleet,
        report: Report,
        objects: Objects,
        status: crate::health::Snapshot,
        unready: ReadyGuard,
        outside: Outside,
    ) -> Self {
        Self {
            fleet,
            report,
            objects,
            status,
            unready: Some(unready),
            compiler: Some((compiler, Publisher::default())),
            debounce: Debounce::default(),
            outside,
            synced: false,
            waiting: Vec::new(),
            waiting_since: None,
        }
    }

    /// Runs until the drain.
    pub(crate) async fn run(mut self, inputs: Inputs, drain: Drain) -> anyhow::Result<()> {
        let Inputs { mut events, mut registered, mut news, mut asked } = inputs;
        let mut reread = tokio::time::interval(REREAD_FILES);
        loop {
            let due = self.waiting_since.filter(|_| self.synced).map(|since| self.due(since));
            let timer = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = drain.stopping() => return Ok(()),
                heard = news.recv() => {
                    let Some(heard) = heard else { return Ok(()) };
                    self.hear(heard);
                }
                () = timer => self.compile().await?,
                Some(question) = asked.recv() => self.answer(question).await?,
                change = registered.recv() => {
                    let change = change.context("nobody watches registries any more")?;
                    self.take(Event::Changes(vec![change]));
                }
                _ = reread.tick() => {
                    let changes = self.outside.files.reread();
                    if !changes.is_empty() {
                        self.take(Event::Changes(changes));
                    }
                }
                event = events.recv() => {
                    let event = event.context("the source of objects has stopped")?;
                    self.take(event);
                    // Whatever is there already belongs to the same compile.
                    while let Ok(event) = events.try_recv() {
                        self.take(event);
                    }
                }
            }
        }
    }

    fn due(&self, since: Instant) -> Instant {
        self.debounce.due(since)
    }

    fn take(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Changes(mut changes) => {
                self.outside.files.follow(&mut changes);
                self.objects.apply(&changes);
                self.waiting.extend(changes);
                self.waiting_since.get_or_insert(now);
                self.status.arrived(now);
            }
            Event::Synced => {
                self.synced = true;
                // Even nothing at all is a first configuration.
                self.waiting_since.get_or_insert(now);
            }
        }
    }

    async fn compile(&mut self) -> anyhow::Result<()> {
        let arrived = self.waiting_since.take().unwrap_or_else(Instant::now);
        let changes = std::mem::take(&mut self.waiting);
        let (mut compiler, mut publisher) =
            self.compiler.take().context("the compiler was lost by an earlier failure")?;
        let fleet = self.fleet.clone();
        let work = move || {
            let batch: BTreeSet<ObjectKey> = changes.iter().filter_map(Change::key).collect();
            let began = Instant::now();
            let mut outcome = compiler.apply(changes);
            let compiled_in = began.elapsed();
            let known_bad = outcome.as_mut().map_or_else(
                |_given_up| Vec::new(),
                |outcome| publisher.publish(&fleet, outcome, batch, Instant::now()),
            );
            (compiler, publisher, outcome, known_bad, compiled_in)
        };
        let (compiler, publisher, outcome, known_bad, compiled_in) =
            tokio::task::spawn_blocking(work).await.context("publishing failed")?;
        let wanted = compiler.consul_services();
        self.outside.wanted.send_if_modified(|known| {
            let differs = *known != wanted;
            *known = wanted;
            differs
        });
        self.compiler = Some((compiler, publisher));
        let now = Instant::now();
        self.debounce.compiled(arrived, now);
        self.fleet.metrics().compiled(compiled_in, now - arrived);
        match outcome {
            Ok(outcome) => self.published(outcome, &known_bad, compiled_in),
            Err(error) => self.given_up(&error),
        }
        self.status.processed(now);
        Ok(())
    }

    async fn answer(&mut self, question: Question) -> anyhow::Result<()> {
        let (compiler, publisher) =
            self.compiler.take().context("the compiler was lost by an earlier failure")?;
        let work = move || (compiler.cluster_names(), compiler);
        let (names, compiler) = tokio::task::spawn_blocking(work).await.context("asking failed")?;
        self.compiler = Some((compiler, publisher));
        // Whoever asked may have gone.
        let _ = question.send(names);
        Ok(())
    }

    fn published(&mut self, outcome: Outcome, known_bad: &[KnownBad], compiled_in: Duration) {
        self.fleet.open();
        for (change, panic) in &outcome.left_out {
            self.fleet.metrics().compiler_panicked();
            let object = change.key().map(|key| key.to_string()).unwrap_or_default();
            let effect = "the change is left out, everything else is in effect";
            tracing::error!(object, panic, effect, "a change made the compiler panic");
        }
        let delta = outcome.delta;
        if !delta.changed.is_empty() || !delta.removed.is_empty() {
            tracing::info!(
                changed = delta.changed.len(),
                removed = delta.removed.len(),
                compile_us = u64::try_from(compiled_in.as_micros()).unwrap_or(u64::MAX),
                "configuration published"
            );
        }
        let names = delta.changed.iter().map(|resource| &resource.name);
        for name in names.chain(&delta.removed) {
            self.report.settled(name);
        }
        for bad in known_bad {
            self.tell_known_bad(bad);
        }
        self.report.compiled(delta.report, outcome.whole);
        self.report.wanted(delta.statuses, outcome.whole);
        self.unready = None;
    }

    /// Serves what was published before. Ready and alive still: a restart would
    /// lose that too, and new Envoys need it.
    fn given_up(&self, error: &GivenUp) {
        self.fleet.metrics().compiler_panicked();
        let effect = "the configuration published last stays in effect until a change compiles";
        tracing::error!(error = nuncio_process::chain(error), effect, "nothing was compiled");
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Refused(refusal) => {
                let Some(name) = compiled_name(&refusal.type_url, &refusal.name) else { return };
                self.report.refused(&name, &refusal, self.attribution(&name));
                self.set_aside(&name, &refusal);
            }
            News::Recovered { type_url, name, .. } => {
                if let Some(name) = compiled_name(&type_url, &name) {
                    self.report.settled(&name);
                }
            }
        }
    }

    /// Lets the compiler know which text Envoy refused: what is left of the
    /// resource without it can then take effect. What another client took stays.
    fn set_aside(&mut self, name: &ResourceName, refusal: &Refusal) {
        let Some((compiler, _)) = self.compiler.as_ref().filter(|_| refusal.withdrawn) else {
            return;
        };
        let changes = compiler.blamed(name, refusal.version, &refusal.message);
        if !changes.is_empty() {
            self.take(Event::Changes(changes));
        }
    }

    fn tell_known_bad(&mut self, bad: &KnownBad) {
        let refusal = Refusal {
            type_url: crate::publish::type_url(bad.name.type_url),
            name: bad.name.name.clone(),
            version: bad.version,
            message: bad.reason.to_string(),
            withdrawn: true,
        };
        self.report.refused(&bad.name, &refusal, self.attribution(&bad.name));
        self.set_aside(&bad.name, &refusal);
    }

    fn attribution(&self, name: &ResourceName) -> Attribution {
        let Some((compiler, publisher)) = &self.compiler else { return Attribution::default() };
        let sources = compiler.sources(name);
        let batch = publisher.changed_with(name);
        let changed = sources
            .iter()
            .filter(|key| batch.is_some_and(|batch| batch.contains(key)))
            .cloned()
            .collect();
        Attribution { changed, sources }
    }
}

fn compiled_name(type_url: &TypeUrl, name: &std::sync::Arc<str>) -> Option<ResourceName> {
    let type_url = CompiledType::parse(type_url.as_str())?;
    Some(ResourceName::new(type_url, std::sync::Arc::clone(name)))
}
