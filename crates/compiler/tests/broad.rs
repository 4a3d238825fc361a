//! Tables that cannot be indexed, and who is told so.

use std::sync::Arc;

use nuncio_api::{Change, Diagnostic, Object};
use nuncio_compiler::{Compiler, Settings};
use nuncio_testing::manifests;

/// Mappings of one prefix that differ in a header, and Mappings of a prefix
/// each.
fn mapping(number: usize, broad: bool) -> Arc<Object> {
    let condition = match broad {
        true => format!("prefix: /, headers: {{x-n: '{number}'}}"),
        false => format!("prefix: /service-{number}/"),
    };
    manifests::object(&format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: m{number}, namespace: default}}\nspec: {{hostname: '*', {condition}, service: s}}\n"
    ))
}

fn compiler(broad: impl Fn(usize) -> bool) -> Compiler {
    const LISTENER: &str = "apiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: http, namespace: default}\nspec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}\n";
    let mut compiler = Compiler::new(Settings::default());
    let objects = (0..100).map(|number| mapping(number, broad(number)));
    let changes = objects.chain([manifests::object(LISTENER)]).map(apply);
    compiler.apply(changes.collect());
    compiler
}

fn apply(object: Arc<Object>) -> Change {
    Change::Apply { object, findings: Vec::new() }
}

fn told(compiler: &Compiler) -> Vec<&Diagnostic> {
    let all = compiler.diagnostics().values().flatten();
    all.filter(|finding| finding.code == "broad-route").collect()
}

#[test]
fn mappings_that_keep_a_large_table_a_list_are_told() {
    let compiler = compiler(|number| number >= 40);
    let told = told(&compiler);
    assert_eq!(told.len(), 10, "the first ones are enough");
    for finding in told {
        let object = finding.object.as_ref().expect("it is about an object");
        let number: usize = object.name[1..].parse().expect("a number");
        assert!(number >= 40, "{finding}");
        assert_eq!(finding.field, "spec.prefix");
        assert!(finding.message.contains("100 routes of host *"), "{finding}");
    }
}

#[test]
fn an_indexed_table_is_no_news() {
    assert_eq!(told(&compiler(|number| number >= 90)), Vec::<&Diagnostic>::new());
    assert_eq!(told(&compiler(|_| false)), Vec::<&Diagnostic>::new());
}

#[test]
fn what_is_told_follows_edits() {
    let mut edited = compiler(|number| number >= 40);
    // One after the other becomes narrow, until a tree pays.
    for last in 40..100 {
        edited.apply(vec![apply(mapping(last, false))]);
        if last % 20 == 0 || last > 96 {
            let fresh = compiler(|number| number > last);
            assert_eq!(edited.diagnostics(), fresh.diagnostics(), "after {last}");
        }
    }
    assert_eq!(told(&edited), Vec::<&Diagnostic>::new());
}
