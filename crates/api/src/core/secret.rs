//! Core `Secret`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// Bytes that must not be shown, by key.
///
/// `data` is base64 in YAML and plain here; `stringData` is joined into it and
/// wins. Debug output shows keys and lengths only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// `Opaque`, `kubernetes.io/tls`, `istio.io/key-and-cert` and others.
    /// Default: `Opaque`.
    pub kind: String,
    /// The bytes, by key.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl Secret {
    /// Returns the bytes of one key.
    pub fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).map(Vec::as_slice)
    }

    /// Returns the text of one key; `None` when it is absent or not UTF-8.
    pub fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.bytes(key)?).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths: BTreeMap<_, _> =
            self.data.iter().map(|(key, bytes)| (key, format!("{} bytes", bytes.len()))).collect();
        f.debug_struct("Secret").field("kind", &self.kind).field("data", &lengths).finish()
    }
}

/// Shape: Kubernetes' own, `type` and base64 `data`. This shows the bytes.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let data: BTreeMap<&str, String> =
            self.data.iter().map(|(key, bytes)| (key.as_str(), STANDARD.encode(bytes))).collect();
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("data", &data)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        let mut data: BTreeMap<String, Vec<u8>> =
            fields.data.into_iter().map(|(key, Base64(bytes))| (key, bytes)).collect();
        data.extend(fields.string_data.into_iter().map(|(key, text)| (key, text.into_bytes())));
        let kind = if fields.kind.is_empty() { OPAQUE.to_owned() } else { fields.kind };
        Ok(Self { kind, data })
    }
}

/// The type of a Secret that names none.
const OPAQUE: &str = "Opaque";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Fields {
    #[serde(rename = "type")]
    kind: String,
    data: BTreeMap<String, Base64>,
    string_data: BTreeMap<String, String>,
}

struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // Folded YAML text has line breaks, which base64 does not know.
        let compact: String = text.split_ascii_whitespace().collect();
        // The decoder's own message would quote a byte of the secret.
        let bytes = STANDARD
            .decode(compact)
            .map_err(|_| de::Error::custom("should be base64; plain text belongs in stringData"))?;
        Ok(Self(bytes))
    }
}
