//! Services and their endpoints: which address stands behind which port.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::core::{EndpointPort, PortRef};
use nuncio_api::{Object, ObjectKey, Spec};

/// Label that ties an EndpointSlice to its Service.
const SLICE_SERVICE: &str = "kubernetes.io/service-name";

/// Whether a name is a Service that the objects define.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defined<'a> {
    /// Endpoints are known.
    Endpoints,
    /// `type: ExternalName`.
    External(&'a str),
    /// Not defined, or without endpoints.
    No,
}

/// Everything known of one Service.
#[derive(Debug, Clone, Default)]
struct Backing {
    service: Option<Arc<Object>>,
    endpoints: Option<Arc<Object>>,
    slices: BTreeMap<ObjectKey, Arc<Object>>,
}

/// One set of addresses that share ports, from either kind of object.
struct Subset {
    addresses: Vec<String>,
    ports: Vec<EndpointPort>,
}

/// All Services, by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct Services {
    backings: BTreeMap<(String, String), Backing>,
}

/// Returns the Service (namespace, name) that the object tells of.
pub(crate) fn service_of(object: &Object) -> Option<(String, String)> {
    let namespace = object.meta.namespace.clone();
    match &object.spec {
        Spec::Service(_) | Spec::Endpoints(_) => Some((namespace, object.meta.name.clone())),
        Spec::EndpointSlice(_) => {
            object.meta.labels.get(SLICE_SERVICE).map(|name| (namespace, name.clone()))
        }
        _ => None,
    }
}

impl Services {
    /// Puts an object in; the caller has taken its former version out.
    pub(crate) fn insert(&mut self, object: &Arc<Object>) {
        let Some(name) = service_of(object) else { return };
        let backing = self.backings.entry(name).or_default();
        match &object.spec {
            Spec::Service(_) => backing.service = Some(object.clone()),
            Spec::Endpoints(_) => backing.endpoints = Some(object.clone()),
            _ => {
                backing.slices.insert(object.key(), object.clone());
            }
        }
    }

    /// Takes an object out.
    pub(crate) fn remove(&mut self, object: &Object) {
        let Some(name) = service_of(object) else { return };
        let Some(backing) = self.backings.get_mut(&name) else { return };
        match &object.spec {
            Spec::Service(_) => backing.service = None,
            Spec::Endpoints(_) => backing.endpoints = None,
            _ => {
                backing.slices.remove(&object.key());
            }
        }
        if backing.service.is_none() && backing.endpoints.is_none() && backing.slices.is_empty() {
            self.backings.remove(&name);
        }
    }

    fn backing(&self, namespace: &str, name: &str) -> Option<&Backing> {
        self.backings.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Returns whether the objects say where this Service is.
    pub(crate) fn defined(&self, namespace: &str, name: &str) -> Defined<'_> {
        let Some(backing) = self.backing(namespace, name) else { return Defined::No };
        let Some(service) = backing.service() else { return Defined::No };
        if service.spec.kind.as_deref() == Some("ExternalName") {
            return service.spec.external_name.as_deref().map_or(Defined::No, Defined::External);
        }
        if backing.endpoints.is_some() || !backing.slices.is_empty() {
            Defined::Endpoints
        } else {
            Defined::No
        }
    }

    /// Returns a hash of what Mappings can know of a Service: whether it is
    /// defined, and its ports. Endpoints themselves are no part of it.
    pub(crate) fn fingerprint(&self, namespace: &str, name: &str) -> u64 {
        let Some(backing) = self.backing(namespace, name) else { return 0 };
        let ports = backing.service().map(|service| &service.spec.ports);
        let text = format!("{:?} {ports:?}", self.defined(namespace, name));
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }

    /// Returns what is wrong with this port of a Service that exists.
    pub(crate) fn port_fault(&self, namespace: &str, name: &str, port: u16) -> Option<String> {
        let service = self.backing(namespace, name)?.service()?;
        let known = service.spec.ports.iter().any(|p| p.port == u32::from(port));
        (!known).then(|| format!("Service {namespace}/{name} has no port {port}"))
    }

    /// Returns the number of a named port of a Service.
    pub(crate) fn named_port(&self, namespace: &str, name: &str, port: &str) -> Option<u32> {
        let service = self.backing(namespace, name)?.service()?;
        service.spec.ports.iter().find(|p| p.name.as_deref() == Some(port)).map(|p| p.port)
    }

    /// Returns the ready addresses behind one port of a Service, sorted.
    pub(crate) fn resolve(
        &self,
        namespace: &str,
        name: &str,
        port: &str,
    ) -> BTreeSet<(String, u16)> {
        let Some(backing) = self.backing(namespace, name) else { return BTreeSet::new() };
        let wanted = backing.endpoint_ports(port);
        let subsets = backing.subsets();
        let found = gather(&subsets, |number, name| wanted.matches(number, name));
        if !found.is_empty() {
            return found;
        }
        if wanted.only {
            // A Service of one port means every port of its endpoints.
            return gather(&subsets, |_, _| true);
        }
        gather(&subsets, |number, _| wanted.targets.contains(&number))
    }

