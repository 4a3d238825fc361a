//! A bad object harms nobody else: beside each of these a good Mapping
//! answers from the start, and what is wrong is told of the bad object.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nuncio_api::Severity;
use nuncio_compiler::{Compiler, Settings, Subject};
use nuncio_testing::envoy::Envoy;
use nuncio_testing::manifests;
use nuncio_testing::wire::{Client, Echo};
use poisons::{POISONS, Poison};

#[path = "support/poisons.rs"]
mod poisons;
#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "support/snapshot.rs"]
mod snapshot;

#[test]
fn a_good_mapping_answers_beside_every_poison_from_the_start() {
    let echo = Echo::start(&[]).unwrap();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(poison) = POISONS.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(failure) = answers_beside(poison, &echo) {
                        failures.lock().unwrap().push(format!("{}: {failure}", poison.name));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Starts Envoy with the poison and a good Mapping, and asks for the latter.
fn answers_beside(poison: &Poison, echo: &Echo) -> Result<(), String> {
    let mut compiler = Compiler::new(Settings {
        bind_address: [127, 0, 0, 1].into(),
        resolve_defined_services: true,
        ..Settings::default()
    });
    compiler.apply(manifests::changes(&poisons::good(echo.address().port())));
    let before = compiler.diagnostics().clone();
    if !before.is_empty() {
        return Err(format!("the good objects are not: {before:?}"));
    }
    // From the start: there is no last good version of anything.
    let mut compiler = Compiler::new(Settings {
        bind_address: [127, 0, 0, 1].into(),
        resolve_defined_services: true,
        ..Settings::default()
    });
    let text = format!("{}---\n{}", poisons::good(echo.address().port()), poison.yaml("poison"));
    compiler.apply(manifests::changes(&text));
    let resources: Vec<_> = compiler.resources().cloned().collect();
    let mut snapshot = snapshot::decode(&resources).map_err(|error| format!("{error:#}"))?;
    for listener in &mut snapshot.listeners {
        listener.address = Some(nuncio_testing::envoy::loopback());
    }
    let bootstrap = snapshot.bootstrap().map_err(|error| format!("{error:#}"))?;
    let envoy = Envoy::start(bootstrap).map_err(|error| format!("{error:#}"))?;
    let address = envoy.listener("good.default").map_err(|error| format!("{error:#}"))?;
    let host = [("host".to_owned(), "good.test".to_owned())];
    let answer = Client::new(address).ask("GET", "/good/", &host);
    match answer.map(|answer| answer.status()) {
        Ok(Some(200)) => {}
        other => return Err(format!("the good Mapping answers {other:?}")),
    }
    let told = compiler.diagnostics().iter().any(|(subject, findings)| {
        let about = match subject {
            Subject::Object(key) => key.name == poison.object("poison"),
            Subject::Input(_) => true,
        };
        about && findings.iter().any(|finding| finding.severity != Severity::Notice)
    });
    if told { Ok(()) } else { Err(format!("nothing is told: {:?}", compiler.diagnostics())) }
}
