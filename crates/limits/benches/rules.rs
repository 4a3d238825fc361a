//! What a check costs without store and network: rules found, counters named,
//! counts judged. The aim is under 1 µs for one descriptor.

use divan::{Bencher, black_box};
use nuncio_limits::config::{DescriptorConfig, DomainConfig, RateLimit};
use nuncio_limits::{Count, Descriptor, Now, Options, Request, Table, Unit, plan, settle};

fn main() {
    divan::main();
}

/// `rules` values of one key, each with a nested key of any value.
fn table(rules: usize) -> Table {
    let limit = || {
        Some(RateLimit { unit: Some(Unit::Minute), requests_per_unit: 100, ..RateLimit::default() })
    };
    let descriptor = |index: usize| DescriptorConfig {
        key: "path".into(),
        value: format!("/service/{index}"),
        rate_limit: limit(),
        descriptors: vec![DescriptorConfig {
            key: "remote_address".into(),
            rate_limit: limit(),
            ..DescriptorConfig::default()
        }],
        ..DescriptorConfig::default()
    };
    let config = DomainConfig {
        domain: "bench".into(),
        descriptors: (0..rules).map(descriptor).collect(),
        ..DomainConfig::default()
    };
    Table::build(&[config], false).expect("the bench's rules are valid")
}

#[divan::bench(args = [1, 100, 10_000])]
fn one_descriptor_among_rules(bencher: Bencher<'_, '_>, rules: usize) {
    let table = table(rules);
    let value = format!("/service/{}", rules / 2);
    check(bencher, &table, &value, 1);
}

#[divan::bench(args = [1, 4, 10])]
fn descriptors_of_a_request(bencher: Bencher<'_, '_>, descriptors: usize) {
    check(bencher, &table(100), "/service/50", descriptors);
}

fn check(bencher: Bencher<'_, '_>, table: &Table, value: &str, descriptors: usize) {
    let options = Options::default();
    let counts = vec![Count::fixed(7); descriptors];
    bencher.bench(|| {
        let descriptor = || Descriptor {
            entries: vec![("path", black_box(value)), ("remote_address", "203.0.113.7")],
            ..Descriptor::default()
        };
        let request = Request {
            domain: "bench",
            hits_addend: 0,
            descriptors: (0..descriptors).map(|_| descriptor()).collect(),
        };
        let plan = plan(table, &request, Now::from_millis(black_box(1_000_000)), &options)
            .expect("the bench's request is valid");
        settle(&plan, &counts, &options).over
    });
}
