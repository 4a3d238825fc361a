//! Templates to text.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::time::Duration;

use super::lex::error;
use super::{Expr, Function, Part, Rendered, TemplateError, Value};

/// `doNotSet` ends the rendering from wherever it is called.
enum Stop {
    DoNotSet,
    Error(TemplateError),
}

pub(super) fn render(parts: &[Part], root: &Value) -> Result<Rendered, TemplateError> {
    let mut text = String::new();
    match write_parts(parts, root, &mut text) {
        Ok(()) => Ok(Rendered::Text(text)),
        Err(Stop::DoNotSet) => Ok(Rendered::DoNotSet),
        Err(Stop::Error(error)) => Err(error),
    }
}

fn write_parts(parts: &[Part], root: &Value, text: &mut String) -> Result<(), Stop> {
    for part in parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Print(expr) => print(&value(expr, root)?, text),
            Part::If(branches, otherwise) => {
                let mut chosen = otherwise;
                for (condition, parts) in branches {
                    if truth(&value(condition, root)?) {
                        chosen = parts;
                        break;
                    }
                }
                write_parts(chosen, root, text)?;
            }
        }
    }
    Ok(())
}

fn value(expr: &Expr, root: &Value) -> Result<Value, Stop> {
    match expr {
        Expr::Literal(value) => Ok(value.clone()),
        Expr::Field(names) => fields(root, names),
        Expr::Chain(inner, names) => fields(&value(inner, root)?, names),
        Expr::Call(function, arguments) => call(*function, arguments, root),
    }
}

fn fields(from: &Value, names: &[String]) -> Result<Value, Stop> {
    let mut found = from.clone();
    for name in names {
        found = match (&found, name.as_str()) {
            (Value::Map(map), name) => map.get(name).cloned().unwrap_or(Value::Nil),
            (Value::Duration(length), "Seconds") => Value::Float(length.as_secs_f64()),
            (Value::Duration(length), "Milliseconds") => {
                Value::Int(i64::try_from(length.as_millis()).unwrap_or(i64::MAX))
            }
            (Value::Duration(length), "String") => Value::Text(go_duration(*length)),
            _ => return Err(fault(&format!("there is no field `{name}` here"))),
        };
    }
    Ok(found)
}

fn call(function: Function, arguments: &[Expr], root: &Value) -> Result<Value, Stop> {
    if matches!(function, Function::And | Function::Or) {
        let wanted = function == Function::Or;
        let mut last = Value::Nil;
        for argument in arguments {
            last = value(argument, root)?;
            if truth(&last) == wanted {
                break;
            }
        }
        return Ok(last);
    }
    let values: Vec<Value> =
        arguments.iter().map(|argument| value(argument, root)).collect::<Result<_, _>>()?;
    apply(function, &values)
}

fn apply(function: Function, values: &[Value]) -> Result<Value, Stop> {
    let truth_of = |wanted: fn(Ordering) -> bool| {
        compare(&values[0], &values[1]).map(|order| Value::Bool(wanted(order)))
    };
    match function {
        Function::Not => Ok(Value::Bool(!truth(&values[0]))),
        Function::Eq => {
            let equal = values[1..].iter().any(|other| equal(&values[0], other));
            Ok(Value::Bool(equal))
        }
        Function::Ne => Ok(Value::Bool(!equal(&values[0], &values[1]))),
        Function::Lt => truth_of(Ordering::is_lt),
        Function::Le => truth_of(Ordering::is_le),
        Function::Gt => truth_of(Ordering::is_gt),
        Function::Ge => truth_of(Ordering::is_ge),
        Function::Len => match &values[0] {
            Value::Text(text) => Ok(int(text.len())),
            Value::List(items) => Ok(int(items.len())),
            Value::Map(map) => Ok(int(map.len())),
            _ => Err(fault("`len` needs text, a list or a map")),
        },
        Function::Index => values[1..].iter().try_fold(values[0].clone(), index),
        Function::HasKey => match (&values[0], &values[1]) {
            (Value::Map(map), Value::Text(name)) => Ok(Value::Bool(map.contains_key(&**name))),
            _ => Err(fault("`hasKey` needs a map and a name")),
        },
        Function::Json => Ok(Value::Text(json(&values[0]).to_string())),
        Function::Print => {
            let mut text = String::new();
            values.iter().for_each(|value| print(value, &mut text));
            Ok(Value::Text(text))
        }
        Function::DoNotSet => Err(Stop::DoNotSet),
        Function::And | Function::Or => Ok(Value::Nil),
    }
}

fn index(from: Value, by: &Value) -> Result<Value, Stop> {
    match (from, by) {
        (Value::List(items), Value::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| items.into_iter().nth(at))
            .ok_or_else(|| fault("the index is out of range")),
        (Value::Map(mut map), Value::Text(name)) => Ok(map.remove(&**name).unwrap_or(Value::Nil)),
        _ => Err(fault("`index` needs a list and a number, or a map and a name")),
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Nil => false,
        Value::Bool(value) => *value,
        Value::Int(value) => *value != 0,
        Value::Float(value) => *value != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::Duration(length) => !length.is_zero(),
        Value::List(items) => !items.is_empty(),
        Value::Map(map) => !map.is_empty(),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    compare(a, b).map_or_else(|_| a == b, Ordering::is_eq)
}

fn compare(a: &Value, b: &Value) -> Result<Ordering, Stop> {
    let number = |value: &Value| match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        // Go compares durations as nanoseconds.
        Value::Duration(length) => Some(length.as_nanos() as f64),
        _ => None,
    };
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        _ => number(a)
            .zip(number(b))
            .and_then(|(a, b)| a.partial_cmp(&b))
            .ok_or_else(|| fault("these values cannot be compared")),
    }
}

fn print(value: &Value, text: &mut String) {
    match value {
        Value::Nil => text.push_str("<no value>"),
        Value::Text(value) => text.push_str(value),
        Value::Duration(length) => text.push_str(&go_duration(*length)),
        // Writing to a String cannot fail.
        Value::Int(value) => drop(write!(text, "{value}")),
        Value::Float(value) => drop(write!(text, "{value}")),
        Value::Bool(value) => drop(write!(text, "{value}")),
        Value::List(_) | Value::Map(_) => drop(write!(text, "{}", json(value))),
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(text) => text.as_str().into(),
        // As Go encodes a time.Duration.
        Value::Duration(length) => u64::try_from(length.as_nanos()).unwrap_or(u64::MAX).into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(map) => serde_json::Value::Object(
            map.iter().map(|(name, value)| ((*name).to_owned(), json(value))).collect(),
        ),
    }
}

/// Prints whole milliseconds as Go's `Duration.String`: `1h2m3.5s`, `0s`.
fn go_duration(length: Duration) -> String {
    let (seconds, millis) = (length.as_secs(), length.subsec_millis());
    if seconds == 0 && millis > 0 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if hours > 0 || minutes > 0 {
        text.push_str(&format!("{minutes}m"));
    }
    let fraction = format!(".{millis:03}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    text.push_str(&format!("{}{fraction}s", seconds % 60));
    text
}

fn int(length: usize) -> Value {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

fn fault(message: &str) -> Stop {
    Stop::Error(error(message, 0))
}
