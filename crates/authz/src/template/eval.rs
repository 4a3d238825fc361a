//! A tree and data to text, within bounds.

use std::borrow::Cow;

use serde_json::Value;

use super::format::plain;
use super::functions::{Function, fail};
use super::item::lossy;
use super::parse::{Head, Node, Pipeline, Term};
use super::{Item, MAX_OUTPUT, MAX_STEPS, Rendered, TemplateError};

/// Why evaluation went no further.
enum Stop {
    Error(TemplateError),
    DoNotSet,
    Break,
    Continue,
}

impl From<TemplateError> for Stop {
    fn from(error: TemplateError) -> Self {
        Self::Error(error)
    }
}

pub(super) fn render(nodes: &[Node], data: &Item<'_>) -> Result<Rendered, TemplateError> {
    let mut run =
        Run { out: String::new(), steps: 0, variables: vec![(String::new(), data.clone())] };
    match run.nodes(nodes, data) {
        // The parser lets break and continue stand inside range only.
        Ok(()) | Err(Stop::Break | Stop::Continue) => Ok(Rendered::Text(run.out)),
        Err(Stop::DoNotSet) => Ok(Rendered::DoNotSet),
        Err(Stop::Error(error)) => Err(error),
    }
}

struct Run<'a> {
    out: String,
    steps: usize,
    /// Innermost last; `$` is the empty name.
    variables: Vec<(String, Item<'a>)>,
}

impl<'a> Run<'a> {
    fn step(&mut self) -> Result<(), TemplateError> {
        self.steps += 1;
        match self.steps > MAX_STEPS {
            true => Err(TemplateError::Bound { bound: MAX_STEPS, unit: "steps" }),
            false => Ok(()),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), TemplateError> {
        if self.out.len() + text.len() > MAX_OUTPUT {
            return Err(TemplateError::Bound { bound: MAX_OUTPUT, unit: "bytes of output" });
        }
        self.out.push_str(text);
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Item<'a>) -> Result<(), Stop> {
        for node in nodes {
            self.step()?;
            self.node(node, dot)?;
        }
        Ok(())
    }

    /// Runs a block whose variables end with it.
    fn scoped(&mut self, nodes: &[Node], dot: &Item<'a>) -> Result<(), Stop> {
        let mark = self.variables.len();
        let outcome = self.nodes(nodes, dot);
        self.variables.truncate(mark);
        outcome
    }

    fn node(&mut self, node: &Node, dot: &Item<'a>) -> Result<(), Stop> {
        match node {
            Node::Text(text) => Ok(self.write(text)?),
            Node::Action(pipeline) => {
                let item = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.write(&plain(&item))?;
                }
                Ok(())
            }
            Node::If { condition, then, otherwise } => {
                let mark = self.variables.len();
                let chosen =
                    if self.pipeline(condition, dot)?.is_true() { then } else { otherwise };
                let outcome = self.nodes(chosen, dot);
                self.variables.truncate(mark);
                outcome
            }
            Node::With { value, then, otherwise } => {
                let mark = self.variables.len();
                let item = self.pipeline(value, dot)?;
                let outcome = match item.is_true() {
                    true => self.nodes(then, &item),
                    false => self.nodes(otherwise, dot),
                };
                self.variables.truncate(mark);
                outcome
            }
            Node::Range { over, body, otherwise } => self.range(over, body, otherwise, dot),
            Node::Break => Err(Stop::Break),
            Node::Continue => Err(Stop::Continue),
        }
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Item<'a>,
    ) -> Result<(), Stop> {
        let commands_only = Pipeline { commands: over.commands.clone(), ..Pipeline::default() };
        let item = self.pipeline(&commands_only, dot)?;
        let entries = entries(&item)?;
        if entries.is_empty() {
            return self.scoped(otherwise, dot);
        }
        let mark = self.variables.len();
        for (key, value) in entries {
            self.step()?;
            match over.variables.as_slice() {
                [only] => self.variables.push((only.clone(), value.clone())),
                [first, second] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), value.clone()));
                }
                _ => {}
            }
            let outcome = self.nodes(body, &value);
            self.variables.truncate(mark);
            match outcome {
                Ok(()) | Err(Stop::Continue) => {}
                Err(Stop::Break) => break,
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Item<'a>) -> Result<Item<'a>, Stop> {
        let mut last = None;
        for command in &pipeline.commands {
            self.step()?;
            last = Some(self.command(command, last, dot)?);
        }
        let item = last.unwrap_or(Item::None);
        for name in &pipeline.variables {
            match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                Some((_, value)) if pipeline.assign => *value = item.clone(),
                _ => self.variables.push((name.clone(), item.clone())),
            }
        }
        Ok(item)
    }

    fn command(
        &mut self,
        command: &[Term],
        piped: Option<Item<'a>>,
        dot: &Item<'a>,
    ) -> Result<Item<'a>, Stop> {
        let (first, rest) = command.split_first().ok_or_else(|| fail("an empty command"))?;
        match &first.head {
            Head::Function(Function::DoNotSet) => Err(Stop::DoNotSet),
            Head::Function(logic @ (Function::And | Function::Or)) => {
                // Like Go, the rest is not evaluated once the answer is known.
                let mut item = Item::None;
                for term in rest {
                    item = self.term(term, dot)?;
                    if item.is_true() == (*logic == Function::Or) {
                        return Ok(item);
                    }
                }
                Ok(piped.unwrap_or(item))
            }
            Head::Function(function) => {
                let mut arguments = self.terms(rest, dot)?;
                arguments.extend(piped);
                Ok(function.call(&arguments)?)
            }
            _ if rest.is_empty() && piped.is_none() => self.term(first, dot),
            _ => {
                let mut arguments = self.terms(rest, dot)?;
                arguments.extend(piped);
                self.method(first, &arguments, dot)
            }
        }
    }

    fn terms(&mut self, terms: &[Term], dot: &Item<'a>) -> Result<Vec<Item<'a>>, Stop> {
        terms.iter().map(|term| self.term(term, dot)).collect()
    }

    fn term(&mut self, term: &Term, dot: &Item<'a>) -> Result<Item<'a>, Stop> {
        self.step()?;
        let head = self.head(term, dot)?;
        Ok(term.path.iter().try_fold(head, |item, name| field(&item, name))?)
    }

    fn head(&mut self, term: &Term, dot: &Item<'a>) -> Result<Item<'a>, Stop> {
        Ok(match &term.head {
            Head::Dot => dot.clone(),
            Head::Nil => Item::None,
            Head::Bool(value) => Item::Bool(*value),
            Head::Int(int) => Item::Int(*int),
            Head::Float(float) => Item::Float(*float),
            Head::Text(text) => Item::Text(Cow::Owned(text.clone())),
            Head::Variable(name) => self
                .variables
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map(|(_, item)| item.clone())
                .ok_or_else(|| fail(format!("undefined variable `${name}`")))?,
            Head::Group(pipeline) => self.pipeline(pipeline, dot)?,
            Head::Function(Function::DoNotSet) => return Err(Stop::DoNotSet),
            Head::Function(function) => function.call(&[])?,
        })
    }

    /// Calls the last name of a path, the only methods being those of headers.
    fn method(
        &mut self,
        term: &Term,
        arguments: &[Item<'a>],
        dot: &Item<'a>,
    ) -> Result<Item<'a>, Stop> {
        let Some((name, path)) = term.path.split_last() else {
            return Err(fail("arguments given to something that is not a function").into());
        };
        let head = self.head(term, dot)?;
        let receiver = path.iter().try_fold(head, |item, name| field(&item, name))?;
        match (&receiver, name.as_str(), arguments) {
            (Item::Headers(headers), "Get", [Item::Text(header)]) => {
                let value = headers.get(header.as_ref()).map(|value| lossy(value.as_bytes()));
                Ok(Item::Text(Cow::Owned(value.unwrap_or_default())))
            }
            (Item::Headers(headers), "Values", [Item::Text(header)]) => {
                let values = headers.get_all(header.as_ref()).iter();
                let values: Vec<_> = values.map(|value| lossy(value.as_bytes())).collect();
                Ok(Item::Texts(values.into()))
            }
            _ => Err(fail(format!("{name} is not a method of {}", receiver.type_name())).into()),
        }
    }
}

fn field<'a>(item: &Item<'a>, name: &str) -> Result<Item<'a>, TemplateError> {
    item.field(name).ok_or_else(|| match item {
        Item::None => fail(format!("nil pointer evaluating .{name}")),
        _ => fail(format!("can't evaluate field {name} in type {}", item.type_name())),
    })
}

