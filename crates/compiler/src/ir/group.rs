//! Mappings with the same match: who is in, in which share, as which routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, LabelSpecifier};

use super::item::ItemId;
use super::mapping::{HostMatch, Mapping, Role};
use super::route::{
    Action, AuthOverride, Cors, Forward, HashKey, HeaderEdit, HostRewrite, PathRewrite,
    RateLimitAction, RateLimitEntry, Redirect, RedirectPath, Retry, Route, Share,
};
use super::scene::Stage;
use super::service::Scheme;
use super::upstream;

/// Label groups of this name take no defaults. Source: Emissary.
const BARE_GROUP: &str = "v0_ratelimit_";
/// Path that redirects never cover.
pub(crate) const ACME_PREFIX: &str = "/.well-known/acme-challenge/";

/// A group with its members sorted out.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// In processing order.
    pub(crate) normal: Vec<Arc<Mapping>>,
    pub(crate) shadow: Option<Arc<Mapping>>,
    pub(crate) redirect: Option<Arc<Mapping>>,
    /// Union over the accepted members, later ones winning.
    pub(crate) labels: BTreeMap<String, String>,
    /// By the member they are about.
    pub(crate) findings: Vec<(ItemId, Diagnostic)>,
}

impl Group {
    /// Sorts members (in processing order) out.
    pub(crate) fn of<'a>(members: impl IntoIterator<Item = &'a Arc<Mapping>>) -> Self {
        let mut group = Self::default();
        let mut first: Option<Arc<Mapping>> = None;
        for member in members {
            if let Some(first) = &first
                && let Some(field) = disagreement(first, member)
            {
                group.refuse(
                    member,
                    "group-disagreement",
                    &format!("spec.{field}"),
                    format!(
                        "differs from {}, which matches the same requests",
                        first.item.id.source
                    ),
                    "make the fields equal, or change what one of them matches",
                );
                continue;
            }
            first.get_or_insert_with(|| member.clone());
            group.admit(member);
        }
        if group.shadow.is_some() && group.normal.is_empty() {
            let member = group.shadow.clone().expect("just found");
            group.refuse(
                &member,
                "shadow-alone",
                "spec.shadow",
                "mirrors the requests of another Mapping, but none matches the same".to_owned(),
                "add the Mapping whose requests it is to mirror",
            );
        }
        if group.normal.len() > 1 {
            group.check_weights();
        }
        group
    }

    fn refuse(
        &mut self,
        member: &Mapping,
        code: &'static str,
        field: &str,
        message: String,
        remedy: &str,
    ) {
        let finding = member.item.error(code, field, message, remedy);
        self.findings.push((member.item.id.clone(), finding));
    }

    fn admit(&mut self, member: &Arc<Mapping>) {
        let (slot, message) = match member.role {
            Role::Normal if self.redirect.is_none() => {
                self.normal.push(member.clone());
                (true, "")
            }
            Role::Shadow if self.shadow.is_none() => {
                self.shadow = Some(member.clone());
                (true, "")
            }
            Role::Redirect if self.redirect.is_none() && self.normal.is_empty() => {
                self.redirect = Some(member.clone());
                (true, "")
            }
            Role::Normal => (false, "cannot route what another Mapping redirects"),
            Role::Shadow => (false, "only one Mapping can mirror the same requests"),
            Role::Redirect => (false, "cannot redirect what another Mapping handles"),
        };
        if slot {
            let labels = &member.item.meta().labels;
            self.labels.extend(labels.iter().map(|(k, v)| (k.clone(), v.clone())));
        } else {
            self.refuse(
                member,
                "group-conflict",
                "spec",
                message.to_owned(),
                "change what one of them matches",
            );
        }
    }

    fn check_weights(&mut self) {
        let sum: u32 = self.normal.iter().filter_map(|m| m.spec().weight).sum();
        if sum <= 100 {
            return;
        }
        let last = self.normal.iter().rev().find(|m| m.spec().weight.is_some()).cloned();
        if let Some(member) = last {
            self.refuse(
                &member,
                "weights-over-hundred",
                "spec.weight",
                format!("weights of the Mappings with the same match add up to {sum}"),
                "lower them to at most 100 in all",
            );
        }
    }

    /// The member that stands for the match.
    pub(crate) fn first(&self) -> Option<&Arc<Mapping>> {
        self.redirect.as_ref().or_else(|| self.normal.first())
    }

    /// Every member in effect.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Arc<Mapping>> {
        self.normal.iter().chain(&self.shadow).chain(&self.redirect)
    }

    /// Returns whether a Host takes this group.
    pub(crate) fn attaches(
        &self,
        hostname: &str,
        selector: Option<&BTreeMap<String, String>>,
        stage: &Stage,
    ) -> bool {
        let Some(first) = self.first() else { return false };
        if first.internal {
            return true;
        }
        let named = first.host != HostMatch::None;
        let overlaps = first.host.overlaps(hostname);
        let Some(selector) = selector else { return overlaps };
        let labelled = stage.labels_match(selector, &self.labels);
        if stage.strict_labels { labelled && (!named || overlaps) } else { labelled || overlaps }
    }

    /// Returns the routes in order, as compiled for a request that is let in.
    ///
    /// `clusters` names the published cluster of each member.
    pub(crate) fn routes(
        &self,
        stage: &Stage,
        clusters: &dyn Fn(&ItemId) -> Arc<str>,
    ) -> Vec<Route> {
        if let Some(redirect) = &self.redirect {
            return vec![self.redirect_route(redirect, stage)];
        }
        let shares = shares(&self.normal);
        shares
            .into_iter()
            .map(|(member, percent)| self.forward_route(member, percent, stage, clusters))
            .collect()
    }

    fn forward_route(
        &self,
        member: &Arc<Mapping>,
        percent: u32,
        stage: &Stage,
        clusters: &dyn Fn(&ItemId) -> Arc<str>,
    ) -> Route {
        let spec = member.spec();
        let defaults = &stage.defaults;
        let first = &self.normal[0];
        let mut matches = first.matches.clone();
        if let Some(sensitive) = spec.case_sensitive {
            matches.case_sensitive = sensitive;
        }
        let path = match self.last(|m| m.regex_rewrite.as_ref()) {
            Some(regex) => PathRewrite::Regex {
                pattern: regex.pattern.clone(),
                substitution: regex.substitution.clone(),
            },
            None => match spec.rewrite.as_deref() {
                None => PathRewrite::Prefix("/".to_owned()),
                Some("") => PathRewrite::Keep,
                Some(text) => PathRewrite::Prefix(text.to_owned()),
            },
        };
        let host = match (&spec.host_rewrite, spec.auto_host_rewrite) {
            (Some(host), _) => HostRewrite::Literal(host.clone()),
            (None, Some(true)) => HostRewrite::Auto,
            _ => HostRewrite::Keep,
        };
        let forward = Forward {
            cluster: clusters(&member.item.id),
            path,
            host,
            timeout_ms: spec.timeout_ms.unwrap_or(defaults.request_timeout_ms),
            idle_timeout_ms: spec.idle_timeout_ms,
            retry: self.retry(stage),
            high_priority: self
                .last(|m| m.priority.as_deref())
                .is_some_and(|priority| priority.eq_ignore_ascii_case("high")),
            mirror: self.shadow.as_ref().map(|shadow| {
                (clusters(&shadow.item.id), shadow.spec().weight.unwrap_or(100).min(100))
            }),
            upgrades: self.upgrades(),
            hash: self.hash(),
            rate_limits: rate_limits(first.spec(), stage),
        };
        Route {
            name: member.item.id.source.to_string(),
            matches,
            share: (percent < 100).then_some(Share { percent }),
            action: Action::Forward(Box::new(forward)),
            add_request_headers: self.request_headers(member, stage),
            add_response_headers: self
                .added(|m| m.add_response_headers.as_ref(), &defaults.add_response_headers),
            remove_request_headers: self
                .removed(|m| m.remove_request_headers.as_ref(), &defaults.remove_request_headers),
            remove_response_headers: self
                .removed(|m| m.remove_response_headers.as_ref(), &defaults.remove_response_headers),
            auth: auth_override(spec, stage, first.internal),
            cors: self.cors(stage),
        }
    }

    fn redirect_route(&self, member: &Arc<Mapping>, stage: &Stage) -> Route {
        let spec = member.spec();
        let defaults = &stage.defaults;
        let path = if let Some(path) = &spec.path_redirect {
            RedirectPath::Whole(path.clone())
        } else if let Some(prefix) = &spec.prefix_redirect {
            RedirectPath::Prefix(prefix.clone())
        } else if let Some(regex) = &spec.regex_redirect {
            RedirectPath::Regex {
                pattern: regex.pattern.clone(),
                substitution: regex.substitution.clone(),
            }
        } else {
            RedirectPath::Keep
        };
        let mut host = member.service.bracketed().into_owned();
        if let Some(port) = member.service.port {
            host.push_str(&format!(":{port}"));
        }
        let add = |given: &Option<BTreeMap<String, api::AddedHeader>>, default| {
            header_edits(given.as_ref().unwrap_or(default))
        };
        let redirect = Redirect {
            host,
            path,
            code: match spec.redirect_response_code {
                Some(code @ (301 | 302 | 303 | 307 | 308)) => u16::try_from(code).unwrap_or(301),
                _ => 301,
            },
            https: member.service.scheme == Some(Scheme::Https),
        };
        Route {
            name: member.item.id.source.to_string(),
            matches: member.matches.clone(),
            share: None,
            action: Action::Redirect(redirect),
            add_request_headers: Vec::new(),
            add_response_headers: add(&spec.add_response_headers, &defaults.add_response_headers),
            remove_request_headers: Vec::new(),
            remove_response_headers: spec.remove_response_headers.clone().unwrap_or_default(),
            auth: if stage.auth { AuthOverride::Disabled } else { AuthOverride::Inherit },
            cors: None,
        }
    }

    fn last<'a, T: 'a>(&'a self, field: impl Fn(&'a api::Mapping) -> Option<T>) -> Option<T> {
        self.normal.iter().rev().find_map(|member| field(member.spec()))
    }

    fn retry(&self, stage: &Stage) -> Option<Arc<Retry>> {
        self.last(|m| m.retry_policy.as_ref())
            .and_then(upstream::retry)
            .or_else(|| stage.defaults.retry.clone())
    }

    fn cors(&self, stage: &Stage) -> Option<Arc<Cors>> {
        self.last(|m| m.cors.as_ref()).map(upstream::cors).or_else(|| stage.defaults.cors.clone())
    }

    fn hash(&self) -> Option<HashKey> {
        self.normal.first()?.load_balancer.as_ref()?.hash.clone()
    }

    /// Upgrades allowed, each once: Envoy refuses a repeated one.
    fn upgrades(&self) -> Vec<String> {
        let mut upgrades: Vec<String> = self
            .last(|m| (!m.allow_upgrade.is_empty()).then_some(&m.allow_upgrade))
            .map(|list| list.iter().map(|name| name.to_ascii_lowercase()).collect())
            .unwrap_or_default();
        if self.last(|m| m.use_websocket) == Some(true) {
            upgrades.push("websocket".to_owned());
        }
        upgrades.sort();
        upgrades.dedup();
        upgrades
    }

    fn request_headers(&self, member: &Mapping, stage: &Stage) -> Vec<HeaderEdit> {
        let mut edits =
            self.added(|m| m.add_request_headers.as_ref(), &stage.defaults.add_request_headers);
        if let Some(value) = &member.linkerd {
            edits.push(HeaderEdit {
                name: "l5d-dst-override".to_owned(),
                value: value.clone(),
                append: false,
            });
        }
        edits
    }

    /// Union of the members' headers, a later one winning per name. A Mapping
    /// that says anything, even nothing, replaces the default.
    fn added<'a>(
        &'a self,
        field: impl Fn(&'a api::Mapping) -> Option<&'a BTreeMap<String, api::AddedHeader>>,
        default: &BTreeMap<String, api::AddedHeader>,
    ) -> Vec<HeaderEdit> {
        let mut given = self.normal.iter().filter_map(|m| field(m.spec())).peekable();
        if given.peek().is_none() {
            return header_edits(default);
        }
        let mut union: BTreeMap<String, api::AddedHeader> = BTreeMap::new();
        for headers in given {
            union.extend(headers.iter().map(|(name, added)| (name.clone(), added.clone())));
        }
        header_edits(&union)
    }

    fn removed<'a>(
        &'a self,
        field: impl Fn(&'a api::Mapping) -> Option<&'a Vec<String>>,
        default: &[String],
    ) -> Vec<String> {
        self.last(field).map_or_else(|| default.to_vec(), Clone::clone)
    }
}

