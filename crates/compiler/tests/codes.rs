//! Every code that a diagnostic can have is explained in `docs/errors.md`.
//!
//! Codes are read from the sources of everything that makes diagnostics, so
//! that a new one cannot be forgotten.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Where diagnostics are made, from the root of the workspace.
const SOURCES: [&str; 5] = [
    "crates/api/src",
    "crates/compiler/src",
    "crates/source/src",
    "services/control-plane/src",
    "services/nuncio/src",
];

/// How a code is written: first argument of what makes a finding, field of a
/// diagnostic, or a constant with the word code in its description.
const FORMS: [&str; 4] = [
    r#"\b(?:error|warning|notice)\(\s*"([a-z0-9-]+)","#,
    r#"\b(?:refuse|only)\(\s*&?\w+,(?:\s*\w+,)?\s*"([a-z0-9-]+)","#,
    r#"\bcode: "([a-z0-9-]+)""#,
    r#"/// Code[ :][^\n]*\n(?:pub(?:\(\w+\))? )?const [A-Z_]+: &str = "([a-z0-9-]+)""#,
];

#[test]
fn every_code_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let emitted = emitted(&root);
    let known = ["duplicate-tracing-service", "invalid-regex", "tls-conflict", "wrong-type"];
    for code in known.into_iter().chain(["duplicate-object", "unreadable", "last-good-kept"]) {
        assert!(emitted.contains(code), "`{code}` is not found in the sources any more");
    }
    let page = fs::read_to_string(root.join("docs/errors.md")).unwrap();
    let row = Regex::new(r"(?m)^\| `([a-z0-9-]+)` \| [^|]+ \| [^|]+ \| [^|]+ \|$").unwrap();
    let rows: Vec<&str> =
        row.captures_iter(&page).map(|row| row.get(1).unwrap().as_str()).collect();
    let explained: BTreeSet<&str> = rows.iter().copied().collect();
    let missing: Vec<_> =
        emitted.iter().filter(|code| !explained.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "docs/errors.md has no row for {missing:#?}");
    assert!(rows.is_sorted(), "the codes are sorted");
    assert_eq!(rows.len(), explained.len(), "each code has one row");
}

fn emitted(root: &Path) -> BTreeSet<String> {
    let forms = FORMS.map(|form| Regex::new(form).unwrap());
    let mut codes = BTreeSet::new();
    for folder in SOURCES {
        for path in rust_files(&root.join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for found in forms.iter().flat_map(|form| form.captures_iter(text)) {
                codes.insert(found[1].to_owned());
            }
        }
    }
    codes
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
