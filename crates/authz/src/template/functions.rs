//! Functions a template may call.

use std::borrow::Cow;
use std::cmp::Ordering;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::format::{json, plain, printf, verb_v};
use super::item::header_values;
use super::{Functions, Item, TemplateError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Or,
    Not,
    Len,
    Index,
    Slice,
    Print,
    Println,
    Printf,
    Html,
    UrlQuery,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    HasKey,
    DoNotSet,
    Json,
}

pub(super) fn fail(message: impl Into<String>) -> TemplateError {
    TemplateError::Render(message.into())
}

impl Function {
    pub(super) fn named(name: &str, functions: Functions) -> Option<Self> {
        Some(match name {
            "and" => Self::And,
            "or" => Self::Or,
            "not" => Self::Not,
            "len" => Self::Len,
            "index" => Self::Index,
            "slice" => Self::Slice,
            "print" => Self::Print,
            "println" => Self::Println,
            "printf" => Self::Printf,
            "html" => Self::Html,
            "urlquery" => Self::UrlQuery,
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "lt" => Self::Lt,
            "le" => Self::Le,
            "gt" => Self::Gt,
            "ge" => Self::Ge,
            "hasKey" => Self::HasKey,
            "doNotSet" => Self::DoNotSet,
            "json" if functions == Functions::Bodies => Self::Json,
            _ => return None,
        })
    }

    pub(super) const fn takes_nothing(self) -> bool {
        matches!(self, Self::DoNotSet)
    }

    /// Calls the function; `and`, `or` and `doNotSet` are the evaluator's.
    pub(super) fn call<'a>(self, arguments: &[Item<'a>]) -> Result<Item<'a>, TemplateError> {
        let text = |text: String| Ok(Item::Text(Cow::Owned(text)));
        match (self, arguments) {
            (Self::Not, [item]) => Ok(Item::Bool(!item.is_true())),
            (Self::Len, [item]) => length(item).map(Item::Int),
            (Self::Index, [item, keys @ ..]) => {
                keys.iter().try_fold(item.clone(), |item, key| index(&item, key))
            }
            (Self::Slice, [Item::Text(whole), bounds @ ..]) if bounds.len() <= 2 => {
                text(slice(whole, bounds)?)
            }
            (Self::Print, items) => text(print(items)),
            (Self::Println, items) => {
                let parts: Vec<_> = items.iter().map(verb_v).collect();
                text(parts.join(" ") + "\n")
            }
            (Self::Printf, [Item::Text(format), items @ ..]) => text(printf(format, items)),
            (Self::Html, items) => text(html(&evaluated(items))),
            (Self::UrlQuery, items) => {
                let encoded = utf8_percent_encode(&evaluated(items), QUERY).to_string();
                text(encoded.replace("%20", "+"))
            }
            (Self::Eq, [first, others @ ..]) if !others.is_empty() => others
                .iter()
                .try_fold(false, |equal, other| Ok(equal | equals(first, other)?))
                .map(Item::Bool),
            (Self::Ne, [a, b]) => Ok(Item::Bool(!equals(a, b)?)),
            (Self::Lt, [a, b]) => Ok(Item::Bool(order(a, b)?.is_lt())),
            (Self::Le, [a, b]) => Ok(Item::Bool(order(a, b)?.is_le())),
            (Self::Gt, [a, b]) => Ok(Item::Bool(order(a, b)?.is_gt())),
            (Self::Ge, [a, b]) => Ok(Item::Bool(order(a, b)?.is_ge())),
            (Self::HasKey, [map, Item::Text(key)]) => has_key(map, key).map(Item::Bool),
            (Self::Json, [Item::Text(indent), item]) => text(json(item, indent)),
            (function, arguments) => Err(fail(format!(
                "{function:?} cannot take {} argument(s) of type {}",
                arguments.len(),
                arguments.iter().map(Item::type_name).collect::<Vec<_>>().join(", ")
            ))),
        }
    }
}

