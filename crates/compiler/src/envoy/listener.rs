//! Listeners.

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::listener as filters;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp;
use prost::Message;

use super::{access_log, any, manager, millis, socket_address, tls, u32_value};
use crate::ir::listener::{Chain, Content, Listener, ListenerFilter, TcpChain, Transport};

/// Encodes a listener.
pub(crate) fn encode(listener: &Listener) -> Vec<u8> {
    pb::Listener {
        name: listener.name.to_string(),
        address: Some(socket_address(&listener.address.to_string(), listener.port, listener.udp)),
        filter_chains: listener.chains.iter().map(chain).collect(),
        listener_filters: listener.filters.iter().map(|filter| listener_filter(*filter)).collect(),
        per_connection_buffer_limit_bytes: listener.buffer_limit_bytes.and_then(u32_value),
        traffic_direction: if listener.outbound {
            TrafficDirection::Outbound as i32
        } else {
            TrafficDirection::Unspecified as i32
        },
        udp_listener_config: listener.udp.then(|| pb::UdpListenerConfig {
            quic_options: Some(pb::QuicProtocolOptions::default()),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn listener_filter(filter: ListenerFilter) -> pb::ListenerFilter {
    let (name, config) = match filter {
        ListenerFilter::TlsInspector => (
            "envoy.filters.listener.tls_inspector",
            any(&filters::tls_inspector::v3::TlsInspector::default()),
        ),
        ListenerFilter::ProxyProtocol => (
            "envoy.filters.listener.proxy_protocol",
            any(&filters::proxy_protocol::v3::ProxyProtocol::default()),
        ),
    };
    pb::ListenerFilter {
        name: name.to_owned(),
        config_type: Some(pb::listener_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}

fn chain(chain: &Chain) -> pb::FilterChain {
    let transport = match chain.transport {
        Transport::Any => "",
        Transport::Tls => "tls",
        Transport::Cleartext => "raw_buffer",
        Transport::Quic => "quic",
    };
    let matched = pb::FilterChainMatch {
        server_names: chain.server_names.clone(),
        transport_protocol: transport.to_owned(),
        ..Default::default()
    };
    let (name, config) = match &chain.content {
        Content::Http(http) => {
            ("envoy.filters.network.http_connection_manager", any(&manager::emit(http)))
        }
        Content::Tcp(tcp) => ("envoy.filters.network.tcp_proxy", any(&tcp_proxy(tcp))),
    };
    pb::FilterChain {
        name: chain.name.clone(),
        filter_chain_match: (matched != pb::FilterChainMatch::default()).then_some(matched),
        filters: vec![pb::Filter {
            name: name.to_owned(),
            config_type: Some(pb::filter::ConfigType::TypedConfig(config)),
        }],
        transport_socket: chain.tls.as_deref().map(|context| {
            if chain.transport == Transport::Quic {
                tls::quic(context)
            } else {
                tls::downstream(context)
            }
        }),
        ..Default::default()
    }
}

fn tcp_proxy(chain: &TcpChain) -> tcp::TcpProxy {
    use tcp::tcp_proxy::weighted_cluster::ClusterWeight;
    use tcp::tcp_proxy::{ClusterSpecifier, WeightedCluster};
    let clusters = chain.clusters.iter().map(|(name, weight)| ClusterWeight {
        name: name.to_string(),
        weight: *weight,
        ..Default::default()
    });
    tcp::TcpProxy {
        stat_prefix: chain.stat_prefix.clone(),
        idle_timeout: chain.idle_timeout_ms.and_then(millis),
        access_log: chain.settings.access_logs.iter().map(access_log::emit).collect(),
        cluster_specifier: Some(match chain.clusters.as_slice() {
            [(only, _)] => ClusterSpecifier::Cluster(only.to_string()),
            _ => {
                ClusterSpecifier::WeightedClusters(WeightedCluster { clusters: clusters.collect() })
            }
        }),
        ..Default::default()
    }
}
