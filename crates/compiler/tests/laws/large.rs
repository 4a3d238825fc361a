//! Laws of tables that are large enough for a tree, and of many tables.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use nuncio_api::{Change, Object, ObjectKey};
use nuncio_compiler::{Compiler, Settings, TypeUrl};
use nuncio_testing::manifests;
use proptest::prelude::*;
use prost::Message as _;

use super::script::{apply, settings};
use super::{same, snapshot};

const HEAD: &str = "apiVersion: getambassador.io/v3alpha1\n";
const LISTENER: &str = "kind: Listener\nmetadata: {name: http, namespace: default}\nspec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}\n";

/// What becomes of a Mapping. `kind` changes its condition on the path; those
/// with a regex or a short prefix stand in many lists of a tree.
type Edit = (usize, usize, u64, bool);

fn mapping(number: usize, kind: usize, timeout: u64, host: &str) -> Arc<Object> {
    let team = number % 5;
    let path = match kind {
        0 => format!("prefix: /team-{team}/service-{number}/"),
        1 => format!("prefix: /team-{team}/service-{number}, prefix_exact: true"),
        2 => format!("prefix: '/.*/{number}', prefix_regex: true"),
        3 => format!("prefix: /TEAM-{team}/{number}/, case_sensitive: false"),
        _ => format!("prefix: /team-{team}/"),
    };
    manifests::object(&format!(
        "{HEAD}kind: Mapping\nmetadata: {{name: m{number}, namespace: default}}\nspec: {{hostname: '{host}', {path}, service: s{number}, timeout_ms: {timeout}}}\n"
    ))
}

fn host(number: usize) -> Arc<Object> {
    manifests::object(&format!(
        "{HEAD}kind: Host\nmetadata: {{name: h{number}, namespace: default}}\nspec: {{hostname: h{number}.com, requestPolicy: {{insecure: {{action: Route}}}}}}\n"
    ))
}

/// A world that is edited step by step beside a compiler.
struct Steps {
    compiler: Compiler,
    present: BTreeMap<ObjectKey, Arc<Object>>,
}

impl Steps {
    fn new(objects: impl Iterator<Item = Arc<Object>>) -> Self {
        let listener = manifests::object(&format!("{HEAD}{LISTENER}"));
        let present: BTreeMap<_, _> =
            std::iter::once(listener).chain(objects).map(|object| (object.key(), object)).collect();
        let mut steps = Self { compiler: Compiler::new(settings()), present };
        steps.compiler = steps.full();
        steps
    }

    fn full(&self) -> Compiler {
        let mut compiler = Compiler::new(settings());
        compiler.apply(self.present.values().map(apply).collect());
        compiler
    }

    fn step(&mut self, object: &Arc<Object>, delete: bool) {
        let change = if delete {
            self.present.remove(&object.key());
            Change::Delete(object.key())
        } else {
            self.present.insert(object.key(), object.clone());
            apply(object)
        };
        self.compiler.apply(vec![change]);
    }
}

fn edits(mappings: usize) -> impl Strategy<Value = Vec<Edit>> {
    let edit = (0..mappings, 0..5_usize, 0..3_u64, prop::bool::weighted(0.4));
    prop::collection::vec(edit, 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 4,
        failure_persistence: None,
        ..Default::default()
    })]

    /// Single edits of a table that is large enough for a tree.
    #[test]
    fn a_large_table_follows_edits(edits in edits(100)) {
        let start = (0..100).map(|number| mapping(number, usize::from(number < 3) * 2, 0, "*"));
        let mut steps = Steps::new(start);
        for (number, kind, timeout, delete) in edits {
            // Most edits leave the conditions alone.
            let kind = if number % 4 == 0 { kind } else { 0 };
            steps.step(&mapping(number, kind, timeout, "*"), delete && number % 4 == 1);
        }
        prop_assert!(snapshot(&steps.compiler) == snapshot(&steps.full()));
    }

    /// Of many Hosts each follows the edits of its own Mappings; Hosts come and
    /// go.
    #[test]
    fn many_tables_follow_edits(
        edits in prop::collection::vec((0..60_usize, 0..50_usize, 0..3_u64, any::<bool>()), 1..30),
    ) {
        let name = |number: usize| match number % 52 {
            50 => "*".to_owned(),
            51 => "*.com".to_owned(),
            host => format!("h{host}.com"),
        };
        let mappings = (0..120).map(|number| mapping(number, 0, 0, &name(number)));
        let mut steps = Steps::new((0..48).map(host).chain(mappings));
        for (number, of, timeout, delete) in edits {
            if number < 10 {
                steps.step(&host(of), delete);
            } else {
                steps.step(&mapping(of * 2 + number % 2, 0, timeout, &name(of)), delete);
            }
        }
        same(&steps.compiler, &steps.full())?;
    }
}

/// Whether the only virtual host has a tree.
fn has_tree(compiler: &Compiler) -> bool {
    let mut tables =
        compiler.resources().filter(|r| r.name.type_url == TypeUrl::RouteConfiguration);
    let bytes = tables.next().expect("one listener").bytes.to_bytes();
    let table = RouteConfiguration::decode(bytes).expect("what was encoded decodes");
    table.virtual_hosts[0].matcher.is_some()
}

/// A table gets its tree and loses it, by number and by breadth, and is the same
/// whichever way it came there.
#[test]
fn a_table_crosses_the_threshold_in_both_directions() {
    let (gained, lost) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() };
    let edits = prop::collection::vec((0..12_usize, 24..36_usize, any::<bool>()), 1..30);
    proptest!(config, |(count in 26..34_usize, edits in edits)| {
        let mut steps = Steps::new((0..count).map(|number| mapping(number, 0, 0, "*")));
        let mut before = has_tree(&steps.compiler);
        for (kind, number, delete) in edits {
            match kind {
                // One of a few regexes that can hold for most paths.
                0 => steps.step(&mapping(1000 + number, 2, 0, "*"), delete),
                1 => (0..40).for_each(|n| steps.step(&mapping(1000 + n, 2, 0, "*"), delete)),
                _ => steps.step(&mapping(number, 0, 0, "*"), delete),
            }
            let now = has_tree(&steps.compiler);
            gained.set(gained.get() + u32::from(now && !before));
            lost.set(lost.get() + u32::from(before && !now));
            before = now;
            same(&steps.compiler, &steps.full())?;
        }
    });
    assert!(gained.get() > 5 && lost.get() > 5, "{} and {}", gained.get(), lost.get());
}

/// On how many threads a large batch is compiled does not show.
#[test]
fn threads_do_not_show_in_the_result() {
    let several = |threads: usize| {
        let threads = NonZeroUsize::new(threads).expect("one at least");
        let mut compiler = Compiler::new(Settings { threads, ..settings() });
        let listener = manifests::object(&format!("{HEAD}{LISTENER}"));
        // Some with findings, some of them in one group.
        let mappings = (0..1500).map(|n| mapping(n % 1400, n % 5, (n as u64) / 1400, "*"));
        let delta = compiler.apply(
            std::iter::once(listener).chain(mappings).map(|object| apply(&object)).collect(),
        );
        (delta, compiler)
    };
    let (one, many) = (several(1), several(3));
    assert_eq!(one.0, many.0);
    same(&one.1, &many.1).expect("they are the same");
}
