//! Field types that several kinds share.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Which gateways an object is for: `ambassador_id`.
///
/// Shape: a list of ids; a single string counts as a list of one. Default:
/// empty, which stands for `["default"]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AmbassadorId(pub Vec<String>);

impl AmbassadorId {
    /// Tells whether the object says nothing of its own.
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether the gateway with this id uses the object.
    pub fn matches(&self, id: &str) -> bool {
        ids_match(&self.0, id)
    }
}

impl<'de> Deserialize<'de> for AmbassadorId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_or_many(deserializer).map(Self)
    }
}

/// A header to add.
///
/// Shape: `{value, append}`, or a bare string for the value alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AddedHeader {
    /// The value; may use Envoy's `%…%` formatters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Whether to add beside a header of the same name instead of replacing
    /// it. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append: Option<bool>,
}

impl<'de> Deserialize<'de> for AddedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Fields {
            value: String,
            append: Option<bool>,
        }

        struct AddedHeaderVisitor;

        impl<'de> Visitor<'de> for AddedHeaderVisitor {
            type Value = AddedHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("object")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AddedHeader, E> {
                Ok(AddedHeader { value: text.to_owned(), append: None })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<AddedHeader, A::Error> {
                let fields = Fields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(AddedHeader { value: fields.value, append: fields.append })
            }
        }

        deserializer.deserialize_any(AddedHeaderVisitor)
    }
}

/// A reference to another object by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectRef {
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its namespace. Default: that of the referrer.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Selects objects by their labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must all be present with these values.
    pub match_labels: std::collections::BTreeMap<String, String>,
    /// Set-based requirements; accepted and, as in Emissary, without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<serde_json::Value>,
}

/// A length of time, written in Go's notation: `300ms`, `1.5s`, `1h30m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationText(pub Duration);

impl DurationText {
    /// Parses Go's notation; `None` when the text is not in it, is negative or
    /// too long to be represented.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest == "0" {
            return Some(Self(Duration::ZERO));
        }
        let mut total = Duration::ZERO;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
            let (number, tail) = rest.split_at(digits);
            let unit = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit);
            total = total.checked_add(part(number, unit)?)?;
            rest = tail;
        }
        Some(Self(total))
    }
}

/// Shape: whole and fractional seconds, such as `5s` or `0.25s`.
impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.subsec_nanos();
        if nanos == 0 {
            return write!(f, "{}s", self.0.as_secs());
        }
        let fraction = format!("{nanos:09}");
        write!(f, "{}.{}s", self.0.as_secs(), fraction.trim_end_matches('0'))
    }
}

impl Serialize for DurationText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DurationVisitor;

        impl Visitor<'_> for DurationVisitor {
            type Value = DurationText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DurationText, E> {
                DurationText::parse(text).ok_or_else(|| {
                    E::custom(format_args!("should be a duration such as \"5s\", not {text:?}"))
                })
            }
        }

        deserializer.deserialize_str(DurationVisitor)
    }
}

/// The id of a gateway that sets none, and of an object that names none.
pub const DEFAULT_ID: &str = "default";

/// The id that every gateway answers to.
pub const AUTOMATIC_ID: &str = "_automatic_";

/// Tells whether an object for these gateways is used by the one with this id.
///
/// Empty stands for `["default"]`; `["_automatic_"]` alone matches all.
pub(crate) fn ids_match(ids: &[String], id: &str) -> bool {
    match ids {
        [] => id == DEFAULT_ID,
        [only] if only == AUTOMATIC_ID => true,
        list => list.iter().any(|entry| entry == id),
    }
}

/// Reads a string and takes the empty one as absent.
pub(crate) fn non_empty<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Reads a list of strings, or one string as a list of one.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("array")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(if text.is_empty() { Vec::new() } else { vec![text.to_owned()] })
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut out = Vec::new();
            while let Some(item) = list.next_element()? {
                out.push(item);
            }
            Ok(out)
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

/// Reads a string, or a number as its text.
pub(crate) fn text_or_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("string")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok((!text.is_empty()).then(|| text.to_owned()))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }
    }

    deserializer.deserialize_any(Text)
}

/// Reads a boolean, or one of the words Emissary takes for one.
pub(crate) fn bool_like<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<bool>, D::Error> {
    struct BoolLike;

    impl Visitor<'_> for BoolLike {
        type Value = Option<bool>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("boolean")
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
            Ok(Some(value))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            match text.to_ascii_lowercase().as_str() {
                "" => Ok(None),
                "y" | "yes" | "t" | "true" | "on" | "1" => Ok(Some(true)),
                "n" | "no" | "f" | "false" | "off" | "0" => Ok(Some(false)),
                _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
            }
        }
    }

    deserializer.deserialize_any(BoolLike)
}

fn part(number: &str, unit: &str) -> Option<Duration> {
    let nanos_per_unit: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = u128::from(whole) * u128::from(nanos_per_unit);
    let mut scale = u128::from(nanos_per_unit);
    // Digits below one nanosecond are cut off, as Go does.
    for digit in fraction.bytes().take(18) {
        scale /= 10;
        nanos += u128::from(digit - b'0') * scale;
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, rest))
}
