//! Paths into an object, such as `spec.headers["x-a"]`.

use std::fmt::Write;

use serde_json::Value;

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// Returns the steps of a decoder's path, as far as they lead into `value`.
pub(crate) fn steps(value: &Value, path: &serde_path_to_error::Path) -> Vec<Step> {
    use serde_path_to_error::Segment;

    let mut out = Vec::new();
    let mut here = value;
    for segment in path {
        let step = match segment {
            Segment::Seq { index } => Step::Index(*index),
            Segment::Map { key } => Step::Key(key.clone()),
            Segment::Enum { variant } => Step::Key(variant.clone()),
            Segment::Unknown => break,
        };
        let Some(next) = enter(here, &step) else { break };
        here = next;
        out.push(step);
    }
    out
}

/// Returns the value at a path.
pub(crate) fn at<'a>(value: &'a Value, steps: &[Step]) -> &'a Value {
    steps.iter().fold(value, |here, step| enter(here, step).unwrap_or(&Value::Null))
}

/// Returns the value at a path, to change.
pub(crate) fn at_mut<'a>(value: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    steps.iter().try_fold(value, |here, step| match step {
        Step::Key(key) => here.get_mut(key),
        Step::Index(index) => here.get_mut(index),
    })
}

/// Returns the text of a path that serde_ignored reports.
pub(crate) fn ignored(root: &str, path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;

    match path {
        Path::Root => root.to_owned(),
        Path::Seq { parent, index } => {
            let mut out = ignored(root, parent);
            push_index(&mut out, *index);
            out
        }
        Path::Map { parent, key } => {
            let mut out = ignored(root, parent);
            push_key(&mut out, key);
            out
        }
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => ignored(root, parent),
    }
}

/// Tells whether a field only keeps an older version's spelling for a way
/// back, such as `v2ExplicitTLS`.
pub(crate) fn is_bookkeeping(path: &serde_ignored::Path<'_>) -> bool {
    let serde_ignored::Path::Map { key, .. } = path else {
        return false;
    };
    ["v2", "v3"].iter().any(|prefix| {
        key.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    }) || key == "v3health_checks"
}

/// Returns the path of a field one step further.
pub(crate) fn child(path: &str, key: &str) -> String {
    let mut out = path.to_owned();
    push_key(&mut out, key);
    out
}

/// Appends a key: `.key`, or `["key"]` where it is not a plain word.
pub(crate) fn push_key(path: &mut String, key: &str) {
    let plain = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !key.as_bytes()[0].is_ascii_digit();
    if !plain {
        // Writing to a string cannot fail.
        let _ = write!(path, "[{key:?}]");
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// Appends a position in a list: `[0]`.
pub(crate) fn push_index(path: &mut String, index: usize) {
    // Writing to a string cannot fail.
    let _ = write!(path, "[{index}]");
}

fn enter<'a>(value: &'a Value, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    }
}