    /// Returns the objects that one Service's endpoints are made of, sorted.
    pub(crate) fn sources(&self, namespace: &str, name: &str) -> Vec<ObjectKey> {
        let Some(backing) = self.backing(namespace, name) else { return Vec::new() };
        let mut keys: Vec<_> = backing
            .service
            .iter()
            .chain(&backing.endpoints)
            .chain(backing.slices.values())
            .map(|object| object.key())
            .collect();
        keys.sort();
        keys
    }
}

/// Returns the addresses whose port (number, name) is taken, sorted.
fn gather(subsets: &[Subset], takes: impl Fn(u16, &str) -> bool) -> BTreeSet<(String, u16)> {
    let mut found = BTreeSet::new();
    for subset in subsets {
        for port in &subset.ports {
            let Some(number) = port.port.and_then(|p| u16::try_from(p).ok()) else { continue };
            if number == 0 || !takes(number, port.name.as_deref().unwrap_or_default()) {
                continue;
            }
            // Anything but an address makes Envoy refuse the whole set.
            let addresses =
                subset.addresses.iter().filter(|ip| ip.parse::<std::net::IpAddr>().is_ok());
            found.extend(addresses.map(|ip| (ip.clone(), number)));
        }
    }
    found
}

/// Which endpoint ports belong to one Service port.
#[derive(Debug, Default)]
struct Wanted {
    numbers: BTreeSet<u16>,
    names: BTreeSet<String>,
    /// Numbers that count where no name does: endpoints written by hand.
    targets: BTreeSet<u16>,
    /// Whether the port is the only one of its Service.
    only: bool,
}

impl Wanted {
    fn matches(&self, number: u16, name: &str) -> bool {
        self.numbers.contains(&number) || self.names.contains(name)
    }
}

impl Backing {
    fn service(&self) -> Option<&nuncio_api::core::Service> {
        match &self.service.as_ref()?.spec {
            Spec::Service(service) => Some(service),
            _ => None,
        }
    }

    /// The endpoint ports of Service port `port` (number or name): its target
    /// port, number or name, and the Service port's own name, by which
    /// Kubernetes ties the two.
    fn endpoint_ports(&self, port: &str) -> Wanted {
        let mut wanted = Wanted::default();
        let Some(service) = self.service() else {
            // Endpoints without a Service: the number is all there is.
            wanted.numbers.extend(port.parse::<u16>().ok());
            return wanted;
        };
        let ports = &service.spec.ports;
        for candidate in ports {
            let number = candidate.port.to_string();
            if number != port && candidate.name.as_deref() != Some(port) {
                continue;
            }
            wanted.only = ports.len() == 1;
            match &candidate.name {
                // The name is the tie; numbers could belong to another port.
                Some(name) if ports.len() > 1 => {
                    wanted.names.insert(name.clone());
                    match &candidate.target_port {
                        Some(PortRef::Name(target)) => {
                            wanted.names.insert(target.clone());
                        }
                        Some(PortRef::Number(target)) => {
                            wanted.targets.extend(u16::try_from(*target).ok());
                        }
                        None => wanted.targets.extend(u16::try_from(candidate.port).ok()),
                    }
                }
                _ => match &candidate.target_port {
                    Some(PortRef::Name(name)) => {
                        wanted.names.insert(name.clone());
                        wanted.names.insert(candidate.name.clone().unwrap_or_default());
                    }
                    Some(PortRef::Number(target)) => {
                        wanted.numbers.extend(u16::try_from(*target).ok());
                        wanted.names.extend(candidate.name.clone());
                    }
                    None => {
                        wanted.numbers.extend(u16::try_from(candidate.port).ok());
                        wanted.names.extend(candidate.name.clone());
                    }
                },
            }
        }
        wanted
    }

    /// EndpointSlices where there are any, else Endpoints: Kubernetes mirrors
    /// one into the other.
    fn subsets(&self) -> Vec<Subset> {
        let mut subsets = Vec::new();
        for object in self.slices.values() {
            if let Spec::EndpointSlice(slice) = &object.spec {
                let ready = slice
                    .endpoints
                    .iter()
                    .filter(|endpoint| endpoint.conditions.ready.unwrap_or(true));
                subsets.push(Subset {
                    addresses: ready.flat_map(|endpoint| endpoint.addresses.clone()).collect(),
                    ports: slice.ports.clone(),
                });
            }
        }
        if !subsets.is_empty() {
            return subsets;
        }
        if let Some(object) = &self.endpoints
            && let Spec::Endpoints(endpoints) = &object.spec
        {
            subsets.extend(endpoints.subsets.iter().map(|subset| Subset {
                addresses: subset.addresses.iter().map(|address| address.ip.clone()).collect(),
                ports: subset.ports.clone(),
            }));
        }
        subsets
    }
}
