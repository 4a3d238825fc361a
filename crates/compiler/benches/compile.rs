//! Cost of compiling Mappings: parsed already, and from YAML text.

use std::sync::Arc;

use divan::Bencher;
use nuncio_api::{Change, Object};
use nuncio_compiler::{Compiler, Settings};
use nuncio_testing::manifests;

const LISTENER: &str = "apiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: http, namespace: default}\nspec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}\n";

fn main() {
    divan::main();
}

fn text(number: usize, timeout: u64) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: m{number}, namespace: default}}\nspec: {{hostname: '*', prefix: /service-{number}/, service: 'service-{number}.backend:8080', timeout_ms: {timeout}}}\n"
    )
}

fn mapping(number: usize, timeout: u64) -> Arc<Object> {
    let mut object = (*manifests::object(&text(number, timeout))).clone();
    object.origin = Default::default();
    Arc::new(object)
}

fn objects(count: usize) -> Vec<Change> {
    let listener = manifests::changes(LISTENER);
    let mappings = (0..count)
        .map(|number| Change::Apply { object: mapping(number, 3000), findings: Vec::new() });
    listener.into_iter().chain(mappings).collect()
}

/// Everything at once, as at a start.
#[divan::bench(args = [1_000, 10_000], sample_count = 10, sample_size = 1)]
fn cold(bencher: Bencher<'_, '_>, count: usize) {
    let changes = objects(count);
    bencher.with_inputs(|| (Compiler::new(Settings::default()), changes.clone())).bench_values(
        |(mut compiler, changes)| {
            let delta = compiler.apply(changes);
            (compiler, delta)
        },
    );
}

/// The same, from one file of YAML.
#[divan::bench(args = [1_000, 10_000], sample_count = 10, sample_size = 1)]
fn cold_from_yaml(bencher: Bencher<'_, '_>, count: usize) {
    let mappings = (0..count).map(|number| text(number, 3000));
    let file: String =
        std::iter::once(LISTENER.to_owned()).chain(mappings).collect::<Vec<_>>().join("---\n");
    bencher.with_inputs(|| Compiler::new(Settings::default())).bench_values(|mut compiler| {
        let changes = manifests::changes(&file);
        assert_eq!(changes.len(), count + 1);
        let delta = compiler.apply(changes);
        (compiler, delta)
    });
}

/// One Mapping among many gets another timeout.
#[divan::bench(args = [1_000, 10_000], sample_count = 50, sample_size = 1)]
fn one_change(bencher: Bencher<'_, '_>, count: usize) {
    let mut compiler = Compiler::new(Settings::default());
    compiler.apply(objects(count));
    let versions = [mapping(count / 2, 1000), mapping(count / 2, 2000)];
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 1;
        let object = versions[turn % 2].clone();
        compiler.apply(vec![Change::Apply { object, findings: Vec::new() }])
    });
}
