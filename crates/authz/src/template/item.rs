//! Values a template works on.

use std::borrow::Cow;
use std::rc::Rc;

use http::HeaderMap;
use serde_json::Value;

/// A value.
#[derive(Debug, Clone)]
pub enum Item<'a> {
    /// No value: an absent key, or JSON null.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number of the template itself.
    Int(i64),
    /// A number, as all of JSON's are in Go.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// A JSON list or object.
    Json(&'a Value),
    /// A list of texts, such as the values of one header.
    Texts(Rc<[String]>),
    /// Request headers, Go's `http.Header`.
    Headers(&'a HeaderMap),
    /// A struct: fields that are not there are an error, not no value.
    Fields(Rc<[Field<'a>]>),
}

/// One field of a struct.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// Name in templates.
    pub name: &'static str,
    /// Whether `json` prints it.
    pub shown: bool,
    /// Value.
    pub item: Item<'a>,
}

impl<'a> Item<'a> {
    /// Takes a JSON value as Go's `encoding/json` would decode it.
    pub fn json(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::None,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }

    /// Makes a struct.
    pub fn fields(fields: Vec<Field<'a>>) -> Self {
        Self::Fields(fields.into())
    }

    /// Tells whether Go takes it as true: neither zero nor empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(int) => *int != 0,
            Self::Float(float) => *float != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Json(Value::Array(list)) => !list.is_empty(),
            Self::Json(Value::Object(map)) => !map.is_empty(),
            Self::Json(_) => false,
            Self::Texts(list) => !list.is_empty(),
            Self::Headers(headers) => !headers.is_empty(),
            Self::Fields(_) => true,
        }
    }

    /// Returns Go's name of the type.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::None => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Json(Value::Array(_)) => "[]interface {}",
            Self::Json(_) => "map[string]interface {}",
            Self::Texts(_) => "[]string",
            Self::Headers(_) => "http.Header",
            Self::Fields(_) => "struct",
        }
    }

    /// Takes a field; `None` when the value has no fields at all.
    pub(super) fn field(&self, name: &str) -> Option<Item<'a>> {
        match self {
            Self::Json(Value::Object(map)) => Some(map.get(name).map_or(Self::None, Self::json)),
            Self::Fields(fields) => {
                fields.iter().find(|field| field.name == name).map(|field| field.item.clone())
            }
            Self::Headers(headers) => Some(header_values(headers, name)),
            _ => None,
        }
    }
}

/// Returns the values of a header under its canonical Go name; any other
/// spelling has none, as in a Go map.
pub(super) fn header_values<'a>(headers: &HeaderMap, name: &str) -> Item<'a> {
    let values: Vec<String> = match canonical(name) == name {
        true => headers.get_all(name).iter().map(|value| lossy(value.as_bytes())).collect(),
        false => Vec::new(),
    };
    if values.is_empty() { Item::None } else { Item::Texts(values.into()) }
}

/// Decodes header bytes; what is not UTF-8 becomes U+FFFD.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes a header name as Go's `CanonicalMIMEHeaderKey` does.
fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let c = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            upper = c == '-';
            c
        })
        .collect()
}
