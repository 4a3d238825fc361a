//! A set of resources as one static bootstrap, so that Envoy can judge all of
//! it at once without a control plane.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use envoy_types::pb::envoy::config::bootstrap::v3::{
    Admin, Bootstrap, LayeredRuntime, RuntimeLayer, bootstrap, runtime_layer,
};
use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3::{Node, TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as manager;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::google::protobuf::{Any, Struct, Value, value::Kind};
use nuncio_compiler::{Resource, TypeUrl};
use nuncio_testing::envoy::{loopback, program};
use prost::{Message, Name};

/// Asks Envoy whether it takes the resources.
///
/// # Errors
/// When it does not; the error holds what it says.
pub(crate) fn validate(resources: &[Arc<Resource>]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bootstrap.pb");
    std::fs::write(&path, bootstrap(resources)?.encode_to_vec())?;
    let output = Command::new(program())
        .args(["--mode", "validate", "--log-level", "warn", "-c"])
        .arg(&path)
        .output()
        .with_context(|| format!("cannot run {}", program().display()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Returns the bootstrap that holds the resources in itself.
pub(crate) fn bootstrap(resources: &[Arc<Resource>]) -> anyhow::Result<Bootstrap> {
    let mut listeners: Vec<Listener> = decode(resources, TypeUrl::Listener)?;
    let mut clusters: Vec<Cluster> = decode(resources, TypeUrl::Cluster)?;
    let mut secrets: Vec<tls::Secret> = decode(resources, TypeUrl::Secret)?;
    // What our own auth service reads means nothing to Envoy.
    secrets.retain(|secret| !matches!(secret.r#type, Some(tls::secret::Type::GenericSecret(_))));
    let routes: BTreeMap<String, RouteConfiguration> =
        decode::<RouteConfiguration>(resources, TypeUrl::RouteConfiguration)?
            .into_iter()
            .map(|routes| (routes.name.clone(), routes))
            .collect();
    let endpoints: BTreeMap<String, ClusterLoadAssignment> =
        decode::<ClusterLoadAssignment>(resources, TypeUrl::ClusterLoadAssignment)?
            .into_iter()
            .map(|set| (set.cluster_name.clone(), set))
            .collect();
    for cluster in &mut clusters {
        if let Some(eds) = cluster.eds_cluster_config.take() {
            // A registry that has told nothing yet is no mistake.
            let unknown = ClusterLoadAssignment {
                cluster_name: eds.service_name.clone(),
                ..Default::default()
            };
            let known = endpoints.get(&eds.service_name);
            let registered = eds.service_name.starts_with("consul/");
            let set =
                known.or(registered.then_some(&unknown)).context("an endpoint set is missing")?;
            let kind = cluster::DiscoveryType::Static as i32;
            cluster.cluster_discovery_type = Some(cluster::ClusterDiscoveryType::Type(kind));
            cluster.load_assignment = Some(set.clone());
        }
        if let Some(socket) = &mut cluster.transport_socket {
            rewrite::<tls::UpstreamTlsContext>(socket, |context| &mut context.common_tls_context)?;
        }
    }
    for listener in &mut listeners {
        for chain in &mut listener.filter_chains {
            if let Some(socket) = &mut chain.transport_socket
                && socket.name == "envoy.transport_sockets.tls"
            {
                rewrite::<tls::DownstreamTlsContext>(socket, |context| {
                    &mut context.common_tls_context
                })?;
            }
            for filter in &mut chain.filters {
                if let Some(filter::ConfigType::TypedConfig(config)) = &mut filter.config_type {
                    inline_routes(config, &routes)?;
                }
            }
        }
    }
    Ok(Bootstrap {
        node: Some(Node { id: "test".into(), cluster: "test".into(), ..Default::default() }),
        admin: Some(Admin { address: Some(loopback()), ..Default::default() }),
        static_resources: Some(bootstrap::StaticResources { listeners, clusters, secrets }),
        layered_runtime: Some(runtime()),
        ..Default::default()
    })
}

fn decode<M: Message + Default>(
    resources: &[Arc<Resource>],
    of: TypeUrl,
) -> anyhow::Result<Vec<M>> {
    resources
        .iter()
        .filter(|resource| resource.name.type_url == of)
        .map(|resource| M::decode(resource.bytes.to_bytes()).context("a resource does not decode"))
        .collect()
}

/// Makes every SDS name refer to a static secret.
fn rewrite<M: Message + Name + Default>(
    socket: &mut TransportSocket,
    common: impl Fn(&mut M) -> &mut Option<tls::CommonTlsContext>,
) -> anyhow::Result<()> {
    use tls::common_tls_context::ValidationContextType;
    let Some(transport_socket::ConfigType::TypedConfig(any)) = &mut socket.config_type else {
        return Ok(());
    };
    let mut context = M::decode(any.value.as_slice())?;
    if let Some(common) = common(&mut context) {
        for secret in &mut common.tls_certificate_sds_secret_configs {
            secret.sds_config = None;
        }
        if let Some(ValidationContextType::ValidationContextSdsSecretConfig(secret)) =
            &mut common.validation_context_type
        {
            secret.sds_config = None;
        }
    }
    any.value = context.encode_to_vec();
    Ok(())
}

fn inline_routes(
    config: &mut Any,
    routes: &BTreeMap<String, RouteConfiguration>,
) -> anyhow::Result<()> {
    use manager::http_connection_manager::RouteSpecifier;
    if config.type_url != manager::HttpConnectionManager::type_url() {
        return Ok(());
    }
    let mut http = manager::HttpConnectionManager::decode(config.value.as_slice())?;
    if let Some(RouteSpecifier::Rds(rds)) = &http.route_specifier {
        let table = routes.get(&rds.route_config_name).context("a route table is missing")?;
        http.route_specifier = Some(RouteSpecifier::RouteConfig(table.clone()));
    }
    config.value = http.encode_to_vec();
    Ok(())
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