fn header_edits(headers: &BTreeMap<String, api::AddedHeader>) -> Vec<HeaderEdit> {
    headers
        .iter()
        .map(|(name, added)| HeaderEdit {
            name: name.clone(),
            value: added.value.clone(),
            append: added.append.unwrap_or(true),
        })
        .collect()
}

fn auth_override(spec: &api::Mapping, stage: &Stage, internal: bool) -> AuthOverride {
    if !stage.auth {
        AuthOverride::Inherit
    } else if spec.bypass_auth == Some(true) || (internal && stage.auth_closed) {
        AuthOverride::Disabled
    } else if spec.auth_context_extensions.is_empty() {
        AuthOverride::Inherit
    } else {
        AuthOverride::Context(spec.auth_context_extensions.clone())
    }
}

/// Returns each member with its cumulative share, in route order.
///
/// Members with `weight` first, adding up; the rest of the hundred is split
/// equally (half to even) over the others, the last of all taking what is left.
fn shares(members: &[Arc<Mapping>]) -> Vec<(&Arc<Mapping>, u32)> {
    if let [only] = members {
        return vec![(only, 100)];
    }
    let mut out = Vec::with_capacity(members.len());
    let mut sum = 0_u32;
    for member in members {
        if let Some(weight) = member.spec().weight {
            sum = sum.saturating_add(weight).min(100);
            out.push((member, sum));
        }
    }
    let rest: Vec<_> = members.iter().filter(|m| m.spec().weight.is_none()).collect();
    let each = (f64::from(100 - sum) / rest.len().max(1) as f64).round_ties_even() as u32;
    for (position, member) in rest.iter().enumerate() {
        let last = position + 1 == rest.len();
        sum = if last { 100 } else { (sum + each).min(100) };
        out.push((*member, sum));
    }
    out
}

