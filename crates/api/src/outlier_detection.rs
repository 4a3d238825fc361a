//! Ejection of endpoints that answer badly.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::common::DurationText;
use crate::manifest;

/// When an endpoint is left out for a while. Source: Envoy `OutlierDetection`,
/// whose names and defaults these are.
///
/// Shape: in Emissary's schema a text. Here it is `true` for Envoy's defaults,
/// `false` for none, or the fields in YAML or JSON; the fields themselves, not
/// as a text, will do as well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutlierDetection {
    /// Answers of 5xx in a row that eject. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_5xx: Option<u32>,
    /// Answers of 502, 503 and 504 in a row that eject. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_gateway_failure: Option<u32>,
    /// Failures to connect in a row that eject, with
    /// `split_external_local_origin_errors`. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_local_origin_failure: Option<u32>,
    /// Failures to connect count apart from answers. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_external_local_origin_errors: Option<bool>,
    /// Time between sweeps, which also end ejections. Default: 10 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<DurationText>,
    /// Length of an ejection, times their number so far. Default: 30 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_ejection_time: Option<DurationText>,
    /// Length of an ejection at most. Default: 300 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ejection_time: Option<DurationText>,
    /// Share of endpoints ejected at most, in percent; one may always be.
    /// Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ejection_percent: Option<u32>,
    /// Percent of cases in which `consecutive_5xx` ejects. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcing_consecutive_5xx: Option<u32>,
    /// Percent of cases in which `consecutive_gateway_failure` ejects.
    /// Default: 0, and 100 where the former is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcing_consecutive_gateway_failure: Option<u32>,
    /// Percent of cases in which a bad success rate ejects. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcing_success_rate: Option<u32>,
    /// Endpoints with enough requests that success rates need. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_rate_minimum_hosts: Option<u32>,
    /// Requests in an interval that make an endpoint count. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_rate_request_volume: Option<u32>,
    /// Thousandths of standard deviations below the mean that eject. Default:
    /// 1900.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_rate_stdev_factor: Option<u32>,
}

/// Reads any of the forms; `None` for none.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<OutlierDetection>, D::Error> {
    struct Forms;

    impl<'de> Visitor<'de> for Forms {
        type Value = Option<OutlierDetection>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("string")
        }

        fn visit_bool<E: de::Error>(self, wanted: bool) -> Result<Self::Value, E> {
            Ok(wanted.then(OutlierDetection::default))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            match text.trim().to_ascii_lowercase().as_str() {
                "" | "false" => return Ok(None),
                "true" => return Ok(Some(OutlierDetection::default())),
                _ => {}
            }
            let value = manifest::value(text).map_err(E::custom)?;
            let fields = OutlierDetection::deserialize(value);
            fields.map(Some).map_err(|error| E::custom(format_args!("holds {error}")))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            let map = de::value::MapAccessDeserializer::new(map);
            OutlierDetection::deserialize(map).map(Some)
        }
    }

    deserializer.deserialize_any(Forms)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<Option<OutlierDetection>, String> {
        optional(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_holds_yaml_or_json_or_a_word() {
        let three = OutlierDetection { consecutive_5xx: Some(3), ..OutlierDetection::default() };
        for form in [json!("consecutive_5xx: 3"), json!("{\"consecutive_5xx\": 3}")] {
            assert_eq!(read(form), Ok(Some(three.clone())));
        }
        assert_eq!(read(json!({"consecutive_5xx": 3})), Ok(Some(three)));
        for word in [json!("true"), json!(true)] {
            assert_eq!(read(word), Ok(Some(OutlierDetection::default())));
        }
        for word in [json!("false"), json!(""), json!(false)] {
            assert_eq!(read(word), Ok(None));
        }
    }

    #[test]
    fn what_envoy_does_not_know_is_refused() {
        for bad in ["yes please", "consecutive_4xx: 3", "consecutive_5xx: many", "{"] {
            assert!(read(json!(bad)).is_err(), "{bad}");
        }
    }
}
