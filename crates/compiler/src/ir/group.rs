//! Mappings with the same match: who is in, in which share, as which routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api::Diagnostic;

use super::item::ItemId;
use super::mapping::{HostMatch, Mapping, Role};
use super::stage::Stage;

mod labels;
mod routes;

/// Path that redirects never cover.
pub(crate) const ACME_PREFIX: &str = "/.well-known/acme-challenge/";

/// A group with its members sorted out.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The one that made the group, whatever its role: it stands for the
    /// match, the labels and the load balancer.
    creator: Option<Arc<Mapping>>,
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
        for member in members {
            let creator = group.creator.get_or_insert_with(|| member.clone());
            if let Some(field) = disagreement(creator, member) {
                let other = &creator.item.id.source;
                let message = format!("differs from {other}, which matches the same requests");
                group.refuse(
                    member,
                    "group-disagreement",
                    &format!("spec.{field}"),
                    message,
                    "make the fields equal, or change what one of them matches",
                );
                continue;
            }
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
/// One-sided: leaving out what the first has is fine, except for circuit
/// breakers, where the Module's stand in for those left out. Source: Emissary.
fn disagreement(first: &Mapping, later: &Mapping) -> Option<&'static str> {
    let (a, b) = (first.spec(), later.spec());
    fn differs<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
        b.is_some() && a != b
    }
    let checks = [
        ("bypass_auth", differs(&a.bypass_auth, &b.bypass_auth)),
        ("circuit_breakers", first.breakers != later.breakers),
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
