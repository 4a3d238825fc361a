//! A real Envoy with a configuration, and clients of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::bootstrap::v3::{Bootstrap, runtime_layer};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::route::v3::{Route, RouteList, VirtualHost};
use envoy_types::pb::google::protobuf::{Value, value::Kind};
use envoy_types::pb::xds::r#type::matcher::v3::matcher::matcher_tree::TreeType;
use envoy_types::pb::xds::r#type::matcher::v3::matcher::{MatcherType, OnMatch, on_match};
use nuncio_compiler::Resource;
use nuncio_compiler::explain::Request;
use nuncio_testing::envoy::Envoy;
use nuncio_testing::snapshot::Snapshot;
use nuncio_testing::wire::{Client, Echo, Message, Trust};
use prost::Message as _;

use crate::snapshot;

pub(crate) struct Site {
    _envoy: Envoy,
    trust: Arc<Trust>,
    /// By port and, for TLS, server name.
    clients: BTreeMap<(u16, Option<String>), Client>,
    /// Backend of each cluster; `None` without endpoints.
    pub(crate) backends: BTreeMap<String, Option<&'static str>>,
    /// Decides about canary shares: below a share is in it.
    pub(crate) draw: u32,
    /// Whether the routes of a virtual host stand in a tree.
    pub(crate) indexed: bool,
}

impl Site {
    /// Starts Envoy with the resources. Shares are pinned by runtime, such that
    /// every request falls where a draw of about `draw` falls.
    pub(crate) fn start(
        resources: &[Arc<Resource>],
        echoes: &BTreeMap<&'static str, Echo>,
        draw: u32,
        trust: Arc<Trust>,
    ) -> Self {
        let snapshot = snapshot::decode(resources).unwrap();
        let backends = backends(&snapshot, echoes);
        let hosts = || snapshot.routes.values().flat_map(|table| &table.virtual_hosts);
        let indexed = hosts().any(|host| host.matcher.is_some());
        let mut shares = BTreeMap::<String, BTreeSet<u32>>::new();
        for route in hosts().flat_map(routes) {
            let matches = route.r#match.unwrap_or_default();
            if let Some(fraction) = matches.runtime_fraction {
                let percent = fraction.default_value.unwrap_or_default().numerator;
                shares.entry(fraction.runtime_key).or_default().insert(percent);
            }
        }
        // All shares under one key have to fall on one side of the draw.
        let one_side = |draw: &u32| {
            shares.values().all(|all| {
                all.iter().all(|share| share > draw) || all.iter().all(|share| share <= draw)
            })
        };
        let draw = (draw..100).find(one_side).expect("no share is above 99");
        let pins = shares
            .iter()
            .map(|(key, all)| (key.clone(), if all.iter().any(|it| *it > draw) { 100 } else { 0 }));
        let mut bootstrap = snapshot.clone().bootstrap().unwrap();
        pin(&mut bootstrap, pins);
        let envoy = Envoy::start(bootstrap).unwrap_or_else(|error| panic!("{error:#}"));
        Self { _envoy: envoy, trust, clients: BTreeMap::new(), backends, draw, indexed }
    }

    /// Sends a request; `None` when the connection is refused or closed.
    pub(crate) fn send(&mut self, request: &Request) -> Option<Message> {
        let host = request.authority.rsplit_once(':').map_or(&*request.authority, |(host, _)| host);
        let name = request.tls.then(|| host.to_owned());
        let address = SocketAddr::from(([127, 0, 0, 1], request.port));
        let client =
            self.clients.entry((request.port, name.clone())).or_insert_with(|| match name {
                None => Client::new(address),
                Some(name) => Client::with_tls(address, self.trust.clone(), &name),
            });
        let mut headers = vec![("host".to_owned(), request.authority.clone())];
        headers.extend(request.headers.iter().cloned());
        client.ask(&request.method, &request.path, &headers).ok()
    }
}

/// Returns which backend each cluster leads to.
fn backends(
    snapshot: &Snapshot,
    echoes: &BTreeMap<&'static str, Echo>,
) -> BTreeMap<String, Option<&'static str>> {
    let backend = |set: &str| {
        let groups = &snapshot.endpoints.get(set)?.endpoints;
        let endpoint = groups.iter().flat_map(|group| &group.lb_endpoints).next()?;
        let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else {
            return None;
        };
        let text = format!("{:?}", endpoint.address);
        let found = echoes
            .iter()
            .find(|(_, echo)| text.contains(&format!("PortValue({})", echo.address().port())));
        found.map(|(name, _)| *name)
    };
    let named = |cluster: &envoy_types::pb::envoy::config::cluster::v3::Cluster| {
        let set = cluster.eds_cluster_config.as_ref().map(|eds| eds.service_name.as_str());
        (cluster.name.clone(), set.and_then(backend))
    };
    snapshot.clusters.iter().map(named).collect()
}

/// Every route of a virtual host, those of a tree in any order.
fn routes(host: &VirtualHost) -> Vec<Route> {
    let mut all = host.routes.clone();
    let Some(matcher) = &host.matcher else { return all };
    let Some(MatcherType::MatcherTree(tree)) = &matcher.matcher_type else { return all };
    let Some(TreeType::PrefixMatchMap(keys)) = &tree.tree_type else { return all };
    let list = |found: &OnMatch| {
        let Some(on_match::OnMatch::Action(action)) = &found.on_match else { return Vec::new() };
        let any = action.typed_config.clone().unwrap();
        RouteList::decode(any.value.as_slice()).unwrap().routes
    };
    all.extend(keys.map.values().flat_map(list));
    all.extend(matcher.on_no_match.iter().flat_map(|found| list(found)));
    all
}

fn pin(bootstrap: &mut Bootstrap, pins: impl Iterator<Item = (String, u32)>) {
    let layers = bootstrap.layered_runtime.iter_mut().flat_map(|runtime| &mut runtime.layers);
    for layer in layers {
        if let Some(runtime_layer::LayerSpecifier::StaticLayer(layer)) = &mut layer.layer_specifier
        {
            layer.fields.extend(pins.map(|(key, percent)| {
                (key, Value { kind: Some(Kind::NumberValue(percent.into())) })
            }));
            return;
        }
    }
}
