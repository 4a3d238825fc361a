//! A set of resources as one static bootstrap, so that Envoy can judge all of
//! it at once, and serve it, without a control plane.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use envoy_types::pb::envoy::config::bootstrap::v3::{
    Bootstrap, LayeredRuntime, RuntimeLayer, bootstrap, runtime_layer,
};
use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as manager;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::google::protobuf::{Any, Struct, Value, value::Kind};
use prost::bytes::Buf;
use prost::{Message, Name};

use crate::envoy::program;

mod secrets;

/// Encoded resources of the types that Envoy reads, each decoded again.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// `envoy.config.listener.v3.Listener`.
    pub listeners: Vec<Listener>,
    /// `envoy.config.cluster.v3.Cluster`.
    pub clusters: Vec<Cluster>,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret`, without those that
    /// mean nothing to Envoy.
    pub secrets: Vec<tls::Secret>,
    /// `envoy.config.route.v3.RouteConfiguration`, by name.
    pub routes: BTreeMap<String, RouteConfiguration>,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`, by name.
    pub endpoints: BTreeMap<String, ClusterLoadAssignment>,
}

impl Snapshot {
    /// Decodes resources, given as type URL and bytes. Other types are left
    /// out.
    ///
    /// # Errors
    /// When one does not decode.
    pub fn of<'a, B: Buf>(
        resources: impl IntoIterator<Item = (&'a str, B)>,
    ) -> anyhow::Result<Self> {
        let mut snapshot = Self::default();
        for (url, bytes) in resources {
            if is::<Listener>(url) {
                snapshot.listeners.push(decode(bytes)?);
            } else if is::<Cluster>(url) {
                snapshot.clusters.push(decode(bytes)?);
            } else if is::<RouteConfiguration>(url) {
                let routes: RouteConfiguration = decode(bytes)?;
                snapshot.routes.insert(routes.name.clone(), routes);
            } else if is::<ClusterLoadAssignment>(url) {
                let set: ClusterLoadAssignment = decode(bytes)?;
                snapshot.endpoints.insert(set.cluster_name.clone(), set);
            } else if is::<tls::Secret>(url) {
                let secret: tls::Secret = decode(bytes)?;
                // What our own auth service reads.
                if !matches!(secret.r#type, Some(tls::secret::Type::GenericSecret(_))) {
                    snapshot.secrets.push(secret);
                }
            }
        }
        Ok(snapshot)
    }

    /// Returns the bootstrap that holds the resources in itself, everything
    /// that would come by xDS in its place.
    ///
    /// # Errors
    /// When a resource refers to one that is not there.
    pub fn bootstrap(mut self) -> anyhow::Result<Bootstrap> {
        for secret in &mut self.secrets {
            secrets::fill_secret(secret)?;
        }
        for cluster in &mut self.clusters {
            if let Some(eds) = cluster.eds_cluster_config.take() {
                let name =
                    if eds.service_name.is_empty() { &cluster.name } else { &eds.service_name };
                // A registry that has told nothing yet is no mistake.
                let silent =
                    ClusterLoadAssignment { cluster_name: name.clone(), ..Default::default() };
                let silent = name.starts_with("consul/").then_some(&silent);
                let set = self.endpoints.get(name).or(silent);
                let set = set.with_context(|| format!("endpoint set {name} is missing"))?;
                let kind = cluster::DiscoveryType::Static as i32;
                cluster.cluster_discovery_type = Some(cluster::ClusterDiscoveryType::Type(kind));
                cluster.load_assignment = Some(set.clone());
            }
            secrets::fill_socket(&mut cluster.transport_socket)?;
        }
        for chain in self
            .listeners
            .iter_mut()
            .flat_map(|it| it.filter_chains.iter_mut().chain(&mut it.default_filter_chain))
        {
            secrets::fill_socket(&mut chain.transport_socket)?;
            for filter in &mut chain.filters {
                if let Some(filter::ConfigType::TypedConfig(config)) = &mut filter.config_type {
                    fill_routes(config, &self.routes)?;
                }
            }
        }
        Ok(Bootstrap {
            node: Some(Node { id: "test".into(), cluster: "test".into(), ..Default::default() }),
            static_resources: Some(bootstrap::StaticResources {
                listeners: self.listeners,
                clusters: self.clusters,
                secrets: self.secrets,
            }),
            layered_runtime: Some(runtime()),
            ..Default::default()
        })
    }
}

/// Asks Envoy whether it takes a bootstrap.
///
/// # Errors
/// When it does not; the error holds what it says.
pub fn validate(bootstrap: &Bootstrap) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("no folder for Envoy")?;
    let path = folder.path().join("bootstrap.pb");
    fs::write(&path, bootstrap.encode_to_vec()).context("cannot write the bootstrap")?;
    let output = Command::new(program())
        .args(["--mode", "validate", "--log-level", "error", "-c"])
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program().display()))?;
    if !output.status.success() {
        bail!("{}{}", String::from_utf8_lossy(&output.stderr), output.status);
    }
    Ok(())
}

fn is<M: Name>(url: &str) -> bool {
    url.strip_prefix("type.googleapis.com/") == Some(&M::full_name())
}

fn decode<M: Message + Default>(bytes: impl Buf) -> anyhow::Result<M> {
    M::decode(bytes).context("a resource does not decode")
}

/// Changes the message in an `Any` if it is of this type.
fn change<M: Message + Name + Default>(
    any: &mut Any,
    edit: impl FnOnce(&mut M) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if is::<M>(&any.type_url) {
        let mut message = decode::<M>(any.value.as_slice())?;
        edit(&mut message)?;
        any.value = message.encode_to_vec();
    }
    Ok(())
}

/// Gives a connection manager the routes that it would subscribe to.
fn fill_routes(
    config: &mut Any,
    routes: &BTreeMap<String, RouteConfiguration>,
) -> anyhow::Result<()> {
    use manager::http_connection_manager::RouteSpecifier;
    change(config, |http: &mut manager::HttpConnectionManager| {
        if let Some(RouteSpecifier::Rds(rds)) = &http.route_specifier {
            let name = &rds.route_config_name;
            let table = routes.get(name);
            let table = table.with_context(|| format!("route table {name} is missing"))?;
            http.route_specifier = Some(RouteSpecifier::RouteConfig(table.clone()));
        }
        Ok(())
    })
}

/// The limits on regex programs that the real bootstrap sets.
fn runtime() -> LayeredRuntime {
    let limit = Value { kind: Some(Kind::NumberValue(1000.0)) };
    let fields = [("re2.max_program_size.error_level".to_owned(), limit)].into();
    LayeredRuntime {
        layers: vec![RuntimeLayer {
            name: "static".into(),
            layer_specifier: Some(runtime_layer::LayerSpecifier::StaticLayer(Struct { fields })),
        }],
    }
}
