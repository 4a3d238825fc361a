//! Which Mappings keep the routes of a Host from being indexed.

use std::collections::BTreeMap;

use nuncio_api::Diagnostic;

use super::Compiler;
use super::edits::Edits;
use super::reports::Pass;
use crate::ir::group_id::GroupId;
use crate::ir::host::Host;
use crate::ir::item::ItemId;
use crate::ir::scene::Scene;

/// Most Mappings of a Host that are told: the first ones in the order of its
/// routes.
const TOLD: usize = 10;

/// Hosts without an index that they need: how many routes each has, and the
/// groups that are the cause.
pub(super) type Broad = BTreeMap<ItemId, (usize, Vec<GroupId>)>;

impl Compiler {
    /// Reports the causes anew for edited Hosts, or for all.
    pub(super) fn report_broad(&mut self, scene: &Scene, edits: &Edits, all: bool) {
        let mut stale = all && !self.broad.is_empty();
        if all {
            self.broad.clear();
        }
        let edited: Vec<&ItemId> = match all {
            true => scene.hosts.iter().map(Host::id).collect(),
            false => edits.keys().collect(),
        };
        for host in edited {
            stale |= self.broad.remove(host).is_some();
            if let Some(found) = self.tables.broad(host) {
                self.broad.insert(host.clone(), found);
                stale = true;
            }
        }
        if !stale {
            return;
        }
        let routes = &self.routes;
        let hosts = scene.hosts.iter().filter_map(|host| Some((host, self.broad.get(host.id())?)));
        let findings: Vec<Diagnostic> = hosts
            .flat_map(|(host, (count, groups))| {
                let members = groups.iter().flat_map(|group| routes.members(*group));
                members.take(TOLD).map(move |member| {
                    let message = format!(
                        "can take paths of more than half of the {count} routes of host {}, which Envoy therefore tries one after the other for each request",
                        host.hostname
                    );
                    let remedy =
                        "give it a longer prefix, or a pattern that begins with a literal text";
                    member.item.warning("broad-route", "spec.prefix", message, remedy)
                })
            })
            .collect();
        self.reports.replace(Pass::Index, findings);
    }
}
