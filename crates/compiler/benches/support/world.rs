//! Worlds of many Mappings.

use std::sync::Arc;

use nuncio_api::{Change, Object, Origin, Spec};
use nuncio_testing::manifests;

const LISTENER: &str = "apiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: http, namespace: default}\nspec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}\n";
const HOST: &str = "apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {name: h, namespace: default}\nspec: {hostname: h.example.com, requestPolicy: {insecure: {action: Route}}}\n";
const MAPPING: &str = "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {name: m, namespace: default}\nspec: {hostname: '*', prefix: /service/, service: 'service.backend:8080', timeout_ms: 3000}\n";
/// Mappings of one Host, where there are many.
const PER_HOST: usize = 10;
/// Mappings of one service, where they share.
const PER_SERVICE: usize = 100;

/// How Mappings relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    OneHost,
    SharedServices,
    ManyHosts,
}

impl Shape {
    pub(crate) const ALL: [Self; 3] = [Self::OneHost, Self::SharedServices, Self::ManyHosts];
}

/// A Listener, Hosts, and this many Mappings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    pub(crate) count: usize,
    pub(crate) shape: Shape,
}

/// The change that brings an object.
pub(crate) fn apply(object: Arc<Object>) -> Change {
    Change::Apply { object, findings: Vec::new() }
}

impl World {
    /// Everything in it.
    pub(crate) fn objects(&self) -> impl Iterator<Item = Arc<Object>> {
        let world = *self;
        let hosts = if world.shape == Shape::ManyHosts { world.count / PER_HOST } else { 0 };
        let template = template(HOST);
        let host = move |number: usize| {
            let mut object = template.clone();
            object.meta.name = format!("h{number}");
            if let Spec::Host(host) = &mut object.spec {
                host.hostname = Some(host_name(number));
            }
            Arc::new(object)
        };
        let mapping = template_of_mappings();
        let mappings = (0..world.count).map(move |number| world.mapping_of(&mapping, number, 3000));
        std::iter::once(Arc::new(self::template(LISTENER)))
            .chain((0..hosts).map(host))
            .chain(mappings)
    }

    /// One of the Mappings, or one more.
    pub(crate) fn mapping(&self, number: usize, timeout: u64) -> Arc<Object> {
        self.mapping_of(&template_of_mappings(), number, timeout)
    }

    fn mapping_of(&self, template: &Object, number: usize, timeout: u64) -> Arc<Object> {
        let mut object = template.clone();
        object.meta.name = format!("m{number}");
        let Spec::Mapping(spec) = &mut object.spec else { unreachable!("a Mapping was read") };
        let service = match self.shape {
            Shape::SharedServices => number / PER_SERVICE,
            _ => number,
        };
        spec.prefix = format!("/service-{number}/");
        spec.service = format!("service-{service}.backend:8080");
        spec.timeout_ms = Some(timeout);
        if self.shape == Shape::ManyHosts {
            spec.hostname = Some(host_name(number / PER_HOST));
        }
        Arc::new(object)
    }
}

/// The Listener and this many Mappings of one host, as one file of YAML.
pub(crate) fn text(count: usize) -> String {
    let mapping = |number: usize| {
        format!(
            "---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: m{number}, namespace: default}}\nspec: {{hostname: '*', prefix: /service-{number}/, service: 'service-{number}.backend:8080', timeout_ms: 3000}}\n"
        )
    };
    std::iter::once(LISTENER.to_owned()).chain((0..count).map(mapping)).collect()
}

fn host_name(number: usize) -> String {
    format!("h{number}.example.com")
}

fn template_of_mappings() -> Object {
    template(MAPPING)
}

fn template(text: &str) -> Object {
    let mut object = (*manifests::object(text)).clone();
    object.origin = Origin::default();
    object
}
