//! The table of `README.md` that says which test proves what Emissary's own
//! suite proves: it must name tests, cases and differences that exist.

use std::fs;
use std::path::Path;

use nuncio_integration_tests::workspace;

/// A reference of the table.
#[derive(Debug, PartialEq, Eq)]
enum Proof<'a> {
    /// `module::test` of this binary.
    EndToEnd(&'a str, &'a str),
    /// `Kind.field/idea`, a case of the compiler, or `Kind.field/*`, all of them.
    Golden(&'a str),
    /// `path/of/file.rs::test`.
    Elsewhere(&'a str, &'a str),
    /// `differs: subject`, a row of `docs/differences.md`, without backticks.
    Difference(&'a str),
}

impl<'a> Proof<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(subject) = text.strip_prefix("differs: ") {
            return Some(Self::Difference(subject));
        }
        match text.split_once("::") {
            Some((file, test)) if file.ends_with(".rs") => Some(Self::Elsewhere(file, test)),
            Some((module, test)) => Some(Self::EndToEnd(module, test)),
            None => {
                let (field, idea) = text.split_once('/')?;
                (field.contains('.') && !idea.is_empty()).then_some(Self::Golden(text))
            }
        }
    }

    fn exists(&self) -> bool {
        let root = workspace();
        match self {
            Self::EndToEnd(module, test) => {
                let file = format!("integration-tests/tests/all/{module}.rs");
                has_test(&root.join(file), test)
            }
            Self::Elsewhere(file, test) => has_test(&root.join(file), test),
            Self::Golden(case) => {
                let cases = root.join("crates/compiler/tests/golden");
                match case.strip_suffix("/*") {
                    Some(field) => cases.join(field).is_dir(),
                    None => cases.join(case).join("in.yaml").is_file(),
                }
            }
            Self::Difference(subject) => {
                let text = fs::read_to_string(root.join("docs/differences.md")).unwrap();
                let plain = text.replace('`', "");
                plain.lines().any(|line| line.starts_with(&format!("| {subject} |")))
            }
        }
    }
}

fn has_test(file: &Path, name: &str) -> bool {
    let head = format!("fn {name}(");
    fs::read_to_string(file).is_ok_and(|text| text.contains(&head))
}

/// Returns the rows of the table: what is named first, and the last cell.
fn rows(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| {
            let mut cells = line.trim_matches('|').split(" | ");
            Some((cells.next()?.trim(), cells.last()?.trim()))
        })
        .collect()
}

#[test]
fn every_proof_that_the_table_names_exists() {
    let text = fs::read_to_string(workspace().join("integration-tests/README.md")).unwrap();
    let rows = rows(&text);
    assert!(rows.len() > 80, "only {} rows were found", rows.len());
    let mut missing = Vec::new();
    for (what, proofs) in rows {
        let named: Vec<&str> = proofs.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            missing.push(format!("{what}: nothing is named"));
        }
        for text in named {
            if !Proof::parse(text).is_some_and(|proof| proof.exists()) {
                missing.push(format!("{what}: {text}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn references_are_told_apart() {
    let all = [
        ("cors::a_test", Proof::EndToEnd("cors", "a_test")),
        ("crates/x/src/y.rs::a_test", Proof::Elsewhere("crates/x/src/y.rs", "a_test")),
        ("Mapping.cors/all_fields", Proof::Golden("Mapping.cors/all_fields")),
        ("differs: Ingress paths", Proof::Difference("Ingress paths")),
    ];
    for (text, proof) in all {
        assert_eq!(Proof::parse(text).unwrap(), proof);
    }
    assert_eq!(Proof::parse("anything"), None);
    assert!(!Proof::EndToEnd("inventory", "no_such_test").exists());
    assert!(Proof::EndToEnd("inventory", "references_are_told_apart").exists());
}
