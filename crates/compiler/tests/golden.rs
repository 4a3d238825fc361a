//! Input, resources out, report: one idea a case.
//!
//! `tests/golden/<field>/<case>/{in.yaml,out.yaml,report.txt}`. Where the
//! variable `NUNCIO_GOLDEN=write` is set, the outputs are written anew; read
//! the difference before keeping it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nuncio_compiler::{Address, Compiler, Settings, TypeUrl, render};
use nuncio_testing::manifests;

fn settings() -> Settings {
    Settings {
        resolve_defined_services: true,
        auth: Some(Address::new("127.0.0.1", 8500)),
        rate_limit: Some(Address::new("127.0.0.1", 8081)),
        challenges: Some(Address::new("127.0.0.1", 8402)),
        ..Default::default()
    }
}

/// Returns the folders that hold an input, sorted.
fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).expect("the folder of cases is readable");
    for entry in entries {
        let path = entry.expect("an entry is readable").path();
        if path.join("in.yaml").is_file() {
            found.push(path);
        } else if path.is_dir() {
            found.extend(cases(&path));
        }
    }
    found.sort();
    found
}

/// Compiles an input; listeners are left out unless the case is about them.
fn outputs(text: &str, listeners: bool) -> (String, String) {
    let mut compiler = Compiler::new(settings());
    let changes = manifests::changes(text);
    let delta = compiler.apply(changes);
    let mut out = String::new();
    for resource in compiler.resources() {
        if resource.name.type_url == TypeUrl::Listener && !listeners {
            continue;
        }
        let yaml = render::yaml([&**resource]).expect("what the compiler emits can be shown");
        out.push_str(&yaml);
    }
    let mut report = String::new();
    for diagnostic in delta.report.iter().flat_map(|(_, findings)| findings) {
        writeln!(report, "[{}] {diagnostic}", diagnostic.code).expect("a String grows");
    }
    (out, report)
}

#[test]
fn every_case_gives_what_stands_beside_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let write = std::env::var_os("NUNCIO_GOLDEN").is_some_and(|mode| mode == "write");
    let cases = cases(&root);
    assert!(!cases.is_empty(), "there are cases");
    let mut wrong = Vec::new();
    for case in cases {
        let text = std::fs::read_to_string(case.join("in.yaml")).expect("the input is readable");
        let listeners = case.to_string_lossy().contains("golden/listener");
        let (out, report) = outputs(&text, listeners);
        for (name, actual) in [("out.yaml", out), ("report.txt", report)] {
            let path = case.join(name);
            if write {
                std::fs::write(&path, &actual).expect("the output is writable");
            }
            let expected = std::fs::read_to_string(&path).unwrap_or_default();
            if expected != actual {
                wrong.push(format!("{}:\n{actual}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "differs:\n{}", wrong.join("\n"));
}
