//! Laws of the compiler, on random edits of every kind it reads.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuncio_api::{Change, Kind, Object};
use nuncio_compiler::{Compiler, Resource, ResourceName, Rope, TypeUrl};
use nuncio_testing::manifests;
use proptest::prelude::*;

#[path = "laws/large.rs"]
mod large;
#[path = "laws/objects.rs"]
mod objects;
#[path = "laws/script.rs"]
mod script;

use script::{apply, at_line, play, script, script_of, settings};

type Snapshot = BTreeMap<ResourceName, Arc<Resource>>;

fn snapshot(compiler: &Compiler) -> Snapshot {
    compiler.resources().map(|resource| (resource.name.clone(), resource.clone())).collect()
}

/// Two compilers hold the same resources, and say the same.
fn same(a: &Compiler, b: &Compiler) -> Result<(), TestCaseError> {
    let (held, other) = (snapshot(a), snapshot(b));
    prop_assert_eq!(held.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, resource) in &held {
        prop_assert!(resource == &other[name], "{} differs", name);
    }
    prop_assert_eq!(a.diagnostics(), b.diagnostics());
    for name in held.keys() {
        prop_assert_eq!(a.sources(name), b.sources(name));
    }
    Ok(())
}

/// The same change, its object found further down.
fn moved(change: &Change) -> Change {
    match change {
        Change::Apply { object, .. } => apply(&at_line(object.origin.line + 7, object)),
        other => other.clone(),
    }
}

fn apply_all(objects: impl Iterator<Item = Arc<Object>>) -> Compiler {
    let mut compiler = Compiler::new(settings());
    compiler.apply(objects.map(|object| apply(&object)).collect());
    compiler
}

/// Applying changes one by one equals compiling what is left at the end, over
/// ten thousand steps and more, of every kind. To search further, set
/// `PROPTEST_CASES`.
#[test]
fn incremental_equals_full() {
    let (steps, kinds) = (Cell::new(0), RefCell::new(BTreeSet::new()));
    let default = ProptestConfig::default();
    let cases = default.cases.max(256);
    let config = ProptestConfig { cases, failure_persistence: None, ..default };
    proptest!(config, |(script in script_of(40..60))| {
        let played = play(&script);
        steps.set(steps.get() + played.changes.len());
        kinds.borrow_mut().extend(played.changes.iter().filter_map(|change| Some(change.key()?.kind)));
        same(&played.compiler, &played.full())?;
    });
    assert!(steps.get() >= 10_000, "{} steps", steps.get());
    let every: BTreeSet<Kind> = Kind::ALL.into_iter().collect();
    assert_eq!(kinds.into_inner(), every);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 4,
        failure_persistence: None,
        ..Default::default()
    })]

    /// The order in which objects arrive does not show in the result.
    #[test]
    fn order_of_events_does_not_matter(script in script(), seed in any::<u64>()) {
        let played = play(&script);
        let mut shuffled: Vec<_> = played.world.iter().collect();
        shuffled.sort_by_key(|(key, _)| {
            let text = format!("{seed}{key}");
            text.bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()))
        });
        let mut other = played.fresh();
        let shuffled = shuffled.into_iter().flat_map(|(_, changes)| changes).cloned();
        other.apply(shuffled.chain(played.refused()).collect());
        same(&other, &played.full())?;
    }

    /// The deltas of batches, laid over each other, are the result, however
    /// the changes are batched.
    #[test]
    fn deltas_add_up(script in script(), batch in 1..8_usize) {
        let played = play(&script);
        let mut compiler = played.fresh();
        let mut held = Snapshot::new();
        let mut told = BTreeMap::new();
        for changes in played.changes.chunks(batch) {
            let delta = compiler.apply(changes.to_vec());
            for resource in delta.changed {
                held.insert(resource.name.clone(), resource);
            }
            for name in delta.removed {
                prop_assert!(held.remove(&name).is_some(), "{} was never there", name);
            }
            told.extend(delta.report);
        }
        told.retain(|_, findings| !findings.is_empty());
        prop_assert_eq!(&told, compiler.diagnostics());
        // Sources are no part of the delta of a resource whose bytes stay.
        let bytes = |held: &Snapshot| -> BTreeMap<ResourceName, Rope> {
            held.iter().map(|(name, resource)| (name.clone(), resource.bytes.clone())).collect()
        };
        prop_assert_eq!(bytes(&held), bytes(&snapshot(&compiler)));
        if !played.changes.is_empty() {
            same(&compiler, &played.compiler)?;
        }
    }

    /// Objects that only stand elsewhere change no resource, and their findings
    /// say the new place.
    #[test]
    fn moved_objects_change_only_where_findings_point(script in script()) {
        let played = play(&script);
        let mut compiler = played.full();
        let moved = played.world.values().flatten().map(moved);
        let moved: Vec<Change> = moved.chain(played.refused()).collect();
        let delta = compiler.apply(moved.clone());
        prop_assert_eq!((delta.changed, delta.removed), (Vec::new(), Vec::new()));
        let mut fresh = played.fresh();
        fresh.apply(moved);
        prop_assert_eq!(compiler.diagnostics(), fresh.diagnostics());
    }

    /// Applying the same object again changes nothing.
    #[test]
    fn nothing_changes_twice(script in script()) {
        let played = play(&script);
        let mut compiler = played.full();
        let again = played.world.values().flatten().cloned();
        let delta = compiler.apply(again.chain(played.refused()).collect());
        prop_assert_eq!(delta, nuncio_compiler::Delta::default());
    }
}

