//! Which line a field stands on, found again only when somebody asks.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, StrInput};

use crate::path::child;

/// Returns the line of each field of the `nth` document in a text that parsed
/// before. Keys are paths such as `spec.headers["x-a"]`.
pub(super) fn table(text: &str, first_line: u32, nth: usize) -> BTreeMap<String, u32> {
    let mut table = Table { lines: BTreeMap::new(), budget: BYTES_MAX };
    let mut stack: Vec<Place> = Vec::new();
    let mut document = 0;
    for event in Parser::new(StrInput::new(text)) {
        let Ok((event, span)) = event else { break };
        if let Event::DocumentEnd = event {
            document += 1;
        }
        if document > nth {
            break;
        }
        if document < nth {
            continue;
        }
        let line = line_of(span.start.line(), first_line);
        match event {
            Event::Scalar(text, ..) if name(&mut stack, &text, line, &mut table) => {}
            Event::Scalar(..) | Event::Alias(_) => {
                enter(&mut stack, line, &mut table);
            }
            Event::SequenceStart(..) => {
                let path = enter(&mut stack, line, &mut table);
                stack.push(Place::List { path, next: 0 });
            }
            Event::MappingStart(..) => {
                let path = enter(&mut stack, line, &mut table);
                stack.push(Place::Map { path, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                stack.pop();
            }
            _ => {}
        }
    }
    table.lines
}

/// Turns a line within a piece into one of the file.
pub(super) fn line_of(line: usize, first_line: u32) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX).saturating_sub(1).saturating_add(first_line)
}

/// Returns the path of `field` below `path`.
pub(super) fn join(path: &str, field: &str) -> String {
    match (path.is_empty(), field.is_empty()) {
        (true, _) => field.to_owned(),
        (_, true) => path.to_owned(),
        _ if field.starts_with('[') => format!("{path}{field}"),
        _ => format!("{path}.{field}"),
    }
}

/// The lines so far. Paths repeat the keys around them, so text made for it
/// could make them many times its own size: they have a budget.
struct Table {
    lines: BTreeMap<String, u32>,
    budget: usize,
}

impl Table {
    fn insert(&mut self, path: &str, line: u32) {
        if let Some(rest) = self.budget.checked_sub(path.len()) {
            self.budget = rest;
            self.lines.insert(path.to_owned(), line);
        }
    }
}

enum Place {
    List { path: String, next: usize },
    Map { path: String, key: Option<String> },
}

/// Takes a scalar as a key; `false` when a value is due.
fn name(stack: &mut [Place], text: &str, line: u32, table: &mut Table) -> bool {
    let Some(Place::Map { path, key: key @ None }) = stack.last_mut() else {
        return false;
    };
    let full = if path.len() + text.len() <= PATH_MAX { child(path, text) } else { path.clone() };
    table.insert(&full, line);
    *key = Some(full);
    true
}

/// Returns the path of the value that begins here.
fn enter(stack: &mut [Place], line: u32, table: &mut Table) -> String {
    match stack.last_mut() {
        None => String::new(),
        Some(Place::List { path, next }) => {
            let full = format!("{path}[{next}]");
            *next += 1;
            table.insert(&full, line);
            full
        }
        Some(Place::Map { key, .. }) => key.take().unwrap_or_default(),
    }
}

/// Bytes of a path at most; fields further down share the line of one above.
const PATH_MAX: usize = 1024;

/// Bytes of all paths of one document at most.
const BYTES_MAX: usize = 32 << 20;
