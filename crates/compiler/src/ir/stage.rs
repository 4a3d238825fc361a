//! What passes are given and what they leave behind: the objects, and what
//! Mappings depend on beside themselves.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::{Diagnostic, Kind, ObjectKey};

use super::defaults::Defaults;
use super::endpoints::Services;
use super::error_response::Files;
use super::item::{Item, ItemId};
use super::mapping::Target;
use super::resolver::Resolver;
use super::secret::{SecretName, Secrets};
use super::tls::UpstreamTls;
use crate::{Settings, names};

/// Whether a TLSContext can originate TLS.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origination {
    Usable(Arc<UpstreamTls>),
    Unusable,
}

/// What Mappings depend on beside themselves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    pub(crate) namespace: String,
    pub(crate) resolve_defined_services: bool,
    pub(crate) endpoint_routing: bool,
    pub(crate) strict_labels: bool,
    pub(crate) defaults: Arc<Defaults>,
    pub(crate) resolvers: BTreeMap<String, Resolver>,
    pub(crate) contexts: BTreeMap<String, Origination>,
    /// Domain of the rate-limit service; `None` without one.
    pub(crate) label_domain: Option<String>,
    /// ext_authz stands in the chain.
    pub(crate) auth: bool,
    /// ... and refuses everything, because its object is broken.
    pub(crate) auth_closed: bool,
    /// `matchLabels` of every Host that has a selector, in processing order.
    pub(crate) selectors: Vec<BTreeMap<String, String>>,
    pub(crate) profiles: BTreeSet<Profile>,
    /// The Module has bodies of error answers.
    pub(crate) error_responses: bool,
    /// What the files hold that objects name.
    pub(crate) files: Arc<Files>,
}

impl Stage {
    /// Returns whether labels fulfil a selector, as strictly as is set.
    pub(crate) fn labels_match(
        &self,
        selector: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        labels_match(self.strict_labels, selector, labels)
    }
}

/// Returns whether labels fulfil a selector: all of it, or any of it where
/// matching is not strict. An empty selector is fulfilled by anything.
pub(crate) fn labels_match(
    strict: bool,
    selector: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
) -> bool {
    let mut holds = selector.iter().map(|(key, value)| labels.get(key) == Some(value));
    if strict || selector.is_empty() { holds.all(|x| x) } else { holds.any(|x| x) }
}

/// How the routes of a virtual host treat secure and insecure requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Profile {
    /// Every request is routed.
    Plain,
    /// `x-forwarded-proto: https` is routed, anything else redirected.
    XfpRedirect,
    /// `x-forwarded-proto: https` is routed, anything else not found.
    XfpOnly,
    /// Every request is redirected.
    Redirect,
    /// Nothing is found.
    Nothing,
}

/// Routes of one filter chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RouteTable {
    pub(crate) name: Arc<str>,
    pub(crate) virtual_hosts: Vec<VirtualHost>,
    pub(crate) sources: Arc<[ObjectKey]>,
    /// Clients are told of HTTP/3 on this port.
    pub(crate) offers_http3: bool,
}

/// One Host in one chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VirtualHost {
    pub(crate) name: String,
    pub(crate) domain: String,
    /// `None` for a virtual host that holds the challenge route alone.
    pub(crate) host: Option<ItemId>,
    pub(crate) profile: Profile,
    /// Challenges are answered here.
    pub(crate) challenges: bool,
}

/// Objects that a scene is made of.
pub(crate) struct Input<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) items: &'a BTreeMap<Kind, BTreeMap<ItemId, Item>>,
    /// Objects whose text never could be used.
    pub(crate) broken: &'a BTreeSet<ObjectKey>,
    pub(crate) services: &'a Services,
    pub(crate) secrets: &'a Secrets,
    /// What the files hold that objects name.
    pub(crate) files: &'a Arc<Files>,
    /// Some Mapping has bodies of error answers of its own.
    pub(crate) mapping_error_responses: bool,
    /// Secrets that were asked for, found or not.
    pub(crate) looked_at: RefCell<BTreeSet<SecretName>>,
}

impl Input<'_> {
    /// Items of a kind, in processing order.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Item> {
        self.items.get(&kind).into_iter().flat_map(BTreeMap::values)
    }

    pub(crate) fn any_broken(&self, kind: Kind) -> bool {
        self.broken.iter().any(|key| key.kind == kind)
    }

    /// Whether any object of this kind exists, usable or not.
    pub(crate) fn any(&self, kind: Kind) -> bool {
        self.of(kind).next().is_some() || self.any_broken(kind)
    }
}

/// Clusters of plug-in services and TCPMappings, by full name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SceneClusters {
    /// Full name, options, cluster, user; the first with a name has it plain.
    pub(crate) list: Vec<(Arc<str>, Target, ObjectKey)>,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.options == other.options
    }
}

impl SceneClusters {
    /// Adds a cluster and returns its published name.
    pub(crate) fn add(&mut self, target: Target, user: &ObjectKey) -> Arc<str> {
        let owner = self.list.iter().find(|(_, known, _)| known.name == target.name);
        let full = match owner {
            Some((_, known, _)) if known.options != target.options => {
                names::variant_cluster(&target.name, target.options)
            }
            _ => target.name.to_string(),
        };
        let published: Arc<str> = names::published_cluster(&full).into();
        if !self
            .list
            .iter()
            .any(|(name, known, _)| *name == published && known.options == target.options)
        {
            self.list.push((published.clone(), target, user.clone()));
        }
        published
    }
}

/// Collects what passes find and use.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) findings: Vec<Diagnostic>,
    pub(crate) clusters: SceneClusters,
    pub(crate) depends_on: BTreeSet<(String, String)>,
}
