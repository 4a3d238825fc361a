//! JSON text into values, counted while they are made.

use std::cell::{Cell, OnceCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::document::{Document, Limits, Source, TOO_MANY, Unreadable};

/// Parses the values of a file; the first mistake ends it.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    limits: &mut Limits,
    mut each: impl FnMut(Result<Document<'a>, Unreadable>),
) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut rest = bytes;
    let mut line: u32 = 1;
    loop {
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        line = line.saturating_add(lines(&rest[..blank]));
        rest = &rest[blank..];
        if rest.is_empty() {
            return;
        }
        let full = Cell::new(false);
        let mut deserializer = serde_json::Deserializer::from_slice(rest);
        let seed = Counted { limits, full: &full };
        match seed.deserialize(&mut deserializer) {
            Ok(value) => {
                let document = Document {
                    value,
                    line,
                    duplicates: Vec::new(),
                    source: Source::Unknown,
                    lines: OnceCell::new(),
                };
                each(Ok(document));
            }
            Err(error) => {
                let at = u32::try_from(error.line()).unwrap_or(u32::MAX);
                return each(Err(Unreadable {
                    line: at.saturating_sub(1).saturating_add(line),
                    column: u32::try_from(error.column()).unwrap_or(u32::MAX),
                    message: if full.get() {
                        TOO_MANY.to_owned()
                    } else {
                        bare(&error.to_string()).to_owned()
                    },
                    too_large: full.get(),
                }));
            }
        }
        let used = deserializer.into_iter::<serde::de::IgnoredAny>().byte_offset();
        line = line.saturating_add(lines(&rest[..used]));
        rest = &rest[used..];
    }
}

fn lines(bytes: &[u8]) -> u32 {
    let count = bytes.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Cuts off the position, which is told apart and counted from the document.
fn bare(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}

struct Counted<'l> {
    limits: &'l mut Limits,
    full: &'l Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if !self.limits.spend(1) {
            self.full.set(true);
            return Err(D::Error::custom(TOO_MANY));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        let Self { limits, full } = self;
        while let Some(item) = list.next_element_seed(Counted { limits: &mut *limits, full })? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        let Self { limits, full } = self;
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Counted { limits: &mut *limits, full })?;
            out.insert(key, value);
        }
        Ok(Value::Object(out))
    }
}