/// Returns a field that `later` states otherwise than `first`.
///
/// One-sided: leaving out what the first has is fine. Source: Emissary.
fn disagreement(first: &Mapping, later: &Mapping) -> Option<&'static str> {
    let (a, b) = (first.spec(), later.spec());
    fn differs<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
        b.is_some() && a != b
    }
    let checks = [
        ("bypass_auth", differs(&a.bypass_auth, &b.bypass_auth)),
        (
            "circuit_breakers",
            !b.circuit_breakers.is_empty() && a.circuit_breakers != b.circuit_breakers,
        ),
        ("connect_timeout_ms", differs(&a.connect_timeout_ms, &b.connect_timeout_ms)),
        (
            "cluster_idle_timeout_ms",
            differs(&a.cluster_idle_timeout_ms, &b.cluster_idle_timeout_ms),
        ),
        (
            "cluster_max_connection_lifetime_ms",
            differs(&a.cluster_max_connection_lifetime_ms, &b.cluster_max_connection_lifetime_ms),
        ),
        ("headers", first.matches.headers != later.matches.headers),
        ("keepalive", differs(&a.keepalive, &b.keepalive)),
        ("labels", !b.labels.is_empty() && a.labels != b.labels),
        ("load_balancer", differs(&a.load_balancer, &b.load_balancer)),
        ("prefix", a.prefix != b.prefix),
        ("prefix_regex", differs(&a.prefix_regex, &b.prefix_regex)),
        ("prefix_exact", differs(&a.prefix_exact, &b.prefix_exact)),
    ];
    checks.into_iter().find_map(|(field, differs)| differs.then_some(field))
}

