//! A gateway of fixed answers, for tests and benchmarks that need only routes.

use envoy_types::pb::envoy::config::bootstrap::v3::{
    Bootstrap, LayeredRuntime, RuntimeLayer, bootstrap, runtime_layer,
};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as manager;
use envoy_types::pb::google::protobuf::{Any, Struct, Value, value::Kind};
use nuncio_testing::envoy::loopback;
use prost::Message as _;

/// `RouteConfiguration.virtual_hosts`.
const VIRTUAL_HOSTS: u32 = 2;
/// `HttpConnectionManager.route_config`.
const ROUTE_CONFIG: u32 = 4;

/// Returns the action that answers 200 with a body.
pub(crate) fn answer(body: &str) -> pb::route::Action {
    pb::route::Action::DirectResponse(pb::DirectResponseAction {
        status: 200,
        body: Some(core::DataSource {
            specifier: Some(core::data_source::Specifier::InlineString(body.into())),
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// Returns the bootstrap of an Envoy with one HTTP listener, `gateway`, and
/// these encoded virtual hosts.
pub(crate) fn gateway(virtual_hosts: &[Vec<u8>]) -> Bootstrap {
    let mut routes = Vec::new();
    for host in virtual_hosts {
        field(VIRTUAL_HOSTS, host, &mut routes);
    }
    let router = Any {
        type_url: "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router".into(),
        value: Router::default().encode_to_vec(),
    };
    let mut http = manager::HttpConnectionManager {
        stat_prefix: "gateway".into(),
        http_filters: vec![manager::HttpFilter {
            name: "envoy.filters.http.router".into(),
            config_type: Some(manager::http_filter::ConfigType::TypedConfig(router)),
            ..Default::default()
        }],
        ..Default::default()
    }
    .encode_to_vec();
    field(ROUTE_CONFIG, &routes, &mut http);
    let filter = listener::Filter {
        name: "http".into(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(Any {
            type_url: "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager".into(),
            value: http,
        })),
    };
    Bootstrap {
        layered_runtime: Some(paths_with_fragment()),
        static_resources: Some(bootstrap::StaticResources {
            listeners: vec![listener::Listener {
                name: "gateway".into(),
                address: Some(loopback()),
                filter_chains: vec![listener::FilterChain {
                    filters: vec![filter],
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Lets paths with `#` through to the routes, which must agree on them too.
fn paths_with_fragment() -> LayeredRuntime {
    let key = "envoy.reloadable_features.http_reject_path_with_fragment";
    let off = Value { kind: Some(Kind::BoolValue(false)) };
    LayeredRuntime {
        layers: vec![RuntimeLayer {
            name: "static".into(),
            layer_specifier: Some(runtime_layer::LayerSpecifier::StaticLayer(Struct {
                fields: [(key.to_owned(), off)].into(),
            })),
        }],
    }
}

fn field(tag: u32, message: &[u8], out: &mut Vec<u8>) {
    use prost::encoding::{WireType, encode_key, encode_varint};
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(message.len() as u64, out);
    out.extend_from_slice(message);
}
