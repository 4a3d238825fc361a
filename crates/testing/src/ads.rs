//! An Envoy that only speaks delta ADS.
//!
//! [`Envoy`] is the protocol without transport: it asks for what a real Envoy
//! would ask, in the same order, keeps what it is sent, and writes down every
//! breach of the order that keeps requests from failing. [`Driver`] connects
//! one to a server.

mod driver;
mod links;
pub mod samples;

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use envoy_types::pb::google::rpc::Status;

pub use driver::Driver;

/// `type_url` of clusters.
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// `type_url` of endpoints.
pub const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// `type_url` of listeners.
pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// `type_url` of route tables.
pub const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/// A resource whose name or statistics name contains this is refused.
pub const REFUSED: &str = "refuse-me";

/// One resource as the simulated Envoy holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The server's version.
    pub version: String,
    /// Names of what it needs: a cluster its endpoints, a listener its route
    /// tables, a route table its clusters.
    pub needs: BTreeSet<String>,
}

/// A simulated Envoy.
#[derive(Debug, Default)]
pub struct Envoy {
    /// `type_url` to name to resource.
    pub held: BTreeMap<&'static str, BTreeMap<String, Held>>,
    /// Breaches of the order, in words.
    pub violations: Vec<String>,
    /// Refused names, with the version refused last.
    pub refused: BTreeMap<(&'static str, String), String>,
    /// Resources received, over all connections.
    pub received: usize,
    subscribed: BTreeMap<&'static str, BTreeSet<String>>,
    /// EDS clusters that have had their endpoints since they last changed.
    warm: BTreeSet<String>,
    /// Envoy acknowledges clusters when they are warm.
    clusters_unacknowledged: Option<DeltaDiscoveryRequest>,
}

// === impl Envoy ===

impl Envoy {
    /// Returns the first requests of a new connection, with the versions held
    /// from earlier ones.
    pub fn connect(&mut self) -> Vec<DeltaDiscoveryRequest> {
        let mut requests = Vec::new();
        self.clusters_unacknowledged = None;
        // A cluster that was waiting for endpoints goes on with those it had:
        // it says that it has them, so they are not sent again.
        let none = BTreeMap::new();
        let endpoints = self.held.get(ENDPOINTS).unwrap_or(&none);
        let clusters = self.held.get(CLUSTER).into_iter().flatten();
        let warmed = clusters.filter(|(_, c)| c.needs.iter().all(|e| endpoints.contains_key(e)));
        self.warm.extend(warmed.map(|(name, _)| name.clone()));
        let mut node = Some(Node {
            id: "simulated".into(),
            cluster: "default-default".into(),
            ..Node::default()
        });
        for type_url in [CLUSTER, ENDPOINTS, LISTENER, ROUTES] {
            let wildcard = type_url == CLUSTER || type_url == LISTENER;
            let names = self.subscribed.get(type_url).cloned().unwrap_or_default();
            if !wildcard && names.is_empty() {
                continue;
            }
            let held = self.held.get(type_url).into_iter().flatten();
            requests.push(DeltaDiscoveryRequest {
                node: node.take(),
                type_url: type_url.into(),
                resource_names_subscribe: names.into_iter().collect(),
                initial_resource_versions: held
                    .map(|(name, held)| (name.clone(), held.version.clone()))
                    .collect(),
                ..DeltaDiscoveryRequest::default()
            });
        }
        requests
    }

    /// Takes a response. Returns new subscriptions, then the acknowledgement,
    /// in the order in which Envoy sends them;
    /// that of clusters waits until they are warm.
    pub fn receive(&mut self, response: &DeltaDiscoveryResponse) -> Vec<DeltaDiscoveryRequest> {
        let Some(type_url) = known(&response.type_url) else { return Vec::new() };
        let mut errors = Vec::new();
        self.received += response.resources.len();
        let by_name = type_url == ENDPOINTS || type_url == ROUTES;
        for resource in &response.resources {
            // What is no longer asked for was on its way, and is passed over.
            let asked = self.subscribed.get(type_url).is_some_and(|s| s.contains(&resource.name));
            if by_name && !asked {
                continue;
            }
            if let Err(error) = self.take(type_url, resource) {
                errors.push(error);
            }
        }
        for name in &response.removed_resources {
            self.remove(type_url, name);
        }
        let mut requests = self.subscriptions(type_url);
        let error_detail = (!errors.is_empty()).then(|| Status {
            code: 13,
            message: format!("Error adding/updating resource(s) {}", errors.join(", ")),
            details: Vec::new(),
        });
        let acknowledgement = DeltaDiscoveryRequest {
            type_url: type_url.into(),
            response_nonce: response.nonce.clone(),
            error_detail,
            ..DeltaDiscoveryRequest::default()
        };
        if type_url == CLUSTER {
            self.clusters_unacknowledged = Some(acknowledgement);
        } else {
            requests.push(acknowledgement);
        }
        let mut clusters = self.held.get(CLUSTER).into_iter().flatten();
        if clusters.all(|(name, _)| self.warm.contains(name)) {
            requests.extend(self.clusters_unacknowledged.take());
        }
        requests
    }

