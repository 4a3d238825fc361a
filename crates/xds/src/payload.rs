//! One version of one resource, encoded once for every stream.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::TypeUrl;

/// One version of one resource, encoded once for every stream.
///
/// The bytes are a complete element of `DeltaDiscoveryResponse.resources`, key
/// and length included. Its inner `Any` comes last, and since the field of the
/// `Any` in `Resource` and the field of the resources in `DiscoveryResponse`
/// both have number 2, the tail of the same bytes is a complete element of
/// `DiscoveryResponse.resources`. Both protocols copy it as it stands.
pub struct Payload {
    name: Arc<str>,
    version: u64,
    element: Bytes,
    any_at: usize,
    value_at: usize,
    endpoints: Option<Arc<str>>,
}

/// Numbers of fields, of `envoy.service.discovery.v3` and `google.protobuf.Any`.
mod field {
    pub(super) const RESOURCES: u32 = 2;
    pub(super) const RESOURCE_VERSION: u32 = 1;
    pub(super) const RESOURCE_ANY: u32 = 2;
    pub(super) const RESOURCE_NAME: u32 = 3;
    pub(super) const ANY_TYPE_URL: u32 = 1;
    pub(super) const ANY_VALUE: u32 = 2;
}

// === impl Payload ===

impl Payload {
    /// Encodes a resource. `version` is a hash of `message`, the same on every
    /// replica and after every restart.
    pub fn new(type_url: &TypeUrl, name: Arc<str>, version: u64, message: &[u8]) -> Self {
        let version_text = version_text(version);
        let any_len = field_len(field::ANY_TYPE_URL, type_url.as_str().len())
            + field_len(field::ANY_VALUE, message.len());
        let resource_len = field_len(field::RESOURCE_NAME, name.len())
            + field_len(field::RESOURCE_VERSION, version_text.len())
            + field_len(field::RESOURCE_ANY, any_len);
        let mut buffer = BytesMut::with_capacity(field_len(field::RESOURCES, resource_len));
        put_header(field::RESOURCES, resource_len, &mut buffer);
        put_field(field::RESOURCE_NAME, name.as_bytes(), &mut buffer);
        put_field(field::RESOURCE_VERSION, version_text.as_bytes(), &mut buffer);
        let any_at = buffer.len();
        put_header(field::RESOURCE_ANY, any_len, &mut buffer);
        put_field(field::ANY_TYPE_URL, type_url.as_str().as_bytes(), &mut buffer);
        put_header(field::ANY_VALUE, message.len(), &mut buffer);
        let value_at = buffer.len();
        buffer.extend_from_slice(message);
        let endpoints =
            if *type_url == TypeUrl::CLUSTER { endpoints_of(&name, message) } else { None };
        Self { name, version, element: buffer.freeze(), any_at, value_at, endpoints }
    }

    /// Returns the resource's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the hash of the encoded message.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the encoded message alone.
    pub fn message(&self) -> Bytes {
        self.element.slice(self.value_at..)
    }

    /// Returns an element of `DeltaDiscoveryResponse.resources`.
    pub fn delta_element(&self) -> &[u8] {
        &self.element
    }

    /// Returns an element of `DiscoveryResponse.resources`.
    pub fn sotw_element(&self) -> &[u8] {
        &self.element[self.any_at..]
    }

    /// Returns the name of the endpoints without which this cluster stays cold;
    /// `None` for clusters that find them otherwise, and for other types.
    pub fn endpoints(&self) -> Option<&Arc<str>> {
        self.endpoints.as_ref()
    }
}

/// Equal versions are equal bytes.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.name == other.name
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the bytes: they may be a private key.
        f.debug_struct("Payload")
            .field("name", &self.name)
            .field("version", &version_text(self.version))
            .field("len", &self.element.len())
            .finish_non_exhaustive()
    }
}

/// Returns a version as it travels: 16 hexadecimal digits.
pub fn version_text(version: u64) -> String {
    format!("{version:016x}")
}

/// Reads a version that has travelled; `None` for those of another server.
pub fn parse_version(text: &str) -> Option<u64> {
    if text.len() == 16 { u64::from_str_radix(text, 16).ok() } else { None }
}

fn endpoints_of(name: &Arc<str>, message: &[u8]) -> Option<Arc<str>> {
    // A cluster that cannot be decoded is Envoy's to refuse.
    let cluster = Cluster::decode(message).ok()?;
    let eds = Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32));
    if cluster.cluster_discovery_type != eds {
        return None;
    }
    let service = cluster.eds_cluster_config.map(|config| config.service_name).unwrap_or_default();
    Some(if service.is_empty() { Arc::clone(name) } else { service.into() })
}

fn field_len(tag: u32, content: usize) -> usize {
    key_len(tag) + encoded_len_varint(content as u64) + content
}

fn put_header(tag: u32, content: usize, buffer: &mut BytesMut) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(content as u64, buffer);
}

fn put_field(tag: u32, content: &[u8], buffer: &mut BytesMut) {
    put_header(tag, content.len(), buffer);
    buffer.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryResponse,
    };

    use super::*;

    #[test]
    fn one_encoding_serves_both_protocols() {
        let message = vec![7_u8; 300];
        let payload = Payload::new(&TypeUrl::SECRET, "cert.default".into(), 0xab, &message);
        let delta = DeltaDiscoveryResponse::decode(payload.delta_element()).unwrap();
        let [resource] = delta.resources.as_slice() else { panic!("one resource") };
        assert_eq!(resource.name, "cert.default");
        assert_eq!(resource.version, "00000000000000ab");
        assert_eq!(parse_version(&resource.version), Some(0xab));
        let sotw = DiscoveryResponse::decode(payload.sotw_element()).unwrap();
        assert_eq!(sotw.resources, [resource.resource.clone().unwrap()]);
        assert_eq!(sotw.resources[0].type_url, TypeUrl::SECRET.as_str());
        assert_eq!(sotw.resources[0].value, message);
        assert_eq!(payload.message(), message);
    }

    #[test]
    fn clusters_name_the_endpoints_they_wait_for() {
        let cluster = Cluster {
            name: "a".into(),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32)),
            ..Cluster::default()
        };
        let encode = |cluster: &Cluster| {
            Payload::new(&TypeUrl::CLUSTER, "a".into(), 1, &cluster.encode_to_vec())
        };
        assert_eq!(encode(&cluster).endpoints().map(AsRef::as_ref), Some("a"));
        let dns = Cluster { cluster_discovery_type: None, ..cluster };
        assert_eq!(encode(&dns).endpoints(), None);
    }
}
