//! Services in Consul: which are wanted, and what Consul told of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use nuncio_api::ConsulService;

use super::{Compiler, Dirty};
use crate::envoy;
use crate::ir::resolver::{Catalogue, Resolver};
use crate::ir::scene::Scene;
use crate::{ResourceName, names};

impl Compiler {
    /// Returns the services in Consul that something in effect goes to, sorted.
    pub fn consul_services(&self) -> BTreeSet<ConsulService> {
        let Some(scene) = &self.scene else { return BTreeSet::new() };
        let wanted = self.clusters.eds_under(names::CONSUL);
        wanted
            .filter_map(|name| {
                let (catalogue, service) = catalogue(scene, name)?;
                Some(ConsulService {
                    name: name.clone(),
                    address: catalogue.address.clone()?,
                    datacenter: catalogue.datacenter.clone(),
                    service: service.to_owned(),
                })
            })
            .collect()
    }

    /// Takes over what a registry knows of a service; `None` for nothing any
    /// more.
    pub(super) fn take_registered(
        &mut self,
        service: Arc<str>,
        endpoints: Option<BTreeSet<(String, u16)>>,
        dirty: &mut Dirty,
    ) {
        match endpoints {
            Some(endpoints) => self.registered.insert(service.clone(), endpoints),
            None => self.registered.remove(&service),
        };
        dirty.registered.insert(service);
    }

    /// Emits what a registry told; before it told anything, nothing: an Envoy
    /// that knows endpoints from before keeps them.
    pub(super) fn emit_registered(
        &mut self,
        scene: &Scene,
        service: &Arc<str>,
        resource: ResourceName,
    ) {
        match self.registered.get(service) {
            Some(endpoints) => {
                let bytes = envoy::endpoint::encode(service, endpoints);
                let named_by = catalogue(scene, service).and_then(|(c, _)| c.named_by.clone());
                self.published.set(resource, bytes, named_by.into_iter().collect::<Vec<_>>());
            }
            None => self.published.remove(&resource),
        }
    }
}

/// Splits the name of an endpoint set into datacenter and service.
fn catalogue<'a>(scene: &'a Scene, name: &'a str) -> Option<(&'a Catalogue, &'a str)> {
    let (wanted, service) = name.strip_prefix(names::CONSUL)?.rsplit_once('/')?;
    let found = scene.stage.resolvers.values().find_map(|resolver| match resolver {
        Resolver::Consul(catalogue) if catalogue.name == wanted => Some(&**catalogue),
        _ => None,
    })?;
    Some((found, service))
}
