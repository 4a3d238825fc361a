//! Mappings, their groups, and which Host holds which group in which order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::{Diagnostic, ObjectKey};

use super::clusters::Clusters;
use super::reports::{Pass, Reports};
use crate::envoy;
use crate::envoy::route_index::{PathCondition, RouteEntry};
use crate::ir::endpoints::Services;
use crate::ir::glob;
use crate::ir::group::{ACME_PREFIX, Group};
use crate::ir::host::Host;
use crate::ir::item::{Item, ItemId};
use crate::ir::mapping::{self, GroupId, HostMatch, Mapping, Rank};
use crate::ir::route::{Action, AuthOverride, NamedMatch, PathMatch, Redirect, Route, TextMatch};
use crate::ir::scene::{Profile, Stage};

const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Routes of one group, encoded for each profile in use.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    by_profile: Vec<(Profile, Vec<Piece>)>,
}

/// One encoded route, with what an index must know of it.
#[derive(Debug)]
pub(super) struct Piece {
    path: PathMatch,
    case_sensitive: bool,
    encoded: Vec<u8>,
}

impl Piece {
    /// Encodes a route.
    pub(super) fn of(route: &Route) -> Self {
        Self {
            path: route.matches.path.clone(),
            case_sensitive: route.matches.case_sensitive,
            encoded: envoy::route::encode(route),
        }
    }

    /// The route as the index reads it.
    pub(super) fn entry(&self) -> RouteEntry<'_> {
        let path = match &self.path {
            PathMatch::Prefix(text) => PathCondition::Prefix(text),
            PathMatch::Exact(text) => PathCondition::Exact(text),
            PathMatch::Regex(pattern) => PathCondition::Regex(pattern),
        };
        RouteEntry { path, case_sensitive: self.case_sensitive, encoded: &self.encoded }
    }
}

impl Encoded {
    /// The encoded routes for a profile, in order.
    pub(super) fn get(&self, profile: Profile) -> &[Piece] {
        self.by_profile
            .iter()
            .find(|(known, _)| *known == profile)
            .map_or(&[], |(_, pieces)| pieces.as_slice())
    }
}

type Place = Reverse<(Arc<Rank>, GroupId)>;

/// One group with what was made of it.
#[derive(Debug, Default)]
struct Built {
    members: BTreeMap<ItemId, Arc<Mapping>>,
    group: Group,
    place: Option<Place>,
    encoded: Arc<Encoded>,
    hosts: BTreeSet<ItemId>,
    reported: BTreeSet<ItemId>,
}

/// A Host as far as it decides about groups.
#[derive(Debug)]
struct Table {
    hostname: String,
    selector: Option<BTreeMap<String, String>>,
    groups: BTreeMap<Place, Arc<Encoded>>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Routes {
    items: BTreeMap<ItemId, Item>,
    mappings: BTreeMap<ItemId, Arc<Mapping>>,
    depends_on: BTreeMap<(String, String), BTreeSet<ItemId>>,
    groups: BTreeMap<GroupId, Built>,
    tables: BTreeMap<ItemId, Table>,
    /// Tables with a literal hostname, and the others: most Mappings name one
    /// host, and need not be held against all.
    literal: BTreeMap<String, BTreeSet<ItemId>>,
    other: BTreeSet<ItemId>,
    dirty_groups: BTreeSet<GroupId>,
    dirty_tables: BTreeSet<ItemId>,
}

impl Routes {
    /// Puts a Mapping's object in or takes it out.
    pub(super) fn set_item(&mut self, id: &ItemId, item: Option<Item>) {
        match item {
            Some(item) => self.items.insert(id.clone(), item),
            None => self.items.remove(id),
        };
    }

    /// Every Mapping.
    pub(super) fn ids(&self) -> impl Iterator<Item = &ItemId> {
        self.items.keys()
    }

    /// Mappings whose cluster depends on a Service.
    pub(super) fn dependents(&self, service: &(String, String)) -> Vec<ItemId> {
        self.depends_on.get(service).into_iter().flatten().cloned().collect()
    }

    /// Parses a Mapping anew.
    pub(super) fn parse(
        &mut self,
        id: &ItemId,
        internal: bool,
        stage: &Stage,
        services: &Services,
        clusters: &mut Clusters,
        reports: &mut Reports,
    ) {
        let (parsed, findings) = match self.items.get(id) {
            Some(item) => mapping::parse(item, stage, services),
            None => (None, Vec::new()),
        };
        reports.set_item(id, Pass::Mapping, findings);
        reports.set_item(id, Pass::Attachment, Vec::new());
        if let Some(old) = self.mappings.remove(id) {
            if let Some(built) = self.groups.get_mut(&old.group) {
                built.members.remove(id);
                // Another group may speak of it from now on, and may be redone
                // before this one.
                if built.reported.remove(id) {
                    reports.set_item(id, Pass::Group, Vec::new());
                }
            }
            self.dirty_groups.insert(old.group);
            if let Some(service) = &old.depends_on
                && let Some(users) = self.depends_on.get_mut(service)
            {
                users.remove(id);
                if users.is_empty() {
                    self.depends_on.remove(service);
                }
            }
        }
        clusters.set(id, parsed.as_ref().and_then(|mapping| mapping.target.as_ref()));
        let Some(mut mapping) = parsed else { return };
        mapping.internal = internal;
        if let Some(service) = &mapping.depends_on {
            self.depends_on.entry(service.clone()).or_default().insert(id.clone());
        }
        let mapping = Arc::new(mapping);
        self.dirty_groups.insert(mapping.group);
        let built = self.groups.entry(mapping.group).or_default();
        built.members.insert(id.clone(), mapping.clone());
        self.mappings.insert(id.clone(), mapping);
    }

