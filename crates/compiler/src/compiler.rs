//! The one entry: changes in, changed resources out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::{Change, Diagnostic, Kind, Object, ObjectKey};

use crate::ir::endpoints::Services;
use crate::ir::input::Files;
use crate::ir::input::Input;
use crate::ir::item::{Item, ItemId};
use crate::ir::scene::{self, Scene};
use crate::ir::secret::{SecretName, Secrets};
use crate::{Resource, ResourceName, Settings, TypeUrl};

mod broad;
mod cluster_names;
mod clusters;
mod consul;
mod doubts;
mod edits;
mod effect;
mod emit;
mod encoded;
mod idle;
mod index;
mod ingresses;
mod intake;
mod namesakes;
mod publish;
mod reports;
mod routes;
mod sheets;
mod statuses;
mod tables;

use broad::Broad;
pub use cluster_names::ClusterName;
use clusters::Clusters;
use doubts::{Doubt, Doubts};
use edits::Edits;
use index::Number;
use publish::Published;
use reports::{Pass, Reports};
use routes::{Around, Routes};
pub use statuses::Status;
use statuses::Statuses;
use tables::Tables;

/// What a list of diagnostics is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// One object.
    Object(ObjectKey),
    /// A file or another input that could not be read as objects.
    Input(Arc<str>),
}

/// What one [`Compiler::apply`] changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
    /// New and changed resources, sorted by name.
    pub changed: Vec<Arc<Resource>>,
    /// Resources that exist no more, sorted.
    pub removed: Vec<ResourceName>,
    /// Subjects whose diagnostics changed, with all their present ones; an
    /// empty list clears. Sorted by subject.
    pub report: Vec<(Subject, Vec<Diagnostic>)>,
    /// Objects whose wanted status changed, with the present one. Sorted.
    pub statuses: Vec<(ObjectKey, Option<Status>)>,
}

/// What is known of one object.
#[derive(Debug, Default)]
struct Entry {
    /// The version in effect: the last one that could be used.
    good: Option<Arc<Object>>,
    /// Why the present text cannot be used, in one line.
    broken: Option<String>,
    /// Kept while Envoy may refuse a version.
    doubt: Option<Box<Doubt>>,
}

/// Compiles objects to resources, incrementally.
#[derive(Debug)]
pub struct Compiler {
    settings: Settings,
    entries: BTreeMap<ObjectKey, Entry>,
    /// Annotations hold objects, or once did: only these can have namesakes.
    carried: bool,
    /// Objects in effect of every kind but the numerous ones.
    items: BTreeMap<Kind, BTreeMap<ItemId, Item>>,
    /// What Ingresses stand for.
    derived: BTreeMap<ItemId, Item>,
    /// Objects whose text never could be used.
    broken: BTreeSet<ObjectKey>,
    services: Services,
    secrets: Secrets,
    /// What registries told, by name of the endpoint set.
    registered: BTreeMap<Arc<str>, BTreeSet<(String, u16)>>,
    files: Arc<Files>,
    doubts: Doubts,
    /// Mappings with bodies of error answers of their own.
    error_responses: BTreeSet<ItemId>,
    scene: Option<Scene>,
    /// Mappings of the gateway itself.
    internal: BTreeMap<ItemId, Item>,
    routes: Routes,
    tables: Tables,
    broad: Broad,
    clusters: Clusters,
    published: Published,
    reports: Reports,
    statuses: Statuses,
}

/// What a batch of changes touched.
#[derive(Debug, Default)]
struct Dirty {
    scene: bool,
    ingress: bool,
    policies: bool,
    limits: bool,
    /// By number.
    mappings: BTreeSet<Number>,
    /// Services with what was defined of them before.
    services: BTreeMap<(String, String), u64>,
    secrets: BTreeSet<SecretName>,
    /// Endpoint sets that a registry told of.
    registered: BTreeSet<Arc<str>>,
}

