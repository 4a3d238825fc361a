//! What fuzzers call: bytes in, nothing may panic.

use std::sync::Arc;

use nuncio_api::manifest::{Format, Manifest};
use nuncio_api::{Change, Reading};
use nuncio_compiler::explain::Request;
use nuncio_compiler::{Address, Compiler, Resource, Settings, explain, render};

/// A compiler with every service of the gateway's own.
pub(crate) fn compiler() -> Compiler {
    let own = |port| Some(Address::new("127.0.0.1", port));
    Compiler::new(Settings {
        bind_address: [127, 0, 0, 1].into(),
        resolve_defined_services: true,
        auth: own(8500),
        rate_limit: own(8081),
        challenges: own(8402),
        admin: own(8877),
        ..Settings::default()
    })
}

/// Reads a file of a folder.
pub(crate) fn read(text: &[u8]) -> Vec<Change> {
    let name: Arc<str> = "fuzz.yaml".into();
    let reading = Reading::of_namespace("default");
    Manifest::read(&name, text, Format::Yaml, &reading).into_changes(name)
}

/// Reads a file of a folder, compiles what is in it twice, as a whole and again
/// as a change, explains a request, and prints what came out.
///
/// # Panics
/// When the second time anything changes, or what came out does not decode.
pub(crate) fn compile(text: &[u8]) -> Vec<Arc<Resource>> {
    let mut compiler = compiler();
    compiler.apply(read(text));
    let again = compiler.apply(read(text));
    assert!(again.changed.is_empty() && again.removed.is_empty(), "{again:?}");
    let resources: Vec<Arc<Resource>> = compiler.resources().cloned().collect();
    let request = Request {
        method: "GET".into(),
        tls: false,
        authority: "a.test".into(),
        port: 8080,
        path: "/a/b?c=d".into(),
        headers: vec![("x-a".into(), "1".into())],
    };
    let _ = explain::explain(&resources, &request);
    for resource in &resources {
        render::json(resource).expect("what is emitted decodes");
    }
    resources
}