#[test]
fn a_broken_object_keeps_its_last_good_version() {
    let good = "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {name: m, namespace: default}\nspec: {hostname: '*', prefix: /a/, service: a}\n";
    let bad = good.replace("prefix: /a/", "prefix: '(', prefix_regex: true");
    let mut compiler = apply_all([manifests::object(good)].into_iter());
    let before = snapshot(&compiler);
    let delta = compiler.apply(manifests::changes(&bad));
    assert_eq!(delta.changed, Vec::new());
    assert_eq!(snapshot(&compiler), before);
    let codes: Vec<_> = delta.report.iter().flat_map(|(_, list)| list).map(|d| d.code).collect();
    assert!(codes.contains(&"invalid-regex") && codes.contains(&"last-good-kept"), "{codes:?}");
}

fn codes(delta: &nuncio_compiler::Delta) -> Vec<&'static str> {
    delta.report.iter().flat_map(|(_, list)| list).map(|finding| finding.code).collect()
}

#[test]
fn a_faulty_limit_keeps_the_good_one_and_refuses_until_there_was_one() {
    let good = "apiVersion: getambassador.io/v3alpha1\nkind: RateLimit\nmetadata: {name: r, namespace: default}\nspec: {domain: d, limits: [{pattern: [{generic_key: a}], rate: 5, unit: minute}]}\n";
    let bad = good.replace("minute", "fortnight");
    let worse = bad.replace("generic_key: a", "generic_key: b");
    let limits = |compiler: &Compiler| -> Rope {
        let is_limits = |name: &ResourceName| name.type_url == TypeUrl::RateLimitConfig;
        let mut found = compiler.resources().filter(|resource| is_limits(&resource.name));
        found.next().expect("the domain is served").bytes.clone()
    };
    let mut compiler = Compiler::new(settings());
    let closed = codes(&compiler.apply(manifests::changes(&bad)));
    assert!(closed.contains(&"closed-until-corrected"), "{closed:?}");
    let first = limits(&compiler);
    compiler.apply(manifests::changes(&worse));
    assert_ne!(limits(&compiler), first, "a faulty version is not worth keeping");
    compiler.apply(manifests::changes(good));
    let best = limits(&compiler);
    let kept = codes(&compiler.apply(manifests::changes(&bad)));
    assert!(kept.contains(&"last-good-kept"), "{kept:?}");
    assert_eq!(limits(&compiler), best);
}