    /// Marks the groups of items whose cluster got another name.
    pub(super) fn renamed(&mut self, items: &BTreeSet<ItemId>) {
        for id in items {
            if let Some(mapping) = self.mappings.get(id) {
                self.dirty_groups.insert(mapping.group);
            }
        }
    }

    /// Takes over the Hosts of a new scene.
    pub(super) fn set_hosts(&mut self, hosts: &[Host], stage: &Stage, reports: &mut Reports) {
        let wanted: BTreeMap<&ItemId, &Host> = hosts.iter().map(|host| (host.id(), host)).collect();
        let stale: Vec<ItemId> = self
            .tables
            .iter()
            .filter(|(id, table)| {
                wanted.get(id).is_none_or(|host| {
                    host.hostname != table.hostname || host.selector != table.selector
                })
            })
            .map(|(id, _)| id.clone())
            .collect();
        let mut touched = !stale.is_empty();
        for id in stale {
            self.remove_table(&id);
        }
        for (id, host) in wanted {
            if !self.tables.contains_key(id) {
                touched = true;
                self.add_table(id, host, stage);
            }
        }
        if touched {
            for built in self.groups.values_mut() {
                built.report_attachment(reports);
            }
        }
    }

    fn remove_table(&mut self, id: &ItemId) {
        let Some(table) = self.tables.remove(id) else { return };
        self.other.remove(id);
        if let Some(same) = self.literal.get_mut(&table.hostname) {
            same.remove(id);
            if same.is_empty() {
                self.literal.remove(&table.hostname);
            }
        }
        for Reverse((_, group)) in table.groups.keys() {
            if let Some(built) = self.groups.get_mut(group) {
                built.hosts.remove(id);
            }
        }
    }

    fn add_table(&mut self, id: &ItemId, host: &Host, stage: &Stage) {
        let mut table = Table {
            hostname: host.hostname.clone(),
            selector: host.selector.clone(),
            groups: BTreeMap::new(),
        };
        for built in self.groups.values_mut() {
            let Some(place) = &built.place else { continue };
            if built.group.attaches(&table.hostname, table.selector.as_ref(), stage) {
                table.groups.insert(place.clone(), built.encoded.clone());
                built.hosts.insert(id.clone());
            }
        }
        if glob::is_glob(&host.hostname) || host.selector.is_some() {
            self.other.insert(id.clone());
        } else {
            self.literal.entry(host.hostname.clone()).or_default().insert(id.clone());
        }
        self.dirty_tables.insert(id.clone());
        self.tables.insert(id.clone(), table);
    }

    /// Redoes the groups that changed; returns the Hosts whose routes did.
    pub(super) fn flush(
        &mut self,
        stage: &Stage,
        clusters: &Clusters,
        reports: &mut Reports,
    ) -> BTreeSet<ItemId> {
        for id in std::mem::take(&mut self.dirty_groups) {
            let Some(mut built) = self.groups.remove(&id) else { continue };
            self.detach(&mut built);
            built.rebuild(id, stage, clusters, reports);
            self.attach(&mut built, stage);
            built.report_attachment(reports);
            if !built.members.is_empty() {
                self.groups.insert(id, built);
            }
        }
        std::mem::take(&mut self.dirty_tables)
    }

    fn detach(&mut self, built: &mut Built) {
        let Some(place) = &built.place else { return };
        for host in std::mem::take(&mut built.hosts) {
            if let Some(table) = self.tables.get_mut(&host) {
                table.groups.remove(place);
            }
            self.dirty_tables.insert(host);
        }
    }

    fn attach(&mut self, built: &mut Built, stage: &Stage) {
        let Some(place) = built.place.clone() else { return };
        let Some(first) = built.group.first() else { return };
        let literal = match &first.host {
            HostMatch::Glob(name) if !first.internal && !glob::is_glob(name) => Some(name),
            _ => None,
        };
        let candidates: Vec<ItemId> = match literal {
            Some(name) => {
                self.literal.get(name).into_iter().flatten().chain(&self.other).cloned().collect()
            }
            None => self.tables.keys().cloned().collect(),
        };
        for id in candidates {
            let Some(table) = self.tables.get_mut(&id) else { continue };
            if built.group.attaches(&table.hostname, table.selector.as_ref(), stage) {
                table.groups.insert(place.clone(), built.encoded.clone());
                self.dirty_tables.insert(id.clone());
                built.hosts.insert(id);
            }
        }
    }

