//! Rate-limit labels: what a Mapping tells the rate-limit service of a request.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::common::non_empty;

/// One group of labels; becomes one descriptor.
///
/// Shape: a map of one key, the group's free name, to a list of specifiers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelGroup {
    /// Name of the group; never reaches Envoy. Groups whose name begins with
    /// `v0_ratelimit_` get no default labels.
    pub name: String,
    /// Entries of the descriptor, in order.
    pub specifiers: Vec<LabelSpecifier>,
}

impl Serialize for LabelGroup {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.name, &self.specifiers)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for LabelGroup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GroupVisitor;

        impl<'de> Visitor<'de> for GroupVisitor {
            type Value = LabelGroup;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LabelGroup, A::Error> {
                let Some((name, specifiers)) = map.next_entry()? else {
                    return Err(de::Error::custom("should have exactly one key, the group's name"));
                };
                if map.next_key::<String>()?.is_some() {
                    return Err(de::Error::custom("should have at most 1 properties"));
                }
                Ok(LabelGroup { name, specifiers })
            }
        }

        deserializer.deserialize_map(GroupVisitor)
    }
}

/// One entry of a descriptor. Source: Envoy `RateLimit.Action`.
///
/// Shape: a map of one key, the kind of entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSpecifier {
    /// Envoy's own node cluster.
    SourceCluster(FixedKey),
    /// Envoy's name of the upstream cluster.
    DestinationCluster(FixedKey),
    /// The trusted address of the client.
    RemoteAddress(FixedKey),
    /// A constant.
    GenericKey(GenericKey),
    /// The value of a request header.
    RequestHeaders(RequestHeaderLabel),
}

/// The body of a specifier whose descriptor key cannot be chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FixedKey {
    /// Repeats the name of the specifier, or is absent.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A constant descriptor entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenericKey {
    /// Descriptor key. Default: `generic_key`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Descriptor value; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// A descriptor entry taken from a request header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestHeaderLabel {
    /// Descriptor key; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Name of the header; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub header_name: String,
    /// Whether a missing header leaves out only this entry, not the whole
    /// descriptor. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omit_if_not_present: Option<bool>,
}

/// Labels put before those of every group of one domain: the values of the
/// Module's `default_labels`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DefaultLabels {
    /// The entries, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<LabelSpecifier>,
}
