//! Resolvers by name: how the name of a service becomes addresses.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Kind, ObjectKey, Spec};

use super::input::Input;
use super::item::Item;
use crate::names;

/// How a resolver finds endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolver {
    Service,
    Endpoint,
    Consul(Arc<Catalogue>),
}

/// A datacenter of one Consul.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Catalogue {
    /// Its part of the names of endpoint sets: the datacenter, with the address
    /// behind it where another Consul has a datacenter of that name.
    pub(crate) name: String,
    pub(crate) datacenter: String,
    /// `None` for the built-in one: nothing says where Consul is.
    pub(crate) address: Option<String>,
    /// The object that says so.
    pub(crate) named_by: Option<ObjectKey>,
}

/// Names that mean the same resolver unless both are defined.
const ALIASES: [[&str; 2]; 2] =
    [["endpoint", "kubernetes-endpoint"], ["consul", "consul-endpoint"]];

/// Datacenter of the built-in Consul resolver. Source: Emissary.
const BUILT_IN_DATACENTER: &str = "dc1";

/// Reads the resolvers, those that are built in among them.
pub(crate) fn read(
    input: &Input<'_>,
    findings: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Resolver> {
    let mut defined: BTreeMap<String, Resolver> = BTreeMap::new();
    for kind in [Kind::KubernetesServiceResolver, Kind::KubernetesEndpointResolver] {
        let resolver = match kind {
            Kind::KubernetesServiceResolver => Resolver::Service,
            _ => Resolver::Endpoint,
        };
        let mut own = BTreeMap::new();
        for item in input.of(kind) {
            own.insert(flat_name(item, |name| own.contains_key(name)), resolver.clone());
        }
        defined.extend(own);
    }
    defined.extend(consul(input, findings));
    for [one, other] in ALIASES {
        for (known, alias) in [(one, other), (other, one)] {
            if let Some(resolver) = defined.get(known).cloned() {
                defined.entry(alias.to_owned()).or_insert(resolver);
            }
        }
    }
    let built_in = built_in(&defined);
    let rest = [
        ("kubernetes-service", Resolver::Service),
        ("endpoint", Resolver::Endpoint),
        ("kubernetes-endpoint", Resolver::Endpoint),
        ("consul", built_in.clone()),
        ("consul-endpoint", built_in),
    ];
    for (name, resolver) in rest {
        defined.entry(name.to_owned()).or_insert(resolver);
    }
    defined
}

/// The Consul resolver that is there without an object: its datacenter in the
/// Consul of whoever defines it.
fn built_in(defined: &BTreeMap<String, Resolver>) -> Resolver {
    let known = defined.values().find(|resolver| {
        matches!(resolver, Resolver::Consul(catalogue) if catalogue.name == BUILT_IN_DATACENTER)
    });
    known.cloned().unwrap_or_else(|| {
        Resolver::Consul(Arc::new(Catalogue {
            name: BUILT_IN_DATACENTER.to_owned(),
            datacenter: BUILT_IN_DATACENTER.to_owned(),
            address: None,
            named_by: None,
        }))
    })
}

fn consul(input: &Input<'_>, findings: &mut Vec<Diagnostic>) -> BTreeMap<String, Resolver> {
    let mut found = BTreeMap::new();
    // Address of the first Consul that has a datacenter of this name.
    let mut addresses: BTreeMap<String, String> = BTreeMap::new();
    for item in input.of(Kind::ConsulResolver) {
        let Spec::ConsulResolver(spec) = &item.object.spec else { continue };
        let api::ConsulResolver { address: Some(address), datacenter: Some(datacenter), .. } =
            &**spec
        else {
            findings.push(item.error(
                "incomplete-resolver",
                "spec",
                "a ConsulResolver needs address and datacenter",
                "set both",
            ));
            continue;
        };
        let first = addresses.entry(datacenter.clone()).or_insert_with(|| address.clone());
        let catalogue = Catalogue {
            name: if first == address {
                datacenter.clone()
            } else {
                format!("{datacenter}@{address}")
            },
            datacenter: datacenter.clone(),
            address: Some(address.clone()),
            named_by: Some((*item.id.source).clone()),
        };
        let name = flat_name(item, |name| found.contains_key(name));
        found.insert(name, Resolver::Consul(Arc::new(catalogue)));
    }
    found
}

/// The first of a name has it plain; others add their namespace.
fn flat_name(item: &Item, taken: impl Fn(&str) -> bool) -> String {
    if taken(item.name()) {
        names::dotted(item.name(), item.namespace())
    } else {
        item.name().to_owned()
    }
}
