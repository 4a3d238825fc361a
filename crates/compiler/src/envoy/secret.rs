//! Secrets, as SDS sends them.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as pb;
use prost::Message;

use super::{append_encoded, append_message};

/// `GenericSecret.secrets`.
const SECRETS: u32 = 2;
/// `Secret.generic_secret`.
const GENERIC_SECRET: u32 = 5;

/// One entry of `GenericSecret.secrets`.
#[derive(Clone, PartialEq, Message)]
struct SourceEntry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<core::DataSource>,
}

/// Where Envoy takes a text from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Text<'a> {
    /// It stands in the message.
    Here(&'a [u8]),
    /// A file on the machine of Envoy, which watches it.
    File(&'a str),
}

/// Encodes a certificate chain with its key, both PEM.
pub(crate) fn certificate(name: &str, chain: Text<'_>, key: Text<'_>) -> Vec<u8> {
    let certificate = pb::TlsCertificate {
        certificate_chain: Some(source(chain)),
        private_key: Some(source(key)),
        ..Default::default()
    };
    secret(name, pb::secret::Type::TlsCertificate(certificate))
}

/// Encodes trust anchors and revocation lists, both PEM.
pub(crate) fn validation(name: &str, anchors: Text<'_>, crl: Option<&[u8]>) -> Vec<u8> {
    let context = pb::CertificateValidationContext {
        trusted_ca: Some(source(anchors)),
        crl: crl.map(|crl| source(Text::Here(crl))),
        ..Default::default()
    };
    secret(name, pb::secret::Type::ValidationContext(context))
}

/// Encodes any Secret's data: a generic secret, one inline entry per key.
pub(crate) fn generic(name: &str, data: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut encoded = pb::Secret { name: name.to_owned(), r#type: None }.encode_to_vec();
    let mut body = Vec::new();
    for (key, value) in data {
        let entry = SourceEntry { key: key.clone(), value: Some(source(Text::Here(value))) };
        append_message(SECRETS, &entry, &mut body);
    }
    append_encoded(GENERIC_SECRET, &body, &mut encoded);
    encoded
}

fn secret(name: &str, kind: pb::secret::Type) -> Vec<u8> {
    pb::Secret { name: name.to_owned(), r#type: Some(kind) }.encode_to_vec()
}

fn source(text: Text<'_>) -> core::DataSource {
    use core::data_source::Specifier;
    core::DataSource {
        specifier: Some(match text {
            Text::Here(bytes) => Specifier::InlineBytes(bytes.to_vec()),
            Text::File(path) => Specifier::Filename(path.to_owned()),
        }),
        ..Default::default()
    }
}