/// Returns the descriptors of a Mapping in the rate-limit service's domain.
fn rate_limits(spec: &api::Mapping, stage: &Stage) -> Vec<RateLimitEntry> {
    let Some(domain) = &stage.label_domain else { return Vec::new() };
    let none = Vec::new();
    let defaults = stage.defaults.labels.get(domain).unwrap_or(&none);
    let entry = |parts: &mut dyn Iterator<Item = &LabelSpecifier>| RateLimitEntry {
        actions: parts.filter_map(label_action).collect(),
    };
    let entries: Vec<RateLimitEntry> = match spec.labels.get(domain) {
        None if spec.labels.is_empty() => vec![entry(&mut defaults.iter())],
        None => Vec::new(),
        Some(groups) => groups
            .iter()
            .map(|group| {
                let bare = group.name.starts_with(BARE_GROUP);
                let defaults = if bare { &none } else { defaults };
                entry(&mut defaults.iter().chain(&group.specifiers))
            })
            .collect(),
    };
    entries.into_iter().filter(|entry| !entry.actions.is_empty()).collect()
}

fn label_action(label: &LabelSpecifier) -> Option<RateLimitAction> {
    Some(match label {
        LabelSpecifier::SourceCluster(_) => RateLimitAction::SourceCluster,
        LabelSpecifier::DestinationCluster(_) => RateLimitAction::DestinationCluster,
        LabelSpecifier::RemoteAddress(_) => RateLimitAction::RemoteAddress,
        LabelSpecifier::GenericKey(pair) if !pair.value.is_empty() => RateLimitAction::GenericKey {
            key: pair.key.clone().unwrap_or_else(|| "generic_key".to_owned()),
            value: pair.value.clone(),
        },
        LabelSpecifier::RequestHeaders(header)
            if !header.header_name.is_empty() && !header.key.is_empty() =>
        {
            RateLimitAction::RequestHeader {
                key: header.key.clone(),
                header: header.header_name.clone(),
                skip_if_absent: header.omit_if_not_present.unwrap_or(false),
            }
        }
        _ => return None,
    })
}
