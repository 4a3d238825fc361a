//! YAML text to a tree that keeps lines and how scalars were written.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::config::Fault;

/// Aliases may not expand to more nodes than this: a file of a few lines must
/// not become gigabytes.
const MAX_NODES: usize = 1_000_000;
const MAX_DEPTH: usize = 100;

/// One node and the line it starts on, from 1.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) line: usize,
    /// Nodes in this subtree, itself included.
    size: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// `plain` scalars may be numbers and the like, quoted ones are strings.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// What a scalar means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i128),
    Float,
    Text(&'a str),
}

impl Node {
    /// Returns the scalar's meaning, `None` for lists and maps.
    pub(super) fn scalar(&self) -> Option<Scalar<'_>> {
        let Value::Scalar { text, plain } = &self.value else { return None };
        Some(if *plain { resolve(text) } else { Scalar::Text(text) })
    }

    /// Describes the node for a message.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar { text, .. } => match self.scalar() {
                Some(Scalar::Text(_)) => format!("the string '{text}'"),
                Some(Scalar::Null) | None => "nothing".into(),
                _ => format!("'{text}'"),
            },
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }
}

/// Parses one document; `None` when there is none.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Fault> {
    let mut events =
        Events { parser: Parser::new_from_str(text), anchors: HashMap::new(), spent: 0 };
    let mut document = None;
    loop {
        let (event, span) = events.next()?;
        match event {
            Event::StreamEnd => return Ok(document),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            other => {
                let line = span.start.line();
                let node = events.node(other, &span, 0)?;
                let empty = node.scalar() == Some(Scalar::Null);
                match document {
                    None => document = Some(node),
                    Some(_) if empty => {}
                    Some(_) => {
                        let message = "only one document a file is read".into();
                        return Err(Fault::Syntax { line, column: 1, message });
                    }
                }
            }
        }
    }
}

struct Events<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    /// Nodes made so far, copies for anchors and aliases included.
    spent: usize,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::TooLarge("nested too deeply"));
        }
        let line = span.start.line();
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced = tag.is_some_and(|t| t.is_yaml_core_schema() && t.suffix == "str");
                let plain = style == ScalarStyle::Plain && !forced;
                (Value::Scalar { text: text.into_owned(), plain }, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(id) => {
                let message = "the alias refers to itself".into();
                let column = span.start.col() + 1;
                let fault = Fault::Syntax { line, column, message };
                let size = self.anchors.get(&id).ok_or(fault)?.size;
                self.spend(size)?;
                return Ok(self.anchors[&id].clone());
            }
            _ => (Value::Scalar { text: String::new(), plain: true }, 0),
        };
        let size = 1 + match &value {
            Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(|i| i.size).sum(),
            Value::Map(pairs) => pairs.iter().map(|(k, v)| k.size + v.size).sum::<usize>(),
        };
        self.spend(1)?;
        let node = Node { value, line, size };
        if anchor > 0 {
            self.spend(size)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn spend(&mut self, nodes: usize) -> Result<(), Fault> {
        self.spent += nodes;
        if self.spent > MAX_NODES {
            return Err(Fault::TooLarge("more than a million nodes"));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::List(items));
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut pairs = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(merged(pairs)));
            }
            let key = self.node(event, &span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            pairs.push((key, value));
        }
    }
}

/// Applies merge keys (`<<: *anchor`): merged pairs give way to own ones.
fn merged(pairs: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
    let is_merge =
        |key: &Node| matches!(&key.value, Value::Scalar { text, plain: true } if text == "<<");
    if !pairs.iter().any(|(key, _)| is_merge(key)) {
        return pairs;
    }
    let (merges, mut own): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| is_merge(key));
    let text = |node: &Node| match &node.value {
        Value::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    };
    for (key, value) in merges {
        let maps = match value.value {
            Value::Map(pairs) => vec![pairs],
            Value::List(ref items) if items.iter().all(|i| matches!(i.value, Value::Map(_))) => {
                items
                    .iter()
                    .filter_map(
                        |i| if let Value::Map(p) = &i.value { Some(p.clone()) } else { None },
                    )
                    .collect()
            }
            // Left as it stands, to be refused as an unknown key.
            _ => {
                own.push((key, value));
                continue;
            }
        };
        for (key, value) in maps.into_iter().flatten() {
            if !own.iter().any(|(k, _)| text(k) == text(&key)) {
                own.push((key, value));
            }
        }
    }
    own
}

fn syntax(error: &ScanError) -> Fault {
    Fault::Syntax {
        line: error.marker().line(),
        column: error.marker().col() + 1,
        message: error.info().to_owned(),
    }
}

/// Gives a plain scalar its meaning: YAML's core schema, with the words for
/// null and the booleans that YAML 1.1 parsers accept as well.
fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are out of every field's range anyway.
        return text.parse().map_or(Scalar::Float, Scalar::Int);
    }
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b))
        && digits.parse::<f64>().is_ok();
    let special = matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN");
    if numeric || special { Scalar::Float } else { Scalar::Text(text) }
}
