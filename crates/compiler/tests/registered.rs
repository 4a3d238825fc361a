//! Services that a registry knows: what is wanted of it, and what it tells.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use nuncio_api::{Change, ConsulService};
use nuncio_compiler::{Compiler, ResourceName, Settings, TypeUrl};
use nuncio_testing::manifests;
use prost::Message as _;

const OBJECTS: &str = r#"
apiVersion: getambassador.io/v3alpha1
kind: ConsulResolver
metadata: {name: consul-dc1, namespace: default}
spec: {address: "consul:8500", datacenter: dc1}
---
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: web, namespace: default}
spec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: quote, namespace: default}
spec: {hostname: "*", prefix: /quote/, service: "https://quote:8443", resolver: consul-dc1}
"#;

fn told(endpoints: Option<&[(&str, u16)]>) -> Change {
    let set = |list: &[(&str, u16)]| {
        list.iter().map(|(ip, port)| ((*ip).to_owned(), *port)).collect::<BTreeSet<_>>()
    };
    Change::Registered { service: "consul/dc1/quote".into(), endpoints: endpoints.map(set) }
}

/// Number of endpoints in effect; `None` where there is no set of them.
fn known(compiler: &Compiler) -> Option<usize> {
    let name = ResourceName::new(TypeUrl::ClusterLoadAssignment, "consul/dc1/quote");
    let resource = compiler.resources().find(|resource| resource.name == name)?;
    let set = ClusterLoadAssignment::decode(resource.bytes.to_bytes()).expect("it decodes");
    Some(set.endpoints.iter().map(|locality| locality.lb_endpoints.len()).sum())
}

#[test]
fn endpoints_are_those_that_the_registry_told_last() {
    let mut compiler = Compiler::new(Settings::default());
    compiler.apply(manifests::changes(OBJECTS));
    assert_eq!(known(&compiler), None, "nobody has told anything");
    let two = [("10.0.0.1", 1), ("10.0.0.2", 2)];
    for endpoints in [Some(&two[..0]), Some(&two), None] {
        compiler.apply(vec![told(endpoints)]);
        assert_eq!(known(&compiler), endpoints.map(<[_]>::len));
    }
}

#[test]
fn it_does_not_matter_which_comes_first() {
    let told = told(Some(&[("10.0.0.1", 1)]));
    let mut early = Compiler::new(Settings::default());
    early.apply(vec![told.clone()]);
    early.apply(manifests::changes(OBJECTS));
    let mut late = Compiler::new(Settings::default());
    late.apply(manifests::changes(OBJECTS));
    late.apply(vec![told]);
    assert!(early.resources().eq(late.resources()));
    assert_eq!(known(&early), Some(1));
}

#[test]
fn services_are_wanted_while_something_goes_to_them() {
    let mut compiler = Compiler::new(Settings::default());
    compiler.apply(manifests::changes(OBJECTS));
    let service = ConsulService {
        name: "consul/dc1/quote".into(),
        address: "consul:8500".into(),
        datacenter: "dc1".into(),
        service: "quote".into(),
    };
    assert_eq!(compiler.consul_services(), [service].into());
    let gone = manifests::changes(OBJECTS).into_iter().find_map(|change| match change {
        Change::Apply { object, .. } if object.meta.name == "quote" => Some(object.key()),
        _ => None,
    });
    compiler.apply(vec![Change::Delete(gone.expect("the Mapping is there"))]);
    assert_eq!(compiler.consul_services(), BTreeSet::new());
}
