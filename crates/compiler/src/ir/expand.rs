//! Ingresses into Mappings and Hosts.

use std::collections::BTreeMap;

use nuncio_api as api;
use nuncio_api::core::{Ingress, IngressBackend, PortRef, Service};
use nuncio_api::{Diagnostic, Kind, Meta, Object, Severity, Spec};

use super::check;
use super::endpoints::Services;
use super::item::{Item, ItemId};
use super::refusals::Refusals;
use crate::Settings;

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const ID_ANNOTATION: &str = "getambassador.io/ambassador-id";
/// Restores Emissary's stripping of Ingress paths when it says `true`.
const STRIP_ANNOTATION: &str = "getambassador.io/ingress-strip-path";
const TLS_LABEL: &str = "a10r-k8s-ingress";
const COMPONENT_LABEL: &str = "app.kubernetes.io/component";

/// What an Ingress stands for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Expansion {
    pub(crate) items: Vec<Item>,
    pub(crate) findings: Vec<Diagnostic>,
}

/// Returns whether an Ingress is for this gateway.
pub(crate) fn is_ours(
    item: &Item,
    ingress: &Ingress,
    classes: &BTreeMap<ItemId, Item>,
    settings: &Settings,
) -> bool {
    let annotations = &item.meta().annotations;
    let id_matches = |meta: &Meta| {
        meta.annotations.get(ID_ANNOTATION).map_or("default", String::as_str)
            == settings.ambassador_id
    };
    if !id_matches(item.meta()) {
        return false;
    }
    if annotations.get(CLASS_ANNOTATION).is_some_and(|c| c.eq_ignore_ascii_case("ambassador")) {
        return true;
    }
    let Some(name) = &ingress.ingress_class_name else { return false };
    classes.values().any(|class| {
        let ours = matches!(&class.object.spec, Spec::IngressClass(spec) if spec.is_ours());
        class.name() == name && ours && id_matches(class.meta())
    })
}

/// Returns whether a Service is the one that leads to this gateway: its label
/// says so, and its selector takes the gateway's pod.
pub(crate) fn is_own(meta: &Meta, service: &Service, settings: &Settings) -> bool {
    let labelled = meta
        .labels
        .get(COMPONENT_LABEL)
        .is_some_and(|component| component.eq_ignore_ascii_case("ambassador-service"));
    let selector = &service.spec.selector;
    let takes = |(key, value)| settings.pod_labels.get(key) == Some(value);
    labelled && !service.spec.ports.is_empty() && !selector.is_empty() && selector.iter().all(takes)
}

/// Turns one Ingress into Mappings and Hosts.
pub(crate) fn ingress(item: &Item, ingress: &Ingress, services: &Services) -> Expansion {
    let mut maker = Maker { item, services, next: 0, out: Expansion::default() };
    let tls_label = format!("a10r-ingress-{}-{}", item.name(), item.namespace());
    let mut labels = item.meta().labels.clone();
    let has_tls = !ingress.tls.is_empty();
    if has_tls {
        labels.insert(TLS_LABEL.to_owned(), tls_label.clone());
    }
    let strip = item.meta().annotations.get(STRIP_ANNOTATION).is_some_and(|v| v == "true");
    for (r, rule) in ingress.rules.iter().enumerate() {
        let paths = rule.http.as_ref().map(|http| http.paths.as_slice()).unwrap_or_default();
        for (p, path) in paths.iter().enumerate() {
            let field = format!("spec.rules[{r}].http.paths[{p}]");
            let backend = format!("{field}.backend");
            let Some(service) = maker.service(&path.backend, &backend) else { continue };
            let exact = path.path_type.as_deref() == Some("Exact");
            let mut spec = api::Mapping {
                prefix: path.path.clone().unwrap_or_else(|| "/".to_owned()),
                prefix_exact: Some(exact),
                precedence: exact.then_some(1),
                service,
                // Kubernetes keeps the path.
                rewrite: (!strip).then(String::new),
                ..Default::default()
            };
            host(rule.host.as_deref(), has_tls, &mut spec);
            let name = format!("{}-{r}-{p}", item.name());
            maker.push(name, labels.clone(), Spec::Mapping(Box::new(spec)), &field);
        }
    }
    if let Some(backend) = &ingress.default_backend
        && let Some(service) = maker.service(backend, "spec.defaultBackend")
    {
        let spec = api::Mapping {
            prefix: "/".to_owned(),
            hostname: Some("*".to_owned()),
            service,
            rewrite: (!strip).then(String::new),
            ..Default::default()
        };
        let name = format!("{}-default-backend", item.name());
        maker.push(name, labels, Spec::Mapping(Box::new(spec)), "spec.defaultBackend");
    }
    for (i, tls) in ingress.tls.iter().enumerate() {
        let Some(secret) = &tls.secret_name else { continue };
        let any = ["*".to_owned()];
        let hosts = if tls.hosts.is_empty() { &any[..] } else { &tls.hosts };
        for (j, hostname) in hosts.iter().enumerate() {
            let spec = tls_host(hostname, secret, &tls_label);
            let name = format!("{}-{i}-{j}", item.name());
            let (labels, field) = (item.meta().labels.clone(), format!("spec.tls[{i}].hosts[{j}]"));
            maker.push(name, labels, Spec::Host(Box::new(spec)), &field);
        }
    }
    maker.out
}