    /// Returns name and version of everything held of a type.
    pub fn versions(&self, type_url: &str) -> BTreeMap<String, String> {
        let held = self.held.get(type_url).into_iter().flatten();
        held.map(|(name, held)| (name.clone(), held.version.clone())).collect()
    }

    /// Returns the names asked for, of a type that is asked for by name.
    pub fn subscribed(&self, type_url: &str) -> BTreeSet<String> {
        self.subscribed.get(type_url).cloned().unwrap_or_default()
    }

    fn take(&mut self, type_url: &'static str, resource: &Resource) -> Result<(), String> {
        let name = &resource.name;
        let bytes = resource.resource.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
        let links = links::of(type_url, bytes)?;
        if links.refused {
            self.refused.insert((type_url, name.clone()), resource.version.clone());
            return Err(format!("{name}: not to the taste of this Envoy"));
        }
        self.refused.remove(&(type_url, name.clone()));
        match type_url {
            // A changed cluster is cold until its endpoints come again.
            CLUSTER if links.needs.is_empty() => drop(self.warm.insert(name.clone())),
            CLUSTER => drop(self.warm.remove(name)),
            ENDPOINTS => {
                let clusters = self.held.get(CLUSTER).into_iter().flatten();
                let warmed = clusters.filter(|(_, cluster)| cluster.needs.contains(name));
                self.warm.extend(warmed.map(|(cluster, _)| cluster.clone()));
            }
            ROUTES => self.check_routes(name, &links.needs),
            _ => {}
        }
        let held = Held { version: resource.version.clone(), needs: links.needs };
        self.held.entry(type_url).or_default().insert(name.clone(), held);
        Ok(())
    }

    fn check_routes(&mut self, name: &str, needs: &BTreeSet<String>) {
        for cluster in needs {
            let excused = self.refused.contains_key(&(CLUSTER, cluster.clone()));
            let present = self.held.get(CLUSTER).is_some_and(|held| held.contains_key(cluster));
            if !present && !excused {
                self.violations.push(format!("{name} came before its cluster {cluster}"));
            } else if !excused && !self.warm.contains(cluster) {
                self.violations.push(format!("{name} came before {cluster} was warm"));
            }
        }
    }

    fn remove(&mut self, type_url: &'static str, name: &str) {
        let gone = self.held.get_mut(type_url).and_then(|held| held.remove(name));
        self.refused.remove(&(type_url, name.to_owned()));
        if type_url == ENDPOINTS {
            // Envoy ends its wait for endpoints that do not exist.
            let clusters = self.held.get(CLUSTER).into_iter().flatten();
            let warmed = clusters.filter(|(_, cluster)| cluster.needs.contains(name));
            self.warm.extend(warmed.map(|(cluster, _)| cluster.clone()));
        }
        if type_url != CLUSTER || gone.is_none() {
            return;
        }
        self.warm.remove(name);
        for (table, routes) in self.held.get(ROUTES).into_iter().flatten() {
            if routes.needs.contains(name) {
                self.violations.push(format!("{name} went while {table} still names it"));
            }
        }
    }

    /// Brings the subscriptions that follow from a type up to date.
    fn subscriptions(&mut self, changed: &'static str) -> Vec<DeltaDiscoveryRequest> {
        let follower = match changed {
            CLUSTER => ENDPOINTS,
            LISTENER => ROUTES,
            _ => return Vec::new(),
        };
        let leaders = self.held.get(changed).into_iter().flatten();
        let wanted: BTreeSet<String> =
            leaders.flat_map(|(_, leader)| leader.needs.iter().cloned()).collect();
        let subscribed = self.subscribed.entry(follower).or_default();
        let subscribe: Vec<_> = wanted.difference(subscribed).cloned().collect();
        let unsubscribe: Vec<_> = subscribed.difference(&wanted).cloned().collect();
        *subscribed = wanted;
        if subscribe.is_empty() && unsubscribe.is_empty() {
            return Vec::new();
        }
        if let Some(held) = self.held.get_mut(follower) {
            held.retain(|name, _| !unsubscribe.contains(name));
        }
        vec![DeltaDiscoveryRequest {
            type_url: follower.into(),
            resource_names_subscribe: subscribe,
            resource_names_unsubscribe: unsubscribe,
            ..DeltaDiscoveryRequest::default()
        }]
    }
}

fn known(type_url: &str) -> Option<&'static str> {
    [CLUSTER, ENDPOINTS, LISTENER, ROUTES].into_iter().find(|known| *known == type_url)
}
