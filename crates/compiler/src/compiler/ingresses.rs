//! Ingresses: the Mappings and Hosts that they stand for, and their status.

use std::collections::{BTreeMap, BTreeSet};

use nuncio_api::core::LoadBalancerStatus;
use nuncio_api::{Kind, ObjectKey, Spec};

use super::reports::Pass;
use super::{Compiler, Dirty, Status};
use crate::ir::expand;
use crate::ir::item::{Item, ItemId};

impl Compiler {
    /// Returns where the gateway's own Service is reached.
    fn own_service(&self) -> Option<LoadBalancerStatus> {
        let namespace = &self.settings.namespace;
        let start = ObjectKey::new(Kind::Service, namespace, "");
        let services = self
            .entries
            .range(start..)
            .take_while(|(key, _)| key.kind == Kind::Service && key.namespace == *namespace);
        let own = services.filter_map(|(_, entry)| {
            let object = entry.good.as_ref()?;
            match &object.spec {
                Spec::Service(service) if expand::is_own(&object.meta, service, &self.settings) => {
                    Some(&service.status.load_balancer)
                }
                _ => None,
            }
        });
        own.last().filter(|status| !status.ingress.is_empty()).cloned()
    }

    /// Turns Ingresses into Mappings and Hosts anew, and marks what differs.
    pub(super) fn expand(&mut self, dirty: &mut Dirty) {
        let none = BTreeMap::new();
        let classes = self.items.get(&Kind::IngressClass).unwrap_or(&none);
        let mut derived = BTreeMap::new();
        let mut ours = BTreeSet::new();
        let mut findings = Vec::new();
        for item in self.items.get(&Kind::Ingress).into_iter().flat_map(|items| items.values()) {
            let Spec::Ingress(ingress) = &item.object.spec else { continue };
            if !expand::is_ours(item, ingress, classes, &self.settings) {
                continue;
            }
            ours.insert((*item.id.source).clone());
            let expansion = expand::ingress(item, ingress, &self.services);
            findings.extend(expansion.findings);
            derived.extend(expansion.items.into_iter().map(|item| (item.id.clone(), item)));
        }
        self.reports.replace(Pass::Ingress, findings);
        let addresses = self.own_service().map(Status::LoadBalancer);
        self.statuses.set_ingresses(addresses.as_ref(), &ours);
        let ids: BTreeSet<ItemId> = self.derived.keys().chain(derived.keys()).cloned().collect();
        for id in ids {
            let (old, new) = (self.derived.get(&id), derived.get(&id));
            if old == new {
                continue;
            }
            let is_host = |item: Option<&Item>| {
                item.is_some_and(|item| item.object.spec.kind() == Kind::Host)
            };
            if is_host(old) || is_host(new) {
                let hosts = self.items.entry(Kind::Host).or_default();
                hosts.remove(&id);
                if let Some(item) = new.filter(|_| is_host(new)) {
                    hosts.insert(id.clone(), item.clone());
                }
                dirty.scene = true;
            }
            if !is_host(old) || !is_host(new) {
                let mapping = new.filter(|_| !is_host(new)).cloned();
                dirty.mappings.insert(self.routes.set_item(&id, mapping));
            }
        }
        self.derived = derived;
    }
}