/// Says which hosts an Ingress rule is for. A wildcard takes one label only.
fn host(rule: Option<&str>, has_tls: bool, spec: &mut api::Mapping) {
    match rule {
        Some(name) => match name.strip_prefix("*.") {
            Some(tail) => {
                let tail = tail.replace('.', r"\.");
                spec.host = Some(format!(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\.{tail}$"));
                spec.host_regex = Some(true);
            }
            None => spec.hostname = Some(name.to_owned()),
        },
        None if !has_tls => spec.hostname = Some("*".to_owned()),
        None => {}
    }
}

fn tls_host(hostname: &str, secret: &str, label: &str) -> api::Host {
    api::Host {
        hostname: Some(hostname.to_owned()),
        tls_secret: Some(api::ObjectRef { name: secret.to_owned(), namespace: None }),
        mapping_selector: Some(api::LabelSelector {
            match_labels: [(TLS_LABEL.to_owned(), label.to_owned())].into(),
            match_expressions: Vec::new(),
        }),
        request_policy: Some(api::RequestPolicy {
            insecure: Some(api::InsecurePolicy {
                action: Some(api::InsecureAction::Route),
                additional_port: None,
            }),
        }),
        ..Default::default()
    }
}

struct Maker<'a> {
    item: &'a Item,
    services: &'a Services,
    next: u32,
    out: Expansion,
}

impl Maker<'_> {
    /// Adds an object made of the part at `field`, unless it cannot be used.
    fn push(&mut self, name: String, labels: BTreeMap<String, String>, spec: Spec, field: &str) {
        let meta = Meta {
            name,
            namespace: self.item.namespace().to_owned(),
            labels,
            ..Default::default()
        };
        let object = Object { meta, origin: self.item.object.origin.clone(), spec };
        self.next += 1;
        let item = Item::derived(self.item, self.next, object);
        // Nothing that is made of an Ingress holds what Envoy alone can judge.
        let findings = check::check(&item, &Refusals::default()).findings;
        if !check::is_unusable(&findings) {
            self.out.items.push(item);
            return;
        }
        // Its fields are not what the user wrote.
        let errors = findings.into_iter().filter(|finding| finding.severity == Severity::Error);
        self.out.findings.extend(errors.map(|finding| {
            let message = format!("{}: {}", finding.field, finding.message);
            Diagnostic { field: field.to_owned(), message, ..finding }
        }));
    }

    fn service(&mut self, backend: &IngressBackend, field: &str) -> Option<String> {
        let service = backend.service.as_ref().filter(|service| !service.name.is_empty());
        let namespace = self.item.namespace();
        let found = service.and_then(|service| {
            let port = match service.port.port_ref()? {
                PortRef::Number(number) => number,
                PortRef::Name(name) => self.services.named_port(namespace, &service.name, &name)?,
            };
            Some(format!("{}.{namespace}:{port}", service.name))
        });
        if found.is_none() {
            self.out.findings.push(self.item.error(
                "ingress-backend",
                field,
                "names no Service with a known port; the path is not in effect",
                "name a Service and a port that it has",
            ));
        }
        found
    }
}

/// Kinds that Ingress expansion reads.
pub(crate) const INPUTS: [Kind; 3] = [Kind::Ingress, Kind::IngressClass, Kind::Service];
