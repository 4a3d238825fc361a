//! Field types of filters and their policies.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Reads a value, taking `null` for its default: stored v2 objects carry
/// explicit nulls.
///
/// # Errors
/// As the value itself.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a list of strings, or one string as a list of one; null is empty.
///
/// # Errors
/// For any other type.
pub fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;
    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a list of strings")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))
        }
    }
    deserializer.deserialize_any(OneOrMany)
}

/// A length of time as Go writes it.
///
/// Shape: `1h15m30.5s`; units `ns us µs ms s m h`; empty text and `0` are
/// zero; negative values are refused. Source: Go's `time.ParseDuration`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub Duration);

impl GoDuration {
    /// Tells whether it is zero, which means "default" wherever it is read.
    pub const fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

/// Text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration such as `1h15m30s`")]
pub struct GoDurationError(String);

impl FromStr for GoDuration {
    type Err = GoDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || GoDurationError(text.to_owned());
        let mut rest = text.trim();
        rest = rest.strip_prefix('+').unwrap_or(rest);
        if rest.is_empty() || rest == "0" {
            return Ok(Self::default());
        }
        let mut seconds = 0_f64;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refuse)?;
            let (number, tail) = rest.split_at(end);
            let number: f64 = number.parse().map_err(|_| refuse())?;
            let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(end);
            seconds += number
                * match unit {
                    "h" => 3600.0,
                    "m" => 60.0,
                    "s" => 1.0,
                    "ms" => 1e-3,
                    "us" | "µs" | "μs" => 1e-6,
                    "ns" => 1e-9,
                    _ => return Err(refuse()),
                };
            rest = tail;
        }
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|_| refuse())
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = self.0.subsec_nanos();
        if nanos == 0 {
            return serializer.collect_str(&format_args!("{}s", self.0.as_secs()));
        }
        let fraction = format!("{nanos:09}");
        let fraction = fraction.trim_end_matches('0');
        serializer.collect_str(&format_args!("{}.{fraction}s", self.0.as_secs()))
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = GoDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `1h15m30s`")
            }

            fn visit_unit<E: de::Error>(self) -> Result<GoDuration, E> {
                Ok(GoDuration::default())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
                text.parse().map_err(E::custom)
            }

            // Stored objects may hold Go's integer form, nanoseconds.
            fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<GoDuration, E> {
                Ok(GoDuration(Duration::from_nanos(nanos)))
            }
        }
        deserializer.deserialize_any(Text)
    }
}
