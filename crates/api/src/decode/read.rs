//! One value into one type, with all its faults instead of the first.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fault::{self, Fault};
use crate::path::{self, Step};

/// What was read.
pub(super) struct Read<T> {
    /// The value without the parts that are wrong; `None` when nothing usable
    /// is left or there are too many faults.
    pub(super) value: Option<T>,
    /// What is wrong or unknown.
    pub(super) faults: Vec<Fault>,
}

/// Reads `value` as a `T`; `root` is its path from the object's root.
///
/// On a fault the faulty part is taken out and the rest read again: that finds
/// further faults, and gives Modules what remains.
pub(super) fn read<T: DeserializeOwned>(mut value: Value, root: &str, strict: bool) -> Read<T> {
    let mut faults = Vec::new();
    if let Ok(parsed) = attempt(&value, root, strict, &mut faults) {
        return Read { value: Some(parsed), faults };
    }
    // Kubernetes takes null for absent; so do most types already.
    strip_nulls(&mut value, 0);
    let mut removed = Removed::default();
    let mut wrong = Vec::new();
    for _ in 0..FAULTS_MAX {
        faults.clear();
        if let Ok(parsed) = attempt(&value, root, strict, &mut faults) {
            wrong.append(&mut faults);
            return Read { value: Some(parsed), faults: wrong };
        }
        let Err(error) = serde_path_to_error::deserialize::<_, T>(&value) else {
            break;
        };
        let steps = path::steps(&value, error.path());
        let shown = removed.original(root, &steps);
        wrong.push(fault::wrong(&shown, path::at(&value, &steps), &error.into_inner().to_string()));
        if !removed.take(&mut value, &steps) {
            return Read { value: None, faults: wrong };
        }
    }
    Read { value: None, faults: wrong }
}

fn attempt<T: DeserializeOwned>(
    value: &Value,
    root: &str,
    strict: bool,
    faults: &mut Vec<Fault>,
) -> Result<T, serde_json::Error> {
    if !strict {
        return T::deserialize(value);
    }
    serde_ignored::deserialize(value, |ignored| {
        if faults.len() < FAULTS_MAX && !path::is_bookkeeping(&ignored) {
            faults.push(fault::unknown_field(&path::ignored(root, &ignored)));
        }
    })
}

/// What was taken out of a value, so that positions in lists can be told as
/// they were before.
#[derive(Default)]
struct Removed(Vec<(Vec<Step>, usize)>);

impl Removed {
    /// Takes the part at `steps` out; `false` when that is everything.
    fn take(&mut self, value: &mut Value, steps: &[Step]) -> bool {
        let Some((last, parents)) = steps.split_last() else {
            return false;
        };
        match (path::at_mut(value, parents), last) {
            (Some(Value::Object(map)), Step::Key(key)) => map.remove(key).is_some(),
            (Some(Value::Array(list)), Step::Index(index)) if *index < list.len() => {
                list.remove(*index);
                self.0.push((parents.to_vec(), *index));
                true
            }
            _ => false,
        }
    }

    /// Returns the path as it was in the text.
    fn original(&self, root: &str, steps: &[Step]) -> String {
        let mut shown = root.to_owned();
        for (depth, step) in steps.iter().enumerate() {
            match step {
                Step::Key(key) => path::push_key(&mut shown, key),
                Step::Index(index) => {
                    // Later removals were counted without the earlier ones.
                    let index = self.0.iter().rev().fold(*index, |index, (parents, gone)| {
                        if parents[..] == steps[..depth] && *gone <= index {
                            index + 1
                        } else {
                            index
                        }
                    });
                    path::push_index(&mut shown, index);
                }
            }
        }
        shown
    }
}

fn strip_nulls(value: &mut Value, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(map) => {
            map.retain(|_, item| !item.is_null());
            map.values_mut().for_each(|item| strip_nulls(item, depth + 1));
        }
        Value::Array(list) => list.iter_mut().for_each(|item| strip_nulls(item, depth + 1)),
        _ => {}
    }
}

/// Faults told of one object at most: enough for a person, and each costs one
/// more reading of the object.
const FAULTS_MAX: usize = 32;

/// Nesting that is looked into; serde_json's own limit on text is 128.
const DEPTH_MAX: usize = 128;
