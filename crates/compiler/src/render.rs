//! Resources as people read them: Envoy's own field names, in YAML or JSON.
//!
//! Messages are decoded by descriptors (`render/envoy.binpb`, made by
//! `make gen`), not by generated types: these carry no field names.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::Resource;

/// Why a resource cannot be shown. Every resource that the compiler emits can.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The message type is not among the descriptors.
    #[error("no descriptor for `{type_url}`")]
    UnknownType {
        /// The type.
        type_url: &'static str,
    },
    /// The bytes are not such a message.
    #[error("cannot decode {name} as its type")]
    Decode {
        /// The resource.
        name: String,
        /// What the decoder says.
        #[source]
        source: prost::DecodeError,
    },
    /// A message inside an `Any` is of a type without descriptor.
    #[error("cannot write {name} as JSON")]
    Write {
        /// The resource.
        name: String,
        /// What the writer says.
        #[source]
        source: serde_json::Error,
    },
}

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::decode(include_bytes!("render/envoy.binpb").as_slice())
        .expect("the committed descriptor set is complete");
    pool.decode_file_descriptor_set(nuncio_proto::DESCRIPTORS)
        .expect("our own messages import nothing that is missing");
    pool
});

/// Returns a resource as JSON by the rules of proto3 JSON, with the field names
/// of the `.proto` files and defaults left out, as Envoy's documentation writes
/// configuration.
///
/// # Errors
/// When the bytes are not what the type URL says.
pub fn json(resource: &Resource) -> Result<Value, RenderError> {
    let type_url = resource.name.type_url.as_str();
    let message_name = type_url.rsplit('/').next().unwrap_or(type_url);
    let descriptor =
        POOL.get_message_by_name(message_name).ok_or(RenderError::UnknownType { type_url })?;
    let name = || resource.name.to_string();
    let message = DynamicMessage::decode(descriptor, resource.bytes.to_bytes())
        .map_err(|source| RenderError::Decode { name: name(), source })?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(true);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|source| RenderError::Write { name: name(), source })
}

/// Returns resources as one YAML document each, in the given order, every
/// document led by a comment with the resource's type and name.
///
/// # Errors
/// When a resource's bytes are not what its type URL says.
pub fn yaml<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Result<String, RenderError> {
    let mut text = String::new();
    for resource in resources {
        let body =
            serde_saphyr::to_string(&json(resource)?).expect("a JSON value always has a YAML form");
        text.push_str(&format!("---\n# {}\n{}", resource.name, body.trim_start_matches("---\n")));
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
    use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
    use envoy_types::pb::google::protobuf::Any;
    use prost::Message as _;

    use super::*;
    use crate::{ResourceName, TypeUrl};

    fn resource(type_url: TypeUrl, bytes: Vec<u8>) -> Resource {
        Resource::new(ResourceName::new(type_url, "a"), Bytes::from(bytes), [].into())
    }

    #[test]
    fn messages_inside_any_show_their_type_and_fields() {
        let proxy = TcpProxy { stat_prefix: "ingress".into(), ..TcpProxy::default() };
        let config = filter::ConfigType::TypedConfig(Any {
            type_url: "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
                .into(),
            value: proxy.encode_to_vec(),
        });
        let listener = Listener {
            name: "a".into(),
            filter_chains: vec![FilterChain {
                filters: vec![Filter { name: "tcp".into(), config_type: Some(config) }],
                ..FilterChain::default()
            }],
            ..Listener::default()
        };
        let text = yaml([&resource(TypeUrl::Listener, listener.encode_to_vec())]).unwrap();
        insta::assert_snapshot!(text, @r#"
        ---
        # Listener a
        filter_chains:
        - filters:
          - name: tcp
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
              stat_prefix: ingress
        name: a
        "#);
    }

    #[test]
    fn every_type_has_a_descriptor() {
        for type_url in TypeUrl::ALL {
            json(&resource(type_url, Vec::new())).unwrap();
        }
    }

    #[test]
    fn bytes_of_another_type_are_an_error() {
        assert!(matches!(
            json(&resource(TypeUrl::Cluster, vec![0xff])),
            Err(RenderError::Decode { .. })
        ));
    }
}
