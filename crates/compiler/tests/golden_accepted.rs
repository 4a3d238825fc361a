//! Envoy accepts what every golden case becomes.
//!
//! Each case is put into one static configuration, everything that would come
//! by xDS in its place, and Envoy validates it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;
use std::thread;

#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "support/cases.rs"]
mod cases;
#[path = "support/snapshot.rs"]
mod snapshot;

#[test]
fn envoy_accepts_the_result_of_every_case() {
    let queue = Mutex::new(cases::all());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let next = || queue.lock().unwrap().pop();
                while let Some(case) = next() {
                    if let Err(refusal) = snapshot::validate(&case.compile().resources) {
                        failures.lock().unwrap().push(format!("{}: {refusal:#}", case.name()));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "Envoy refuses\n{}", failures.join("\n"));
}
