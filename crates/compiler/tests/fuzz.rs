//! A bounded run of the fuzzers of `fuzz/`, on what they are made of: nothing
//! panics, and Envoy takes what comes out.
//!
//! `FUZZ_SEED` plays a former run again; `FUZZ_CASES` multiplies the number of
//! cases.

#![allow(clippy::print_stdout, reason = "a random test tells its seed")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use mutate::{Choices, Corpus};
use nuncio_api::{Change, ObjectKey};
use nuncio_compiler::Resource;

#[path = "support/entry.rs"]
mod entry;
#[path = "support/mutate.rs"]
mod mutate;
#[path = "support/snapshot.rs"]
mod snapshot;

/// Texts, and worlds of objects, that are compiled.
const TEXTS: usize = 3_000;
const WORLDS: usize = 2_000;
/// Worlds that are compiled step by step, about ten steps each.
const STEPWISE: usize = 1_000;
/// Worlds that Envoy judges.
const JUDGED: usize = 150;
/// Refusals of texts of which Envoy alone can judge, one a round.
const ROUNDS: usize = 20;
/// Most bytes that steer one case.
const BYTES: usize = 512;

static CORPUS: LazyLock<Corpus> =
    LazyLock::new(|| Corpus::golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")));

static SEED: LazyLock<u64> = LazyLock::new(|| {
    let seed = setting("FUZZ_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.as_millis().try_into().unwrap()
    });
    println!("FUZZ_SEED={seed}");
    seed
});

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn times(count: usize) -> usize {
    count * usize::try_from(setting("FUZZ_CASES").unwrap_or(1)).unwrap()
}

/// Returns the bytes of one case. Source: SplitMix64.
fn bytes(case: usize) -> Vec<u8> {
    let mut state = SEED.wrapping_add(case as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    });
    words.take(BYTES / 8).flatten().collect()
}

/// Does something with the number of every case, on every core. The failures
/// come back sorted.
fn each(cases: usize, test: impl Fn(usize) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let case = next.fetch_add(1, Ordering::SeqCst);
                    if case >= cases {
                        break;
                    }
                    if let Err(failure) = test(case) {
                        let failure = format!("FUZZ_SEED={} case {case}: {failure}", *SEED);
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    failures
}

/// Compiles a text; the failure holds the text.
fn compiles(text: &[u8]) -> Result<(), String> {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| drop(entry::compile(text))));
    outcome.map_err(|_| format!("panics on\n{}", String::from_utf8_lossy(text)))
}

#[test]
fn any_bytes_are_read_and_compiled_without_panic() {
    let failures = each(times(TEXTS), |case| {
        let bytes = bytes(case);
        compiles(&bytes)?;
        compiles(&CORPUS.text(&mut Choices::new(&bytes)))
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn random_objects_are_compiled_without_panic() {
    let failures = each(times(WORLDS), |case| {
        compiles(CORPUS.world(&mut Choices::new(&bytes(case))).join("---\n").as_bytes())
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Objects that come, go and come back one by one are in the end what they are
/// when they come together.
#[test]
fn random_objects_one_by_one_are_what_they_are_together() {
    let failures = each(times(STEPWISE), |case| {
        let steering = bytes(case);
        let mut choices = Choices::new(&steering);
        let world = CORPUS.world(&mut choices);
        let by_key: BTreeMap<ObjectKey, Change> = world
            .iter()
            .flat_map(|object| entry::read(object.as_bytes()))
            .filter_map(|change| Some((change.key()?, change)))
            .collect();
        let mut one_by_one = entry::compiler();
        let mut steps: Vec<(&ObjectKey, &Change)> = by_key.iter().collect();
        steps.extend(steps.clone().into_iter().filter(|_| choices.below(2) == 0));
        for (at, (key, change)) in steps.into_iter().enumerate() {
            if at >= by_key.len() {
                one_by_one.apply(vec![Change::Delete(key.clone())]);
            }
            one_by_one.apply(vec![change.clone()]);
        }
        let mut together = entry::compiler();
        together.apply(by_key.into_values().collect());
        let same = one_by_one.resources().eq(together.resources())
            && one_by_one.diagnostics() == together.diagnostics();
        if same { Ok(()) } else { Err(format!("differs\n{}", world.join("---\n"))) }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn envoy_takes_what_random_objects_become() {
    let failures = each(times(JUDGED), |case| {
        let mut world = CORPUS.world(&mut Choices::new(&bytes(case)));
        let Err(refusal) = judge(&world) else { return Ok(()) };
        // Who is to blame? Leave out whoever is not needed for a refusal.
        for at in (0..world.len()).rev() {
            let mut less = world.clone();
            less.remove(at);
            if judge(&less).is_err() {
                world = less;
            }
        }
        Err(format!("{refusal}\n{}", world.join("---\n")))
    });
    assert!(failures.is_empty(), "Envoy refuses\n{}", failures.join("\n"));
}

fn judge(world: &[String]) -> Result<(), String> {
    let text = world.join("---\n");
    let resources = entry::compile(text.as_bytes());
    let Err(mut refusal) = asked(&resources) else { return Ok(()) };
    // What Envoy alone can judge is left out when it has, as while serving.
    let mut compiler = entry::compiler();
    compiler.apply(entry::read(text.as_bytes()));
    for _ in 0..ROUNDS {
        let blamed = compiler.blamed(&refusal);
        if blamed.is_empty() {
            break;
        }
        let refused = blamed.into_iter().map(|(text, reason)| Change::Refused { text, reason });
        compiler.apply(refused.collect());
        let left: Vec<_> = compiler.resources().cloned().collect();
        match asked(&left) {
            Ok(()) => return Ok(()),
            Err(next) => refusal = next,
        }
    }
    Err(refusal)
}

fn asked(resources: &[Arc<Resource>]) -> Result<(), String> {
    snapshot::validate(resources).map_err(|error| format!("{error:#}"))
}
