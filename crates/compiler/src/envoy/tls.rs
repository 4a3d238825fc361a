//! TLS transport sockets. Keys never stand here: they come by SDS.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::quic::v3::QuicDownstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as pb;
use envoy_types::pb::google::protobuf::Any;

use super::{ads, any, bool_value};
use crate::ir::tls::{Common, DownstreamTls, Parameters, UpstreamTls, Version};

const TLS: &str = "envoy.transport_sockets.tls";
const QUIC: &str = "envoy.transport_sockets.quic";

pub(super) fn upstream(tls: &UpstreamTls) -> core::TransportSocket {
    socket(
        TLS,
        any(&pb::UpstreamTlsContext {
            common_tls_context: Some(common(&tls.common)),
            sni: tls.sni.clone().unwrap_or_default(),
            ..Default::default()
        }),
    )
}

pub(super) fn downstream(tls: &DownstreamTls) -> core::TransportSocket {
    socket(TLS, any(&downstream_context(tls)))
}

pub(super) fn quic(tls: &DownstreamTls) -> core::TransportSocket {
    let mut context = downstream_context(tls);
    if let Some(common) = &mut context.common_tls_context {
        common.alpn_protocols = vec!["h3".to_owned()];
    }
    let transport =
        QuicDownstreamTransport { downstream_tls_context: Some(context), ..Default::default() };
    socket(QUIC, any(&transport))
}

fn downstream_context(tls: &DownstreamTls) -> pb::DownstreamTlsContext {
    pb::DownstreamTlsContext {
        common_tls_context: Some(common(&tls.common)),
        require_client_certificate: if tls.require_client_certificate {
            bool_value(true)
        } else {
            None
        },
        ..Default::default()
    }
}

fn socket(name: &str, config: Any) -> core::TransportSocket {
    core::TransportSocket {
        name: name.to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(config)),
    }
}

fn common(common: &Common) -> pb::CommonTlsContext {
    use pb::common_tls_context::ValidationContextType;
    pb::CommonTlsContext {
        tls_params: parameters(&common.parameters),
        alpn_protocols: common.alpn.clone(),
        tls_certificate_sds_secret_configs: common.identity.iter().map(|name| sds(name)).collect(),
        validation_context_type: common
            .trust
            .as_ref()
            .map(|name| ValidationContextType::ValidationContextSdsSecretConfig(sds(name))),
        ..Default::default()
    }
}

fn sds(name: &str) -> pb::SdsSecretConfig {
    pb::SdsSecretConfig { name: name.to_owned(), sds_config: ads() }
}

fn parameters(parameters: &Parameters) -> Option<pb::TlsParameters> {
    if *parameters == Parameters::default() {
        return None;
    }
    Some(pb::TlsParameters {
        tls_minimum_protocol_version: version(parameters.min),
        tls_maximum_protocol_version: version(parameters.max),
        cipher_suites: parameters.cipher_suites.clone(),
        ecdh_curves: parameters.ecdh_curves.clone(),
        ..Default::default()
    })
}

fn version(version: Option<Version>) -> i32 {
    use pb::tls_parameters::TlsProtocol;
    let protocol = match version {
        None => TlsProtocol::TlsAuto,
        Some(Version::V1_0) => TlsProtocol::TlSv10,
        Some(Version::V1_1) => TlsProtocol::TlSv11,
        Some(Version::V1_2) => TlsProtocol::TlSv12,
        Some(Version::V1_3) => TlsProtocol::TlSv13,
    };
    protocol as i32
}