/// Returns what `range` walks over: lists in order, maps by key.
fn entries<'a>(item: &Item<'a>) -> Result<Vec<(Item<'a>, Item<'a>)>, TemplateError> {
    let position = |at: usize| Item::Int(i64::try_from(at).unwrap_or(i64::MAX));
    Ok(match item {
        Item::None => Vec::new(),
        Item::Json(Value::Array(list)) => {
            list.iter().enumerate().map(|(at, value)| (position(at), Item::json(value))).collect()
        }
        Item::Json(Value::Object(map)) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            entries
                .into_iter()
                .map(|(key, value)| (Item::Text(Cow::Borrowed(key.as_str())), Item::json(value)))
                .collect()
        }
        Item::Texts(list) => list
            .iter()
            .enumerate()
            .map(|(at, text)| (position(at), Item::Text(Cow::Owned(text.clone()))))
            .collect(),
        Item::Headers(headers) => {
            let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
            names.sort_unstable();
            names
                .into_iter()
                .map(|name| {
                    let values = headers.get_all(name).iter().map(|v| lossy(v.as_bytes()));
                    let values: Vec<_> = values.collect();
                    (Item::Text(Cow::Owned(name.to_owned())), Item::Texts(values.into()))
                })
                .collect()
        }
        Item::Int(count) => {
            let count = usize::try_from(*count).unwrap_or(0).min(MAX_STEPS);
            (0..count).map(|at| (position(at), position(at))).collect()
        }
        other => return Err(fail(format!("range can't iterate over {}", other.type_name()))),
    })
}
