//! YAML events into JSON values.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::document::{DEPTH_MAX, Document, Duplicate, Limits, Source, TOO_MANY, Unreadable};
use super::lines::line_of;
use super::{scalar, split};

/// Parses a file and hands over its documents, good and bad, in order.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    limits: &mut Limits,
    mut each: impl FnMut(Result<Document<'a>, Unreadable>),
) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = &bytes[..error.valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            return each(Err(Unreadable {
                line: u32::try_from(line).unwrap_or(u32::MAX),
                column: 0,
                message: "the text is not UTF-8".to_owned(),
                too_large: false,
            }));
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for piece in split::pieces(text) {
        let mut nth = 0;
        let outcome = parse(piece.text, piece.line, limits, |value, line, duplicates| {
            let source = Source::Yaml { text: piece.text, line: piece.line, nth };
            each(Ok(Document { value, line, duplicates, source, lines: OnceCell::new() }));
            nth += 1;
        });
        if let Err(unreadable) = outcome {
            let too_large = unreadable.too_large;
            each(Err(unreadable));
            if too_large {
                return;
            }
        }
    }
}

/// Parses text without objects of others around it, such as an annotation.
pub(super) fn values(text: &str, mut each: impl FnMut(Result<(Value, u32), Unreadable>)) {
    let mut limits = Limits::default();
    for piece in split::pieces(text) {
        let outcome =
            parse(piece.text, piece.line, &mut limits, |value, line, _| each(Ok((value, line))));
        if let Err(unreadable) = outcome {
            each(Err(unreadable));
        }
    }
}

fn parse(
    text: &str,
    first_line: u32,
    limits: &mut Limits,
    mut done: impl FnMut(Value, u32, Vec<Duplicate>),
) -> Result<(), Unreadable> {
    let mut builder = Builder::new(first_line, limits);
    for event in Parser::new(StrInput::new(text)) {
        let (event, span) = event.map_err(|error| syntax(&error, first_line))?;
        match event {
            Event::DocumentStart(_) => builder.reset(),
            Event::DocumentEnd => {
                let (value, line) = builder.root.take().unwrap_or((Value::Null, first_line));
                done(value, line, std::mem::take(&mut builder.duplicates));
            }
            event => builder.event(event, span)?,
        }
    }
    Ok(())
}

fn syntax(error: &ScanError, first_line: u32) -> Unreadable {
    Unreadable {
        line: line_of(error.marker().line(), first_line),
        column: u32::try_from(error.marker().col()).unwrap_or(u32::MAX).saturating_add(1),
        message: error.info().to_owned(),
        too_large: false,
    }
}

struct Builder<'l> {
    limits: &'l mut Limits,
    first_line: u32,
    stack: Vec<Frame>,
    /// Values of anchors, with the count of values within.
    anchors: HashMap<usize, (Value, usize)>,
    duplicates: Vec<Duplicate>,
    root: Option<(Value, u32)>,
}

struct Frame {
    container: Container,
    anchor: usize,
    line: u32,
    /// Values within, the container included.
    values: usize,
}

enum Container {
    List(Vec<Value>),
    /// The key that waits for its value, and what `<<` brings.
    Map {
        map: Map<String, Value>,
        key: Option<Key>,
        merged: Vec<Value>,
    },
}

enum Key {
    Name(String),
    Merge,
}

impl<'l> Builder<'l> {
    fn new(first_line: u32, limits: &'l mut Limits) -> Self {
        Self {
            limits,
            first_line,
            stack: Vec::new(),
            anchors: HashMap::new(),
            duplicates: Vec::new(),
            root: None,
        }
    }

