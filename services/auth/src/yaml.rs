//! YAML documents as JSON values, within bounds.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Most values of one file, aliases expanded: an alias bomb ends here.
const MAX_VALUES: usize = 1_000_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 128;

/// Why a text is no YAML that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub(crate) struct YamlError {
    /// From 1.
    pub(crate) line: usize,
    /// From 1.
    pub(crate) column: usize,
    message: String,
}

/// Reads every document of a text, with the line it starts on.
///
/// # Errors
/// When the text is not YAML, or exceeds a bound.
pub(crate) fn parse(text: &str) -> Result<Vec<(usize, Value)>, YamlError> {
    let mut loader = Loader::default();
    let mut documents = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            message: error.info().to_owned(),
        })?;
        let fault = |message: &str| YamlError {
            line: span.start.line(),
            column: span.start.col() + 1,
            message: message.to_owned(),
        };
        if matches!(event, Event::DocumentStart(_)) {
            loader = Loader::default();
            loader.line = span.start.line();
        }
        loader.take(event).map_err(fault)?;
        if let Some(value) = loader.done.take() {
            documents.push((loader.line, value));
        }
    }
    Ok(documents)
}

#[derive(Default)]
struct Loader {
    line: usize,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Value, usize)>,
    values: usize,
    done: Option<Value>,
}

struct Open {
    anchor: usize,
    started_at: usize,
    content: Content,
}

enum Content {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

impl Loader {
    fn take(&mut self, event: Event<'_>) -> Result<(), &'static str> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain { scalar(&text) } else { Value::String(text.into_owned()) };
                self.values += 1;
                if anchor > 0 {
                    self.anchors.insert(anchor, (value.clone(), 1));
                }
                self.add(value)
            }
            Event::Alias(anchor) => {
                let (value, count) = self.anchors.get(&anchor).ok_or("alias of nothing")?.clone();
                self.values += count;
                self.add(value)
            }
            Event::SequenceStart(anchor, _) => self.open(anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(anchor, Content::Map(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().ok_or("end of nothing")?;
                let value = match open.content {
                    Content::List(list) => Value::Array(list),
                    Content::Map(map, _) => Value::Object(map),
                };
                if open.anchor > 0 {
                    let count = self.values - open.started_at + 1;
                    self.anchors.insert(open.anchor, (value.clone(), count));
                }
                self.add(value)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, anchor: usize, content: Content) -> Result<(), &'static str> {
        if self.open.len() >= MAX_DEPTH {
            return Err("nested too deeply");
        }
        self.values += 1;
        self.open.push(Open { anchor, started_at: self.values, content });
        Ok(())
    }

    fn add(&mut self, value: Value) -> Result<(), &'static str> {
        if self.values > MAX_VALUES {
            return Err("too many values");
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.done = Some(value),
            Some(Content::List(list)) => list.push(value),
            Some(Content::Map(_, key @ None)) => {
                *key = Some(match value {
                    Value::String(text) => text,
                    Value::Array(_) | Value::Object(_) => return Err("a key that is no text"),
                    other => other.to_string(),
                });
            }
            Some(Content::Map(map, key)) => {
                let key = key.take().unwrap_or_default();
                if map.insert(key, value).is_some() {
                    return Err("a key occurs twice");
                }
            }
        }
        Ok(())
    }
}

/// Reads a plain scalar by YAML's core schema.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    if numeric {
        if let Ok(int) = text.parse::<i64>() {
            return Value::from(int);
        }
        if let Some(float) = text.parse::<f64>().ok().and_then(Number::from_f64) {
            return Value::Number(float);
        }
    }
    Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_read_with_their_lines() {
        let text = "a: 1\nb: [x, 'y', \"2\", 2.5, true, null]\n---\nc: &k {d: e}\nf: *k\n";
        let read = parse(text).unwrap();
        assert_eq!(read[0].1, json!({"a": 1, "b": ["x", "y", "2", 2.5, true, null]}));
        assert_eq!(read[1].1, json!({"c": {"d": "e"}, "f": {"d": "e"}}));
        assert_eq!(read[1].0, 3);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(parse("a: b\nc: [1\n").unwrap_err().line, 3);
        assert_eq!(parse("a: 1\na: 2\n").unwrap_err().line, 2);
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
        }
        assert!(parse(&text).is_err());
    }
}
