//! Hosts: names the gateway answers to, their certificates and policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Kind, Object, ObjectKey, Spec};

use super::defaults::Defaults;
use super::input::Input;
use super::item::{Item, ItemId};
use super::tls::DownstreamTls;
use super::tls_context::{Contexts, Wanted};

mod tls;

use tls::Certifier;

/// Secret of the gateway's own namespace that serves Hosts nobody defined.
const FALLBACK_SECRET: &str = "fallback-self-signed-cert";

/// Name of the Host that stands in where there is none.
const DEFAULT_HOST: &str = "default-host";

/// What happens to insecure requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insecure {
    Redirect,
    Route,
    Reject,
}

/// One Host, resolved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Host {
    pub(crate) item: Item,
    pub(crate) hostname: String,
    /// `None` without a selector; an empty one takes everything.
    pub(crate) selector: Option<BTreeMap<String, String>>,
    pub(crate) tls: Option<Arc<DownstreamTls>>,
    pub(crate) insecure: Insecure,
    /// One more port to take cleartext on.
    pub(crate) additional_port: Option<u16>,
    /// A certificate is ordered for it.
    pub(crate) acme: bool,
}

impl Host {
    pub(crate) fn id(&self) -> &ItemId {
        &self.item.id
    }

    /// Whether it stands in for Hosts that nobody defined; it is everybody's.
    pub(crate) fn is_made_up(&self) -> bool {
        self.item.object.origin == api::Origin::default() && self.item.name() == DEFAULT_HOST
    }

    /// Server name of TLS clients: the hostname up to its port, lower-case.
    pub(crate) fn sni(&self) -> String {
        let name = self.hostname.rsplit_once(':').map_or(self.hostname.as_str(), |(name, _)| name);
        name.to_ascii_lowercase()
    }
}

/// Reads Hosts; without any, one is made up. Sorted by hostname.
pub(crate) fn read(
    input: &Input<'_>,
    defaults: &Defaults,
    contexts: &mut Contexts,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    for item in input.of(Kind::Host) {
        let Spec::Host(spec) = &item.object.spec else { continue };
        let twin = |other: &&Host| {
            other.item.name() == item.name() && other.item.namespace() == item.namespace()
        };
        if hosts.iter().find(twin).is_some() {
            findings.push(item.error(
                "duplicate-host",
                "metadata.name",
                "another Host has this name and namespace",
                "rename one of them",
            ));
            continue;
        }
        hosts.push(resolve(item, spec, input, defaults, contexts, findings));
    }
    if hosts.is_empty() && !input.any_broken(Kind::Host) {
        hosts.push(default_host(input, contexts));
        findings.extend(contexts_without_host(input));
    }
    hosts.sort_by(|a, b| (&a.hostname, a.id()).cmp(&(&b.hostname, b.id())));
    hosts
}

fn resolve(
    item: &Item,
    spec: &api::Host,
    input: &Input<'_>,
    defaults: &Defaults,
    contexts: &mut Contexts,
    findings: &mut Vec<Diagnostic>,
) -> Host {
    let given = |selector: &Option<api::LabelSelector>| {
        selector.as_ref().map(|selector| selector.match_labels.clone())
    };
    let selector = given(&spec.mapping_selector)
        .filter(|labels| !labels.is_empty())
        .or_else(|| given(&spec.selector))
        .or_else(|| given(&spec.mapping_selector));
    let expressions = [&spec.mapping_selector, &spec.selector];
    if expressions.iter().any(|s| s.as_ref().is_some_and(|s| !s.match_expressions.is_empty())) {
        findings.push(item.warning(
            "match-expressions-ignored",
            "spec.mappingSelector.matchExpressions",
            "matchExpressions have no effect",
            "use matchLabels",
        ));
    }
    let policy = spec.request_policy.as_ref().and_then(|policy| policy.insecure.as_ref());
    if spec.preview_url.is_some() {
        findings.push(item.warning(
            "preview-url-not-supported",
            "spec.previewUrl",
            "preview URLs are not supported",
            "remove the field",
        ));
    }
    let acme = spec.acme_provider.as_ref().is_some_and(|provider| {
        provider.authority.as_deref().is_none_or(|a| !a.trim().eq_ignore_ascii_case("none"))
    });
    Host {
        item: item.clone(),
        hostname: spec.hostname.clone().unwrap_or_else(|| "*".to_owned()),
        selector,
        tls: Certifier { item, spec, acme, input, defaults }.tls(contexts, findings),
        insecure: match policy.and_then(|policy| policy.action).unwrap_or_default() {
            api::InsecureAction::Redirect => Insecure::Redirect,
            api::InsecureAction::Route => Insecure::Route,
            api::InsecureAction::Reject => Insecure::Reject,
        },
        additional_port: additional_port(item, policy, findings),
        acme,
    }
}

/// Reads the additional port; 0 and less ask for none.
fn additional_port(
    item: &Item,
    policy: Option<&api::InsecurePolicy>,
    findings: &mut Vec<Diagnostic>,
) -> Option<u16> {
    let given = policy?.additional_port.filter(|port| *port > 0)?;
    let port = u16::try_from(given).ok();
    if port.is_none() {
        findings.push(item.error(
            "invalid-port",
            "spec.requestPolicy.insecure.additionalPort",
            format!("{given} is no port"),
            "give a number from 1 to 65535, or -1 for none",
        ));
    }
    port
}

/// TLSContexts that list hosts serve no HTTP without any Host.
fn contexts_without_host<'a>(input: &'a Input<'_>) -> impl Iterator<Item = Diagnostic> + 'a {
    let by_tcp = |name: &String| {
        input.of(Kind::TcpMapping).any(|item| match &item.object.spec {
            Spec::TcpMapping(spec) => spec.host.as_ref() == Some(name),
            _ => false,
        })
    };
    input.of(Kind::TlsContext).filter_map(move |item| {
        let Spec::TlsContext(spec) = &item.object.spec else { return None };
        if spec.hosts.is_empty() || spec.hosts.iter().any(by_tcp) {
            return None;
        }
        Some(item.warning(
            "tls-context-without-host",
            "spec.hosts",
            "there is no Host, so no HTTP is served with this certificate",
            "add a Host with a tlsSecret",
        ))
    })
}

/// The Host of a gateway without Hosts: everything, in cleartext unless the
/// fallback certificate is there.
fn default_host(input: &Input<'_>, contexts: &mut Contexts) -> Host {
    let namespace = &input.settings.namespace;
    let wanted = Wanted {
        spec: api::TlsContext::default(),
        certificate: Some((namespace.clone(), FALLBACK_SECRET.to_owned())),
        namespace: namespace.clone(),
        namespacing: true,
        named_by: ObjectKey::new(Kind::Host, namespace, DEFAULT_HOST),
    };
    let tls = contexts.terminate(input, &wanted).ok();
    let object = Object {
        meta: api::Meta {
            name: DEFAULT_HOST.to_owned(),
            namespace: namespace.clone(),
            ..Default::default()
        },
        origin: api::Origin::default(),
        spec: Spec::Host(Box::default()),
    };
    Host {
        item: Item::own(Arc::new(object)),
        hostname: "*".to_owned(),
        selector: None,
        insecure: if tls.is_some() { Insecure::Redirect } else { Insecure::Route },
        tls,
        additional_port: None,
        acme: false,
    }
}
