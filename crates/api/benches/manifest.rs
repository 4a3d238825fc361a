//! Reading manifests: time for each Mapping, from text to typed object.
//!
//! `cargo bench -p nuncio-api`; throughput is in Mappings a second.

use std::fmt::Write;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use nuncio_api::manifest::{Format, Manifest};
use nuncio_api::{Decoded, Environment, Origin, Reading, Variables, decode};
use serde_json::{Value, json};

fn main() {
    divan::main();
}

/// One file of many Mappings, as people write them.
fn yaml(count: usize) -> String {
    let mut text = String::new();
    for n in 0..count {
        write!(
            text,
            "---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata:\n  \
             name: mapping-{n}\n  namespace: shop\nspec:\n  hostname: \"host-{}.example.com\"\n  \
             prefix: /service/{n}/\n  service: service-{n}.shop:8080\n  timeout_ms: 4000\n",
            n % 100
        )
        .expect("writing to a string cannot fail");
    }
    text
}

/// A pod's environment, of which the objects name nothing.
fn reading() -> Reading {
    let variables = (0..50).map(|n| (format!("VARIABLE_{n}"), "value".to_owned()));
    let environment = Environment::new(variables, &Variables::All);
    Reading { environment, ..Reading::of_namespace("default") }
}

fn mapping(n: usize) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
        "metadata": {"name": format!("mapping-{n}"), "namespace": "shop"},
        "spec": {
            "hostname": format!("host-{}.example.com", n % 100),
            "prefix": format!("/service/{n}/"),
            "service": format!("service-{n}.shop:8080"),
            "timeout_ms": 4000,
        },
    })
}

#[divan::bench(args = [1_000, 10_000])]
fn read_yaml(bencher: Bencher<'_, '_>, count: usize) {
    let text = yaml(count);
    let (name, reading) = (Arc::from("bench.yaml"), reading());
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let manifest = Manifest::read(&name, text.as_bytes(), Format::Yaml, &reading);
        assert_eq!(manifest.items.len(), count);
        manifest
    });
}

#[divan::bench(args = [10_000])]
fn read_json(bencher: Bencher<'_, '_>, count: usize) {
    let text: String = (0..count).map(|n| mapping(n).to_string() + "\n").collect();
    let (name, reading) = (Arc::from("bench.json"), reading());
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let manifest = Manifest::read(&name, text.as_bytes(), Format::Json, &reading);
        assert_eq!(manifest.items.len(), count);
        manifest
    });
}

#[divan::bench(args = [10_000])]
fn decode_values(bencher: Bencher<'_, '_>, count: usize) {
    let (values, reading): (Vec<Value>, _) = ((0..count).map(mapping).collect(), reading());
    bencher.counter(ItemsCount::new(count)).with_inputs(|| values.clone()).bench_values(|values| {
        let good =
            |value| matches!(decode(value, Origin::default(), &reading), Decoded::Object { .. });
        assert!(values.into_iter().all(good));
    });
}
