//! One version of one resource, encoded once for every stream.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig,
};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::TypeUrl;

/// One version of one resource, encoded once for every stream.
///
/// The bytes are a complete element of `DeltaDiscoveryResponse.resources`, key
/// and length included: a head of our own, then the message in the chunks in
/// which it came, which all versions that agree in them share. The inner `Any`
/// comes last, and since the field of the `Any` in `Resource` and the field of
/// the resources in `DiscoveryResponse` both have number 2, the tail of the same
/// bytes is a complete element of `DiscoveryResponse.resources`. Both protocols
/// copy it as it stands.
pub struct Payload {
    name: Arc<str>,
    version: u64,
    /// Everything before the message.
    head: Box<[u8]>,
    any_at: usize,
    message: Box<[Bytes]>,
    message_len: usize,
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
        Self::shared(type_url, name, version, [Bytes::copy_from_slice(message)])
    }

    /// Like [`Payload::new`], of a message in chunks that are not copied.
    pub fn shared(
        type_url: &TypeUrl,
        name: Arc<str>,
        version: u64,
        chunks: impl IntoIterator<Item = Bytes>,
    ) -> Self {
        let message: Box<[Bytes]> = chunks.into_iter().collect();
        let message_len = message.iter().map(Bytes::len).sum();
        let version_text = version_text(version);
        let any_len = field_len(field::ANY_TYPE_URL, type_url.as_str().len())
            + field_len(field::ANY_VALUE, message_len);
        let resource_len = field_len(field::RESOURCE_NAME, name.len())
            + field_len(field::RESOURCE_VERSION, version_text.len())
            + field_len(field::RESOURCE_ANY, any_len);
        let mut head = Vec::with_capacity(field_len(field::RESOURCES, resource_len) - message_len);
        put_header(field::RESOURCES, resource_len, &mut head);
        put_field(field::RESOURCE_NAME, name.as_bytes(), &mut head);
        put_field(field::RESOURCE_VERSION, version_text.as_bytes(), &mut head);
        let any_at = head.len();
        put_header(field::RESOURCE_ANY, any_len, &mut head);
        put_field(field::ANY_TYPE_URL, type_url.as_str().as_bytes(), &mut head);
        put_header(field::ANY_VALUE, message_len, &mut head);
        let endpoints =
            if *type_url == TypeUrl::CLUSTER { endpoints_of(&name, &message) } else { None };
        let head = head.into_boxed_slice();
        Self { name, version, head, any_at, message, message_len, endpoints }
    }

    /// Returns the resource's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the hash of the encoded message.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the encoded message alone; copies it when it came in several
    /// chunks.
    pub fn message(&self) -> Bytes {
        match &*self.message {
            [message] => message.clone(),
            chunks => chunks.concat().into(),
        }
    }

    /// Returns an element of `DeltaDiscoveryResponse.resources`, in chunks.
    pub fn delta_element(&self) -> impl Iterator<Item = &[u8]> {
        self.element(0)
    }

    /// Returns an element of `DiscoveryResponse.resources`, in chunks.
    pub fn sotw_element(&self) -> impl Iterator<Item = &[u8]> {
        self.element(self.any_at)
    }

    /// Returns the length of [`Payload::delta_element`], in bytes.
    pub fn delta_len(&self) -> usize {
        self.head.len() + self.message_len
    }

    /// Returns the length of [`Payload::sotw_element`], in bytes.
    pub fn sotw_len(&self) -> usize {
        self.delta_len() - self.any_at
    }

    fn element(&self, from: usize) -> impl Iterator<Item = &[u8]> {
        let message = self.message.iter().map(AsRef::as_ref);
        std::iter::once(&self.head[from..]).chain(message)
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
            .field("len", &self.delta_len())
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

/// What of a `Cluster` says where its endpoints come from; decoding the rest of
/// each would cost more than encoding it did.
#[derive(Clone, PartialEq, Message)]
struct Discovery {
    #[prost(oneof = "ClusterDiscoveryType", tags = "2, 38")]
    kind: Option<ClusterDiscoveryType>,
    #[prost(message, optional, tag = "3")]
    eds: Option<EdsClusterConfig>,
}

fn endpoints_of(name: &Arc<str>, message: &[Bytes]) -> Option<Arc<str>> {
    // A cluster that cannot be decoded is Envoy's to refuse. Clusters are short
    // and come in one chunk.
    let [message] = message else { return None };
    let Discovery { kind, eds } = Discovery::decode(&**message).ok()?;
    if kind != Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32)) {
        return None;
    }
    let service = eds.map(|config| config.service_name).unwrap_or_default();
    Some(if service.is_empty() { Arc::clone(name) } else { service.into() })
}

fn field_len(tag: u32, content: usize) -> usize {
    key_len(tag) + encoded_len_varint(content as u64) + content
}

fn put_header(tag: u32, content: usize, buffer: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(content as u64, buffer);
}

fn put_field(tag: u32, content: &[u8], buffer: &mut Vec<u8>) {
    put_header(tag, content.len(), buffer);
    buffer.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;
    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryResponse,
    };

    use super::*;

    #[test]
    fn one_encoding_serves_both_protocols() {
        let message = vec![7_u8; 300];
        let chunks = message.chunks(128).map(Bytes::copy_from_slice);
        let payload = Payload::shared(&TypeUrl::SECRET, "cert.default".into(), 0xab, chunks);
        let delta: Vec<u8> = payload.delta_element().flatten().copied().collect();
        assert_eq!(delta.len(), payload.delta_len());
        let delta = DeltaDiscoveryResponse::decode(&*delta).unwrap();
        let [resource] = delta.resources.as_slice() else { panic!("one resource") };
        assert_eq!(resource.name, "cert.default");
        assert_eq!(resource.version, "00000000000000ab");
        assert_eq!(parse_version(&resource.version), Some(0xab));
        let sotw: Vec<u8> = payload.sotw_element().flatten().copied().collect();
        assert_eq!(sotw.len(), payload.sotw_len());
        let sotw = DiscoveryResponse::decode(&*sotw).unwrap();
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