impl Compiler {
    /// Makes a compiler without objects.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            entries: BTreeMap::new(),
            carried: false,
            items: BTreeMap::new(),
            derived: BTreeMap::new(),
            broken: BTreeSet::new(),
            services: Services::default(),
            secrets: Secrets::default(),
            registered: BTreeMap::new(),
            files: Arc::default(),
            doubts: Doubts::default(),
            error_responses: BTreeSet::new(),
            scene: None,
            internal: BTreeMap::new(),
            routes: Routes::default(),
            tables: Tables::default(),
            broad: Broad::default(),
            clusters: Clusters::default(),
            published: Published::default(),
            reports: Reports::default(),
            statuses: Statuses::default(),
        }
    }

    /// Applies changes in order and returns what they changed of the result.
    ///
    /// Never fails: findings stand in [`Delta::report`].
    pub fn apply(&mut self, changes: Vec<Change>) -> Delta {
        let mut dirty = Dirty { scene: self.scene.is_none(), ..Default::default() };
        self.take_all(changes, &mut dirty);
        self.settle(dirty);
        self.look_for_listeners();
        let (changed, removed) = self.published.drain();
        let entries = &self.entries;
        let origin = |key: &ObjectKey| Some(entries.get(key)?.good.as_ref()?.origin.clone());
        let report = self.reports.drain(origin);
        Delta { changed, removed, report, statuses: self.statuses.drain() }
    }

    /// Returns every object that the named resource was made of, sorted.
    pub fn sources(&self, name: &ResourceName) -> Vec<ObjectKey> {
        let Some(resource) = self.published.get(name) else { return Vec::new() };
        let mut keys: BTreeSet<ObjectKey> = resource.sources.iter().cloned().collect();
        if name.type_url == TypeUrl::Cluster {
            keys.extend(self.clusters.users(&name.name).map(|item| (*item.source).clone()));
        }
        if name.type_url == TypeUrl::RouteConfiguration
            && let Some(scene) = &self.scene
            && let Some(table) = scene.tables.iter().find(|table| table.name == name.name)
        {
            for host in table.virtual_hosts.iter().filter_map(|host| host.host.as_ref()) {
                keys.extend(self.routes.sources(host));
            }
        }
        keys.into_iter().collect()
    }

    /// Returns the version of a resource that is in effect.
    pub fn resource(&self, name: &ResourceName) -> Option<&Arc<Resource>> {
        self.published.get(name)
    }

    /// Every resource in effect, sorted by name.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.published.iter()
    }

    /// All diagnostics in force, by subject.
    pub fn diagnostics(&self) -> &BTreeMap<Subject, Vec<Diagnostic>> {
        self.reports.all()
    }

    /// The status that objects are to have, beside their diagnostics.
    pub fn statuses(&self) -> &BTreeMap<ObjectKey, Status> {
        self.statuses.all()
    }

    /// Returns the version of an object that is in effect: the last one that
    /// could be used, which need not be the last one given.
    pub fn in_effect(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.entries.get(key)?.good.as_ref()
    }

    /// Works dirty units off, in the order in which they depend on each other.
    fn settle(&mut self, mut dirty: Dirty) {
        if dirty.ingress {
            self.expand(&mut dirty);
        }
        let services: BTreeSet<(String, String)> = dirty
            .services
            .iter()
            .filter(|(name, before)| self.services.fingerprint(&name.0, &name.1) != **before)
            .map(|(name, _)| name.clone())
            .collect();
        let concerned = self.scene.as_ref().is_some_and(|scene| {
            scene.depends_on.iter().any(|name| services.contains(name))
                || scene.looked_at.iter().any(|name| dirty.secrets.contains(name))
        });
        for service in &services {
            dirty.mappings.extend(self.routes.dependents(service));
        }
        let remade = dirty.scene || concerned;
        if remade {
            self.remake_scene(&mut dirty);
        }
        let Some(scene) = self.scene.take() else { return };
        let edits = self.settle_mappings(&scene, &dirty);
        if remade {
            self.emit_listeners(&scene);
        }
        self.emit_tables(&scene, &edits, remade);
        self.emit_endpoints(&scene, &dirty);
        self.emit_policies(&scene, &dirty, remade);
        self.scene = Some(scene);
    }

    fn remake_scene(&mut self, dirty: &mut Dirty) {
        let scene = scene::build(&Input {
            settings: &self.settings,
            items: &self.items,
            broken: &self.broken,
            services: &self.services,
            secrets: &self.secrets,
            files: &self.files,
            refused: &self.doubts.refused.expressions,
            mapping_error_responses: !self.error_responses.is_empty(),
            looked_at: std::cell::RefCell::default(),
        });
        self.reports.replace(Pass::Scene, scene.findings.clone());
        let internal: BTreeMap<ItemId, Item> =
            scene.internal.iter().map(|item| (item.id.clone(), item.clone())).collect();
        let all: BTreeSet<ItemId> = self.internal.keys().chain(internal.keys()).cloned().collect();
        for id in all {
            if self.internal.get(&id) != internal.get(&id) {
                dirty.mappings.insert(self.routes.set_item(&id, internal.get(&id).cloned()));
            }
        }
        self.internal = internal;
        if self.scene.as_ref().is_none_or(|old| old.stage != scene.stage) {
            dirty.mappings.extend(self.routes.numbers());
        }
        self.clusters.set_scene(&scene.clusters, &mut self.published);
        self.routes.set_hosts(&scene.hosts, &scene.stage, &mut self.reports);
        self.scene = Some(scene);
    }

    /// Parses dirty Mappings, names clusters, redoes groups; returns what
    /// changed of the Hosts' routes.
    fn settle_mappings(&mut self, scene: &Scene, dirty: &Dirty) -> Edits {
        let internal = |id: &ItemId| self.internal.contains_key(id);
        let around = Around {
            stage: &scene.stage,
            services: &self.services,
            threads: self.settings.threads,
        };
        self.routes.parse(
            &dirty.mappings,
            internal,
            &around,
            &mut self.clusters,
            &mut self.reports,
        );
        let renamed = self.clusters.flush(&mut self.published, self.settings.threads);
        self.routes.renamed(renamed);
        self.routes.flush(&around, &self.clusters, &mut self.reports)
    }
}
