//! Envoy takes what the compiler emits.

#[path = "support/snapshot.rs"]
mod snapshot;

use nuncio_compiler::{Address, Compiler, Settings};
use nuncio_testing::manifests;

fn settings() -> Settings {
    Settings {
        resolve_defined_services: true,
        auth: Some(Address::new("127.0.0.1", 8500)),
        rate_limit: Some(Address::new("127.0.0.1", 8081)),
        challenges: Some(Address::new("127.0.0.1", 8402)),
        admin: Some(Address::new("127.0.0.1", 8877)),
        ..Default::default()
    }
}

fn accepted(text: &str) {
    let mut compiler = Compiler::new(settings());
    compiler.apply(manifests::changes(text));
    let resources: Vec<_> = compiler.resources().cloned().collect();
    snapshot::validate(&resources).expect("Envoy takes the resources");
}

#[test]
fn every_mapping_field_is_accepted() {
    accepted(include_str!("accepted/mappings.yaml"));
}

#[test]
fn hosts_with_certificates_are_accepted() {
    let key = rcgen::generate_simple_self_signed(vec!["a.example.com".into()]).expect("a key");
    let text = include_str!("accepted/hosts.yaml")
        .replace("CERTIFICATE", &indent(&key.cert.pem()))
        .replace("PRIVATE_KEY", &indent(&key.signing_key.serialize_pem()));
    accepted(&text);
}

#[test]
fn plug_in_services_and_module_settings_are_accepted() {
    accepted(include_str!("accepted/services.yaml"));
}

/// Fits a PEM text into a YAML block.
fn indent(pem: &str) -> String {
    pem.trim().replace('\n', "\n    ")
}
