//! Envoy accepts what every golden case becomes.
//!
//! Each case is put into one static configuration, everything that would come
//! by xDS in its place, and Envoy validates it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use cases::{Case, Compiled};
use envoy_types::pb::envoy::config::bootstrap::v3::{Bootstrap, bootstrap::StaticResources};
use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, TransportSocket, data_source, transport_socket,
};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as manager;
use envoy_types::pb::envoy::extensions::transport_sockets::quic::v3::QuicDownstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::google::protobuf::Any;
use nuncio_compiler::TypeUrl;
use nuncio_testing::envoy::program;
use prost::{Message, Name};

#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "support/cases.rs"]
mod cases;

#[test]
fn envoy_accepts_the_result_of_every_case() {
    let queue = Mutex::new(cases::all());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let next = || queue.lock().unwrap().pop();
                while let Some(case) = next() {
                    if let Some(refusal) = refusal(&case) {
                        failures.lock().unwrap().push(format!("{}: {refusal}", case.name()));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "Envoy refuses\n{}", failures.join("\n"));
}

/// Returns what Envoy says against a case.
fn refusal(case: &Case) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bootstrap.pb");
    fs::write(&path, bootstrap(&case.compile()).encode_to_vec()).unwrap();
    let output = Command::new(program())
        .args(["--mode", "validate", "--log-level", "error", "-c"])
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .expect("Envoy can be started");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn bootstrap(result: &Compiled) -> Bootstrap {
    let mut resources = StaticResources {
        clusters: all(result, TypeUrl::Cluster),
        listeners: all(result, TypeUrl::Listener),
        secrets: all(result, TypeUrl::Secret),
    };
    resources.secrets.iter_mut().for_each(fill_secret);
    let assignments: Vec<ClusterLoadAssignment> = all(result, TypeUrl::ClusterLoadAssignment);
    let routes: Vec<RouteConfiguration> = all(result, TypeUrl::RouteConfiguration);
    for cluster in &mut resources.clusters {
        fill_cluster(cluster, &assignments);
    }
    for chain in resources.listeners.iter_mut().flat_map(|listener: &mut Listener| {
        listener.filter_chains.iter_mut().chain(&mut listener.default_filter_chain)
    }) {
        fill_socket(&mut chain.transport_socket);
        for filter in &mut chain.filters {
            if let Some(filter::ConfigType::TypedConfig(any)) = &mut filter.config_type {
                fill_routes(any, &routes);
            }
        }
    }
    Bootstrap { static_resources: Some(resources), ..Default::default() }
}

fn all<M: Message + Default>(result: &Compiled, type_url: TypeUrl) -> Vec<M> {
    let wanted = result.resources.iter().filter(|resource| resource.name.type_url == type_url);
    wanted.map(|resource| M::decode(resource.bytes.to_bytes()).unwrap()).collect()
}

/// Puts a certificate in the place of files that this machine does not have.
fn fill_secret(secret: &mut tls::Secret) {
    let made = rcgen::generate_simple_self_signed(vec!["a.example.com".to_owned()]).unwrap();
    let put = |source: &mut Option<DataSource>, text: String| {
        let Some(source) = source else { return };
        if matches!(source.specifier, Some(data_source::Specifier::Filename(_))) {
            source.specifier = Some(data_source::Specifier::InlineString(text));
        }
    };
    match &mut secret.r#type {
        Some(tls::secret::Type::TlsCertificate(pair)) => {
            put(&mut pair.certificate_chain, made.cert.pem());
            put(&mut pair.private_key, made.signing_key.serialize_pem());
        }
        Some(tls::secret::Type::ValidationContext(context)) => {
            put(&mut context.trusted_ca, made.cert.pem());
        }
        _ => {}
    }
}

/// Gives a cluster the endpoints that it would subscribe to.
fn fill_cluster(cluster: &mut Cluster, assignments: &[ClusterLoadAssignment]) {
    if let Some(eds) = cluster.eds_cluster_config.take() {
        let name = if eds.service_name.is_empty() { &cluster.name } else { &eds.service_name };
        let found = assignments.iter().find(|assignment| assignment.cluster_name == *name);
        // A registry that has told nothing yet is no mistake.
        let none = || {
            assert!(name.starts_with("consul/"), "{name} has no endpoints");
            ClusterLoadAssignment { cluster_name: name.clone(), ..Default::default() }
        };
        cluster.load_assignment = Some(found.cloned().unwrap_or_else(none));
        let kind = cluster::DiscoveryType::Static as i32;
        cluster.cluster_discovery_type = Some(cluster::ClusterDiscoveryType::Type(kind));
    }
    fill_socket(&mut cluster.transport_socket);
}

/// Gives a connection manager the routes that it would subscribe to.
fn fill_routes(any: &mut Any, routes: &[RouteConfiguration]) {
    use manager::http_connection_manager::RouteSpecifier;
    change(any, |http: &mut manager::HttpConnectionManager| {
        if let Some(RouteSpecifier::Rds(rds)) = &http.route_specifier {
            let found = routes.iter().find(|routes| routes.name == rds.route_config_name);
            let found = found.expect("every listener has its routes").clone();
            http.route_specifier = Some(RouteSpecifier::RouteConfig(found));
        }
    });
}

/// Makes a transport socket take its secrets from the static ones.
fn fill_socket(socket: &mut Option<TransportSocket>) {
    let Some(transport_socket::ConfigType::TypedConfig(any)) =
        socket.as_mut().and_then(|socket| socket.config_type.as_mut())
    else {
        return;
    };
    change(any, |context: &mut tls::UpstreamTlsContext| fill_tls(&mut context.common_tls_context));
    change(any, |context: &mut tls::DownstreamTlsContext| {
        fill_tls(&mut context.common_tls_context);
    });
    change(any, |transport: &mut QuicDownstreamTransport| {
        if let Some(context) = &mut transport.downstream_tls_context {
            fill_tls(&mut context.common_tls_context);
        }
    });
}

fn fill_tls(context: &mut Option<tls::CommonTlsContext>) {
    use tls::common_tls_context::ValidationContextType;
    let Some(context) = context else { return };
    for secret in &mut context.tls_certificate_sds_secret_configs {
        secret.sds_config = None;
    }
    match &mut context.validation_context_type {
        Some(ValidationContextType::ValidationContextSdsSecretConfig(secret)) => {
            secret.sds_config = None;
        }
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            if let Some(secret) = &mut combined.validation_context_sds_secret_config {
                secret.sds_config = None;
            }
        }
        _ => {}
    }
}

/// Changes the message in an `Any` if it is of this type.
fn change<M: Message + Name + Default>(any: &mut Any, edit: impl FnOnce(&mut M)) {
    if any.type_url == format!("type.googleapis.com/{}", M::full_name()) {
        let mut message = M::decode(&*any.value).unwrap();
        edit(&mut message);
        any.value = message.encode_to_vec();
    }
}
