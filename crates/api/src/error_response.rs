//! Bodies of error answers, by status.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::common::non_empty;

/// Another body for answers of one status, whoever gives them. Source:
/// Emissary `ErrorResponseOverride`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorResponseOverride {
    /// The status, 400 to 599; required. A text of digits will do.
    #[serde(deserialize_with = "status", skip_serializing_if = "Option::is_none")]
    pub on_status_code: Option<u32>,
    /// The body; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<ErrorResponseOverrideBody>,
}

/// A body: exactly one of the three formats. All may use Envoy's `%…%`
/// commands; `%%` is a lone `%`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorResponseOverrideBody {
    /// `Content-Type` of the answer. Default: `text/plain`, and
    /// `application/json` with `json_format`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The text itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_format: Option<String>,
    /// An object of texts; numbers and booleans count as their texts.
    #[serde(deserialize_with = "texts", skip_serializing_if = "Option::is_none")]
    pub json_format: Option<BTreeMap<String, String>>,
    /// A file that holds the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_format_source: Option<ErrorResponseTextFormatSource>,
}

/// A file that holds the text of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorResponseTextFormatSource {
    /// Path on the machine of the control plane; required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filename: String,
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    struct Status;

    impl Visitor<'_> for Status {
        type Value = Option<u32>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("integer")
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(u32::try_from(number).unwrap_or(u32::MAX)))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(u32::try_from(number).unwrap_or(0)))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            let number =
                text.parse().map_err(|_| E::invalid_type(de::Unexpected::Str(text), &self));
            number.map(Some)
        }
    }

    deserializer.deserialize_any(Status)
}

fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    struct Text(String);

    impl<'de> Deserialize<'de> for Text {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(TextVisitor).map(Self)
        }
    }

    struct TextVisitor;

    impl Visitor<'_> for TextVisitor {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("string")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<String, E> {
            Ok(value.to_string())
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<String, E> {
            Ok(value.to_string())
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<String, E> {
            Ok(value.to_string())
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<String, E> {
            Ok(value.to_string())
        }
    }

    let map = BTreeMap::<String, Text>::deserialize(deserializer)?;
    Ok(Some(map.into_iter().map(|(name, text)| (name, text.0)).collect()))
}
