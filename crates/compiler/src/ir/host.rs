//! Hosts: names the gateway answers to, their certificates and policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Kind, Object, Spec};

use super::item::{Item, ItemId};
use super::scene::Input;
use super::tls::DownstreamTls;
use super::tls_context::{Contexts, Fault, SecretName, key_pair, split_name};
use crate::names;

/// Secret of the gateway's own namespace that serves Hosts nobody defined.
const FALLBACK_SECRET: &str = "fallback-self-signed-cert";

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

    /// Server name of TLS clients: the hostname up to its port, lower-case.
    pub(crate) fn sni(&self) -> String {
        let name = self.hostname.rsplit_once(':').map_or(self.hostname.as_str(), |(name, _)| name);
        name.to_ascii_lowercase()
    }
}

/// Reads Hosts; without any, one is made up. Sorted by hostname.
pub(crate) fn read(
    input: &Input<'_>,
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
        hosts.push(resolve(item, spec, input, contexts, findings));
    }
    if hosts.is_empty() && !input.any_broken(Kind::Host) {
        hosts.push(default_host(input, contexts));
    }
    hosts.sort_by(|a, b| (&a.hostname, a.id()).cmp(&(&b.hostname, b.id())));
    hosts
}

fn resolve(
    item: &Item,
    spec: &api::Host,
    input: &Input<'_>,
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
        tls: tls(item, spec, acme, input, contexts, findings),
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

/// Resolves a Host's TLS; `None` when it has none or none that is usable. The
/// Host then still answers cleartext by its policy: a redirect stays a
/// redirect, and no made-up Host takes its place.
fn tls(
    item: &Item,
    spec: &api::Host,
    acme: bool,
    input: &Input<'_>,
    contexts: &mut Contexts,
    findings: &mut Vec<Diagnostic>,
) -> Option<Arc<DownstreamTls>> {
    let hostname = spec.hostname.as_deref().unwrap_or("*");
    let reference = spec.tls_secret.as_ref().filter(|secret| !secret.name.is_empty());
    let (name, namespace) = match reference {
        Some(secret) => {
            let namespace = secret.namespace.as_deref().unwrap_or(item.namespace());
            (secret.name.clone(), namespace.to_owned())
        }
        // An ordered certificate is kept under the host's name.
        None if acme => (api::default_tls_secret(hostname), item.namespace().to_owned()),
        None => {
            findings.extend(tls_without_secret(item, spec));
            return None;
        }
    };
    if spec.tls_context.is_some() && spec.tls.is_some() {
        findings.push(item.error(
            "tls-context-and-tls",
            "spec.tls",
            "tls and tlsContext exclude each other; the Host has no TLS",
            "remove one of them",
        ));
        return None;
    }
    input.looked_at.borrow_mut().insert((namespace.clone(), name.clone()));
    let pending = acme && !input.secrets.contains_key(&(namespace.clone(), name.clone()));
    let wanted = context_spec(item, spec, &(namespace, name), input, contexts);
    if let Ok((context, ..)) = &wanted {
        findings.extend(for_other_hosts(item, hostname, context));
    }
    let result = match wanted {
        Ok((context, at, namespacing)) => contexts.terminate(input, &context, &at, namespacing),
        Err(fault) => Err(fault),
    };
    match result {
        Ok(tls) => Some(tls),
        Err(_) if pending => None,
        Err(fault) => {
            findings.push(item.error(
                "host-without-tls",
                if fault.field == "spec.tlsContext" { fault.field } else { "spec.tlsSecret" },
                format!("{}; the Host has no TLS until then", fault.message),
                if fault.field == "spec.tlsContext" {
                    "name a TLSContext that exists, without a secret or with that of tlsSecret"
                } else {
                    "see that the Secret exists and holds tls.crt and tls.key"
                },
            ));
            None
        }
    }
}

/// Every TLS setting needs a certificate to go with.
fn tls_without_secret(item: &Item, spec: &api::Host) -> Option<Diagnostic> {
    let field = match (&spec.tls_context, &spec.tls) {
        (Some(_), _) => "spec.tlsContext",
        (None, Some(_)) => "spec.tls",
        (None, None) => return None,
    };
    Some(item.warning(
        "tls-without-secret",
        field,
        "has no effect without tlsSecret; the Host has no TLS",
        "name the Secret with the certificate in tlsSecret",
    ))
}

/// A TLSContext that lists hosts should list the Host that adopts it.
fn for_other_hosts(item: &Item, hostname: &str, context: &api::TlsContext) -> Option<Diagnostic> {
    let names_it = |host: &String| host == hostname || host == item.name() || host == "*";
    if context.hosts.is_empty() || context.hosts.iter().any(names_it) {
        return None;
    }
    Some(item.warning(
        "tls-context-for-other-hosts",
        "spec.tlsContext",
        format!("the TLSContext is for {}; it is used all the same", context.hosts.join(", ")),
        "add the Host's hostname to the hosts of the TLSContext",
    ))
}

type Wanted = (api::TlsContext, String, bool);

/// Returns the settings to terminate with, the namespace of their names, and
/// whether a dot in a name separates a namespace.
fn context_spec(
    item: &Item,
    spec: &api::Host,
    secret: &SecretName,
    input: &Input<'_>,
    contexts: &Contexts,
) -> Result<Wanted, Fault> {
    // The Secret's own name is never split; the others are in the namespace of
    // whoever names them unless they name one.
    let dotted = names::dotted(&secret.1, &secret.0);
    let implied = format!("{}-context", item.name());
    let named = spec.tls_context.as_ref().map(|context| context.name.clone());
    let adopted = match (&named, &spec.tls) {
        (Some(name), _) => Some(contexts.get(name).ok_or_else(|| {
            Fault::new("spec.tlsContext", format!("TLSContext `{name}` does not exist"))
        })?),
        (None, None) => contexts.get(&implied),
        (None, Some(_)) => None,
    };
    let Some(context) = adopted else {
        let mut wanted = spec.tls.as_ref().map(inline).unwrap_or_default();
        wanted.secret = Some(dotted);
        return Ok((wanted, item.namespace().to_owned(), true));
    };
    let mut wanted = context.spec.clone();
    let at = context.namespace.clone();
    let namespacing = wanted.secret_namespacing.unwrap_or(true);
    let Some(own) = wanted.secret.clone() else {
        if wanted.cert_chain_file.is_some() {
            return Ok((wanted, at, namespacing));
        }
        wanted.secret = Some(dotted);
        return Ok((wanted, at, true));
    };
    if same_certificate(input, secret, &split_name(&own, &at, namespacing)) {
        return Ok((wanted, at, namespacing));
    }
    // Emissary reads the name as one of the Host's namespace.
    if same_certificate(input, secret, &(item.namespace().to_owned(), own.clone())) {
        wanted.secret = Some(dotted);
        return Ok((wanted, at, true));
    }
    Err(Fault::new(
        "spec.tlsContext",
        format!(
            "its TLSContext `{}` has the certificate of Secret `{own}`, not that of {}/{}",
            named.unwrap_or(implied),
            secret.0,
            secret.1
        ),
    ))
}

/// Whether two names lead to one certificate and key.
fn same_certificate(input: &Input<'_>, one: &SecretName, other: &SecretName) -> bool {
    let pair = |at: &SecretName| match &input.secrets.get(at)?.spec {
        Spec::Secret(secret) => key_pair(secret),
        _ => None,
    };
    input.looked_at.borrow_mut().insert(other.clone());
    one == other || pair(one).is_some_and(|known| pair(other) == Some(known))
}

fn inline(tls: &api::HostTls) -> api::TlsContext {
    api::TlsContext {
        ca_secret: tls.ca_secret.clone(),
        cacert_chain_file: tls.cacert_chain_file.clone(),
        crl_secret: tls.crl_secret.clone(),
        alpn_protocols: tls.alpn_protocols.clone(),
        cert_required: tls.cert_required,
        min_tls_version: tls.min_tls_version.clone(),
        max_tls_version: tls.max_tls_version.clone(),
        cipher_suites: tls.cipher_suites.clone(),
        ecdh_curves: tls.ecdh_curves.clone(),
        ..Default::default()
    }
}

/// The Host of a gateway without Hosts: everything, in cleartext unless the
/// fallback certificate is there.
fn default_host(input: &Input<'_>, contexts: &mut Contexts) -> Host {
    let namespace = &input.settings.namespace;
    let context = api::TlsContext {
        secret: Some(format!("{FALLBACK_SECRET}.{namespace}")),
        ..Default::default()
    };
    let tls = contexts.terminate(input, &context, namespace, true).ok();
    let object = Object {
        meta: api::Meta {
            name: "default-host".to_owned(),
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