/// Bytes Go's `url.QueryEscape` leaves alone.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn length(item: &Item<'_>) -> Result<i64, TemplateError> {
    let length = match item {
        Item::Text(text) => text.len(),
        Item::Json(Value::Array(list)) => list.len(),
        Item::Json(Value::Object(map)) => map.len(),
        Item::Texts(list) => list.len(),
        Item::Headers(headers) => headers.keys_len(),
        other => return Err(fail(format!("len of type {}", other.type_name()))),
    };
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

fn index<'a>(item: &Item<'a>, key: &Item<'_>) -> Result<Item<'a>, TemplateError> {
    match (item, key) {
        (Item::Json(Value::Object(map)), Item::Text(key)) => {
            Ok(map.get(key.as_ref()).map_or(Item::None, Item::json))
        }
        (Item::Headers(headers), Item::Text(key)) => Ok(header_values(headers, key)),
        (Item::Json(Value::Array(list)), Item::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| list.get(at))
            .map(Item::json)
            .ok_or_else(|| fail(format!("index out of range: {at}"))),
        (Item::Texts(list), Item::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| list.get(at))
            .map(|text| Item::Text(Cow::Owned(text.clone())))
            .ok_or_else(|| fail(format!("index out of range: {at}"))),
        (Item::Text(text), Item::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| text.as_bytes().get(at))
            .map(|byte| Item::Int(i64::from(*byte)))
            .ok_or_else(|| fail(format!("index out of range: {at}"))),
        (Item::None, _) => Err(fail("index of untyped nil")),
        (item, key) => {
            Err(fail(format!("cannot index {} with {}", item.type_name(), key.type_name())))
        }
    }
}

fn slice(whole: &str, bounds: &[Item<'_>]) -> Result<String, TemplateError> {
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(Item::Int(int)) => usize::try_from(*int).map_err(|_| fail("slice index out of range")),
        Some(other) => Err(fail(format!("slice index of type {}", other.type_name()))),
    };
    let range = bound(0, 0)?..bound(1, whole.len())?;
    whole.get(range).map(str::to_owned).ok_or_else(|| fail("slice index out of range"))
}

/// Go's `Sprint`: a space between operands when neither is text.
fn print(items: &[Item<'_>]) -> String {
    let mut out = String::new();
    for (at, item) in items.iter().enumerate() {
        let texts = |item: &Item<'_>| matches!(item, Item::Text(_));
        if at > 0 && !texts(item) && !texts(&items[at - 1]) {
            out.push(' ');
        }
        out.push_str(&verb_v(item));
    }
    out
}

/// Go's `evalArgs`: one text as it is, anything else through `Sprint`.
fn evaluated(items: &[Item<'_>]) -> String {
    match items {
        [item] => plain(item),
        items => print(items),
    }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    out
}

fn equals(a: &Item<'_>, b: &Item<'_>) -> Result<bool, TemplateError> {
    match (a, b) {
        (Item::None, Item::None) => Ok(true),
        (Item::None, _) | (_, Item::None) => Ok(false),
        (Item::Bool(a), Item::Bool(b)) => Ok(a == b),
        _ => order(a, b).map(Ordering::is_eq),
    }
}

fn order(a: &Item<'_>, b: &Item<'_>) -> Result<Ordering, TemplateError> {
    match (a, b) {
        (Item::Int(a), Item::Int(b)) => Ok(a.cmp(b)),
        (Item::Float(a), Item::Float(b)) => {
            a.partial_cmp(b).ok_or_else(|| fail("comparison of NaN"))
        }
        (Item::Text(a), Item::Text(b)) => Ok(a.cmp(b)),
        _ => Err(fail(format!(
            "incompatible types for comparison: {} and {}",
            a.type_name(),
            b.type_name()
        ))),
    }
}

fn has_key(map: &Item<'_>, key: &str) -> Result<bool, TemplateError> {
    match map {
        Item::Json(Value::Object(map)) => Ok(map.contains_key(key)),
        Item::Headers(headers) => Ok(!matches!(header_values(headers, key), Item::None)),
        Item::Fields(fields) => Ok(fields.iter().any(|field| field.name == key)),
        Item::None => Ok(false),
        other => Err(fail(format!("hasKey of type {}", other.type_name()))),
    }
}