    /// The encoded routes of a Host, in order.
    pub(super) fn encoded(&self, host: &ItemId) -> impl Iterator<Item = &Encoded> {
        self.tables.get(host).into_iter().flat_map(|table| table.groups.values().map(|e| &**e))
    }

    /// Objects whose routes a Host holds.
    pub(super) fn sources(&self, host: &ItemId) -> BTreeSet<ObjectKey> {
        let mut keys = BTreeSet::new();
        if let Some(table) = self.tables.get(host) {
            for Reverse((_, id)) in table.groups.keys() {
                if let Some(built) = self.groups.get(id) {
                    keys.extend(built.group.members().map(|m| (*m.item.id.source).clone()));
                }
            }
        }
        keys
    }
}

impl Built {
    fn rebuild(&mut self, id: GroupId, stage: &Stage, clusters: &Clusters, reports: &mut Reports) {
        for id in self.members.keys() {
            reports.set_item(id, Pass::Attachment, Vec::new());
        }
        self.group = Group::of(self.members.values());
        self.place = self.group.first().map(|first| Reverse((first.rank.clone(), id)));
        let mut by_item: BTreeMap<ItemId, Vec<Diagnostic>> = BTreeMap::new();
        for (item, finding) in std::mem::take(&mut self.group.findings) {
            by_item.entry(item).or_default().push(finding);
        }
        for item in std::mem::take(&mut self.reported) {
            if !by_item.contains_key(&item) {
                reports.set_item(&item, Pass::Group, Vec::new());
            }
        }
        for (item, findings) in by_item {
            reports.set_item(&item, Pass::Group, findings);
            self.reported.insert(item);
        }
        if self.place.is_none() {
            self.encoded = Arc::default();
            return;
        }
        let routes = self.group.routes(stage, &|item| clusters.published(item));
        let encode = |profile: &Profile| {
            let pieces = variants(&routes, *profile, stage).iter().map(Piece::of).collect();
            (*profile, pieces)
        };
        self.encoded =
            Arc::new(Encoded { by_profile: stage.profiles.iter().map(encode).collect() });
    }

    /// A Mapping that no Host takes serves nothing; say so.
    fn report_attachment(&mut self, reports: &mut Reports) {
        let lonely = self.hosts.is_empty();
        for member in self.group.members() {
            let findings = if lonely {
                vec![member.item.warning(
                    "no-host",
                    "spec.hostname",
                    "no Host takes this Mapping, so it serves nothing",
                    "set hostname to match a Host, or labels to match its mappingSelector",
                )]
            } else {
                Vec::new()
            };
            reports.set_item(&member.item.id, Pass::Attachment, findings);
        }
    }
}

/// Returns the routes as a profile wants them.
fn variants(routes: &[Route], profile: Profile, stage: &Stage) -> Vec<Route> {
    let Some(first) = routes.first() else { return Vec::new() };
    if matches!(&first.matches.path, PathMatch::Prefix(prefix) if prefix == ACME_PREFIX) {
        return routes.to_vec();
    }
    match profile {
        Profile::Plain => routes.to_vec(),
        Profile::XfpOnly => routes.iter().map(secure_variant).collect(),
        Profile::XfpRedirect => {
            let redirect = redirect_variant(first, stage);
            routes.iter().map(secure_variant).chain([redirect]).collect()
        }
        Profile::Redirect => vec![redirect_variant(first, stage)],
        Profile::Nothing => Vec::new(),
    }
}

fn secure_variant(route: &Route) -> Route {
    let mut variant = route.clone();
    variant.matches.headers.retain(|header| !is_forwarded_proto(header));
    variant.matches.headers.push(NamedMatch {
        name: FORWARDED_PROTO.to_owned(),
        value: TextMatch::Exact("https".to_owned()),
    });
    variant
}

/// The same match, answered by a redirect to https.
fn redirect_variant(route: &Route, stage: &Stage) -> Route {
    let mut matches = route.matches.clone();
    if matches.headers.len() > 1 {
        matches.headers.retain(|header| !is_forwarded_proto(header));
    }
    Route {
        name: route.name.clone(),
        matches,
        share: None,
        action: Action::Redirect(Redirect { https: true, code: 301, ..Default::default() }),
        add_request_headers: Vec::new(),
        add_response_headers: Vec::new(),
        remove_request_headers: Vec::new(),
        remove_response_headers: Vec::new(),
        auth: if stage.auth { AuthOverride::Disabled } else { AuthOverride::Inherit },
        cors: None,
    }
}

fn is_forwarded_proto(header: &NamedMatch) -> bool {
    header.name.eq_ignore_ascii_case(FORWARDED_PROTO)
}