    fn reset(&mut self) {
        self.stack.clear();
        self.anchors.clear();
        self.duplicates.clear();
        self.root = None;
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Unreadable> {
        let line = line_of(span.start.line(), self.first_line);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let cost = 1 + text.len() / BYTES_PER_VALUE;
                self.spend(cost, line)?;
                if self.awaits_key() && style == ScalarStyle::Plain && text == "<<" {
                    self.put_key(Key::Merge, line);
                    return Ok(());
                }
                let value = scalar_value(text, style, tag.as_deref());
                self.keep(anchor, &value, cost, line)?;
                self.value(value, cost, line)
            }
            Event::SequenceStart(anchor, _) => self.open(Container::List(Vec::new()), anchor, line),
            Event::MappingStart(anchor, _) => {
                let container = Container::Map { map: Map::new(), key: None, merged: Vec::new() };
                self.open(container, anchor, line)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let Some((_, values)) = self.anchors.get(&anchor) else {
                    return Err(self.fault(line, "an alias stands within its own anchor", false));
                };
                let values = *values;
                // Checked before the copy: this is what stops an alias bomb.
                self.spend(values, line)?;
                let value = self.anchors[&anchor].0.clone();
                self.value(value, values, line)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, container: Container, anchor: usize, line: u32) -> Result<(), Unreadable> {
        self.spend(1, line)?;
        if self.stack.len() >= DEPTH_MAX {
            return Err(self.fault(line, "values are nested too deeply", true));
        }
        if self.awaits_key() {
            return Err(self.fault(line, "a key must be a scalar", false));
        }
        self.stack.push(Frame { container, anchor, line, values: 1 });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Unreadable> {
        let Some(Frame { container, anchor, line, values }) = self.stack.pop() else {
            return Ok(());
        };
        let value = match container {
            Container::List(list) => Value::Array(list),
            Container::Map { mut map, merged, .. } => {
                for other in merged {
                    merge(&mut map, other);
                }
                Value::Object(map)
            }
        };
        self.keep(anchor, &value, values, line)?;
        self.value(value, values, line)
    }

    fn value(&mut self, value: Value, values: usize, line: u32) -> Result<(), Unreadable> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some((value, line));
            return Ok(());
        };
        frame.values += values;
        match &mut frame.container {
            Container::List(list) => list.push(value),
            Container::Map { map, key, merged } => match key.take() {
                Some(Key::Name(name)) => {
                    map.insert(name, value);
                }
                Some(Key::Merge) => merged.push(value),
                None => {
                    if value.is_array() || value.is_object() {
                        return Err(self.fault(line, "a key must be a scalar", false));
                    }
                    self.put_key(Key::Name(scalar::key(value)), line);
                }
            },
        }
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { container: Container::Map { key: None, .. }, .. }))
    }

    fn put_key(&mut self, name: Key, line: u32) {
        let Some(Frame { container: Container::Map { map, key, .. }, .. }) = self.stack.last_mut()
        else {
            return;
        };
        if let Key::Name(name) = &name
            && map.contains_key(name)
            && self.duplicates.len() < DUPLICATES_MAX
        {
            self.duplicates.push(Duplicate { key: name.clone(), line });
        }
        *key = Some(name);
    }

    /// Remembers the value of an anchor; the copy counts like any other.
    fn keep(
        &mut self,
        anchor: usize,
        value: &Value,
        values: usize,
        line: u32,
    ) -> Result<(), Unreadable> {
        if anchor > 0 {
            self.spend(values, line)?;
            self.anchors.insert(anchor, (value.clone(), values));
        }
        Ok(())
    }

    fn spend(&mut self, values: usize, line: u32) -> Result<(), Unreadable> {
        if self.limits.spend(values) { Ok(()) } else { Err(self.fault(line, TOO_MANY, true)) }
    }

    fn fault(&self, line: u32, message: &str, too_large: bool) -> Unreadable {
        Unreadable { line, column: 0, message: message.to_owned(), too_large }
    }
}

fn scalar_value(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    match (style, core) {
        (_, Some("str" | "binary")) => Value::String(text.into_owned()),
        (ScalarStyle::Plain, _) | (_, Some("int" | "float" | "bool" | "null")) => {
            scalar::plain(&text)
        }
        _ => Value::String(text.into_owned()),
    }
}

/// Adds what a merge key brings; keys that the map has itself win, then the
/// first map of a list.
fn merge(map: &mut Map<String, Value>, other: Value) {
    match other {
        Value::Object(other) => {
            for (key, value) in other {
                map.entry(key).or_insert(value);
            }
        }
        Value::Array(list) => list.into_iter().for_each(|item| merge(map, item)),
        _ => {}
    }
}

/// Bytes of text that count as one value more: long texts are not free to copy.
const BYTES_PER_VALUE: usize = 256;

/// Duplicate keys told of one document at most.
const DUPLICATES_MAX: usize = 16;
