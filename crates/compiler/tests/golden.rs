//! One case an idea: what objects become, as people read it.
//!
//! A case is a folder `tests/golden/<kind>.<field>/<idea>/`:
//! - `in.yaml`: the objects. Its first lines say what of the result is the
//!   point: `# show: <message> [<path>]`, where the path goes from the message
//!   to the wanted part; `*` stands for every element, and a last `a,b` for
//!   several fields. `# show: nothing` is for cases that only report.
//! - `out.yaml`: these parts, with Envoy's field names.
//! - `report.txt`: the diagnostics, when there are any.
//! - others: files that the objects name, found by the last part of the name.
//!
//! A case without a Listener gets a cleartext one on port 8080. Routes and
//! cluster of the gateway itself (`/ambassador/v0/`) are left out unless a first line says
//! `# with: own routes`. `# with: defined services` finds Services as a folder
//! does: by the endpoints that it defines.
//! `# with: variable NAME=value` is a variable that objects may name.
//!
//! `UPDATE_GOLDEN=1` rewrites the outputs; read what it wrote before trusting.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;

use cases::Case;
use nuncio_compiler::render;
use serde_json::Value;

#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "support/cases.rs"]
mod cases;

/// Cluster of the gateway's own routes.
const OWN_CLUSTER: &str = "cluster_127_0_0_1_8877_default";

#[test]
fn every_case_gives_what_its_files_say() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut failures = String::new();
    let cases = cases::all();
    assert!(!cases.is_empty(), "no case was found");
    for case in &cases {
        let result = case.compile();
        for (file, text) in [("out.yaml", shown(case, &result)), ("report.txt", result.report)] {
            let path = case.folder.join(file);
            let expected = fs::read_to_string(&path).unwrap_or_default();
            if expected == text {
                continue;
            }
            if update && text.is_empty() {
                fs::remove_file(&path).unwrap();
            } else if update {
                fs::write(&path, text).unwrap();
            } else {
                let name = case.name();
                write!(failures, "{name}/{file}:\n{}", difference(&expected, &text)).unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "UPDATE_GOLDEN=1 rewrites the files of\n{failures}");
}

/// Returns the lines that only one of two texts has, in place.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let start = expected.iter().zip(&found).take_while(same).count();
    let rest = (&expected[start..], &found[start..]);
    let end = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(same).count();
    let line = |sign: char, text: &&str| format!("  {sign} {text}\n");
    let old = expected[start..expected.len() - end].iter().map(|text| line('-', text));
    old.chain(found[start..found.len() - end].iter().map(|text| line('+', text))).collect()
}

/// Returns the parts of the resources that a case is about.
fn shown(case: &Case, result: &cases::Compiled) -> String {
    let mut text = String::new();
    for show in &case.shows {
        for resource in &result.resources {
            let title = resource.name.to_string();
            if title.split(' ').next() != Some(&*show.message) {
                continue;
            }
            if !case.own_routes && &*resource.name.name == OWN_CLUSTER {
                continue;
            }
            let mut value = render::json(resource).unwrap();
            if !case.own_routes {
                drop_own_routes(&mut value);
            }
            let Some(part) = part(value, &show.path) else { continue };
            let path = show.path.join("/");
            writeln!(text, "---\n# {title}{}{path}", if path.is_empty() { "" } else { ": " })
                .unwrap();
            let yaml = serde_saphyr::to_string(&part).unwrap();
            text.push_str(yaml.trim_start_matches("---\n").trim_end());
            text.push('\n');
        }
    }
    text
}

fn drop_own_routes(value: &mut Value) {
    let own = |route: &Value| {
        route["match"]["prefix"].as_str().is_some_and(|text| text.starts_with("/ambassador/v0/"))
    };
    for host in value.get_mut("virtual_hosts").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(routes) = host.get_mut("routes").and_then(Value::as_array_mut) {
            routes.retain(|route| !own(route));
        }
    }
}

/// Follows a path. What stands behind a `*` comes as a list; nothing comes of
/// a path that leads nowhere.
fn part(value: Value, path: &[String]) -> Option<Value> {
    let Some((step, rest)) = path.split_first() else { return Some(value) };
    match (step.as_str(), value) {
        ("*", Value::Array(list)) => {
            let mut found = Vec::new();
            for part in list.into_iter().filter_map(|element| part(element, rest)) {
                match part {
                    // Lists of lists only say how deep the path was.
                    Value::Array(inner) if rest.contains(&"*".to_owned()) => found.extend(inner),
                    other => found.push(other),
                }
            }
            (!found.is_empty()).then_some(Value::Array(found))
        }
        (fields, Value::Object(mut object)) if fields.contains(',') => {
            object.retain(|key, _| fields.split(',').any(|field| field == key));
            (!object.is_empty()).then_some(Value::Object(object))
        }
        (field, Value::Object(mut object)) => part(object.remove(field)?, rest),
        _ => None,
    }
}
