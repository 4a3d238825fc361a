//! What a session sends, over bytes that all streams share.

use std::sync::Arc;

use bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::TypeUrl;
use crate::payload::Payload;

/// One response, ready to be written.
#[derive(Debug, Clone)]
pub struct Response {
    /// The protocol it belongs to.
    pub form: Form,
    /// The type of its resources.
    pub type_url: TypeUrl,
    /// Repeated by the client's acknowledgement.
    pub nonce: u64,
    /// State of the world: the version of the set. Delta: for people only.
    pub version: String,
    /// The resources.
    pub resources: Vec<Arc<Payload>>,
    /// Names that do not exist; delta only.
    pub removed: Vec<Arc<str>>,
}

/// The message a response is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `envoy.service.discovery.v3.DeltaDiscoveryResponse`.
    Delta,
    /// `envoy.service.discovery.v3.DiscoveryResponse`.
    Sotw,
}

/// Numbers of fields; the two messages share all but `removed_resources`.
mod field {
    pub(super) const VERSION: u32 = 1;
    pub(super) const TYPE_URL: u32 = 4;
    pub(super) const NONCE: u32 = 5;
    pub(super) const REMOVED_RESOURCES: u32 = 6;
}

// === impl Response ===

impl Response {
    /// Returns the length of what [`Response::encode`] writes, in bytes.
    pub fn encoded_len(&self) -> usize {
        let length = |payload: &Arc<Payload>| match self.form {
            Form::Delta => payload.delta_len(),
            Form::Sotw => payload.sotw_len(),
        };
        let resources: usize = self.resources.iter().map(length).sum();
        let removed: usize =
            self.removed.iter().map(|name| text_len(field::REMOVED_RESOURCES, name)).sum();
        resources
            + removed
            + text_len(field::VERSION, &self.version)
            + text_len(field::TYPE_URL, self.type_url.as_str())
            + text_len(field::NONCE, &self.nonce.to_string())
    }

    /// Writes the message; the resources are copied as they were prepared.
    pub fn encode(&self, buffer: &mut impl BufMut) {
        put_text(field::VERSION, &self.version, buffer);
        put_text(field::TYPE_URL, self.type_url.as_str(), buffer);
        put_text(field::NONCE, &self.nonce.to_string(), buffer);
        for payload in &self.resources {
            match self.form {
                Form::Delta => payload.delta_element().for_each(|chunk| buffer.put_slice(chunk)),
                Form::Sotw => payload.sotw_element().for_each(|chunk| buffer.put_slice(chunk)),
            }
        }
        for name in &self.removed {
            put_text(field::REMOVED_RESOURCES, name, buffer);
        }
    }
}

fn text_len(tag: u32, text: &str) -> usize {
    key_len(tag) + encoded_len_varint(text.len() as u64) + text.len()
}

fn put_text(tag: u32, text: &str, buffer: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(text.len() as u64, buffer);
    buffer.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryResponse,
    };
    use prost::Message;

    use super::*;

    fn response(form: Form) -> (Response, Vec<u8>) {
        let payload =
            |name: &str| Arc::new(Payload::new(&TypeUrl::CLUSTER, name.into(), 9, name.as_bytes()));
        let response = Response {
            form,
            type_url: TypeUrl::CLUSTER,
            nonce: 12,
            version: "v".into(),
            resources: vec![payload("a"), payload("b")],
            removed: if form == Form::Delta { vec!["c".into()] } else { Vec::new() },
        };
        let mut bytes = Vec::new();
        response.encode(&mut bytes);
        assert_eq!(bytes.len(), response.encoded_len());
        (response, bytes)
    }

    #[test]
    fn delta_responses_decode_to_what_was_meant() {
        let (_, bytes) = response(Form::Delta);
        let decoded = DeltaDiscoveryResponse::decode(bytes.as_slice()).unwrap();
        let names: Vec<_> = decoded.resources.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(decoded.removed_resources, ["c"]);
        assert_eq!((decoded.nonce.as_str(), decoded.system_version_info.as_str()), ("12", "v"));
        assert_eq!(decoded.type_url, TypeUrl::CLUSTER.as_str());
    }

    #[test]
    fn sotw_responses_decode_to_what_was_meant() {
        let (_, bytes) = response(Form::Sotw);
        let decoded = DiscoveryResponse::decode(bytes.as_slice()).unwrap();
        let values: Vec<_> = decoded.resources.iter().map(|any| any.value.as_slice()).collect();
        assert_eq!(values, [b"a", b"b"]);
        assert_eq!((decoded.nonce.as_str(), decoded.version_info.as_str()), ("12", "v"));
    }
}
