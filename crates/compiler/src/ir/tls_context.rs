//! TLSContexts, and what they come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Kind, ObjectKey, Spec};

use super::defaults::Defaults;
use super::input::Input;
use super::item::Item;
use super::secret::{self, Anchors, SecretName, SecretUse};
use super::stage::Origination;
use super::tls::{Common, DownstreamTls, Parameters, UpstreamTls, Version, split_alpn};
use crate::names;

mod module;

/// Secret that stands for Istio's folder. Source: Emissary.
const ISTIO_SECRET: &str = "istio-certs";

/// Settings, and how the names in them are read.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) spec: api::TlsContext,
    /// Certificate in the place of the settings' own.
    pub(crate) certificate: Option<SecretName>,
    /// Namespace of names that give none.
    pub(crate) namespace: String,
    /// Whether a dot in a name separates a namespace.
    pub(crate) namespacing: bool,
    /// Who says so.
    pub(crate) named_by: ObjectKey,
}

/// A context with its resolved settings, or why it has none.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) wanted: Wanted,
    resolved: Option<Common>,
}

/// All contexts by flat name, and the Secrets in use.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    by_name: BTreeMap<String, Context>,
    uses: BTreeMap<Arc<str>, SecretUse>,
}

impl Contexts {
    /// Reads TLSContexts and the `tls` Module.
    pub(crate) fn read(
        input: &Input<'_>,
        defaults: &Defaults,
        findings: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut contexts = Self::default();
        for item in input.of(Kind::TlsContext) {
            let Spec::TlsContext(spec) = &item.object.spec else { continue };
            let name = contexts.flat_name(item);
            contexts.insert(input, defaults, name, item, spec, findings);
        }
        for item in input.of(Kind::Module) {
            let Spec::Module(module) = &item.object.spec else { continue };
            let api::ModuleConfig::Tls(tls) = &module.config else { continue };
            for (name, spec) in module::contexts(tls) {
                if !contexts.by_name.contains_key(&name) {
                    contexts.insert(input, defaults, name, item, &spec, findings);
                }
            }
        }
        contexts
    }

    /// The first of a name has it plain; others add their namespace.
    fn flat_name(&self, item: &Item) -> String {
        match self.by_name.get(item.name()) {
            Some(other) if other.wanted.namespace != item.namespace() => {
                names::dotted(item.name(), item.namespace())
            }
            _ => item.name().to_owned(),
        }
    }

    fn insert(
        &mut self,
        input: &Input<'_>,
        defaults: &Defaults,
        name: String,
        item: &Item,
        spec: &api::TlsContext,
        findings: &mut Vec<Diagnostic>,
    ) {
        let wanted = Wanted {
            spec: spec.clone(),
            certificate: None,
            namespace: item.namespace().to_owned(),
            namespacing: spec.secret_namespacing.unwrap_or(defaults.secret_namespacing),
            named_by: (*item.id.source).clone(),
        };
        let resolved = match self.resolve(input, &wanted) {
            Ok(common) => Some(common),
            Err(fault) => {
                findings.push(item.error(
                    "unusable-tls-context",
                    fault.field,
                    fault.message,
                    "see that the Secret exists and holds what the field needs, and that nothing is missing beside it",
                ));
                None
            }
        };
        self.by_name.insert(name, Context { wanted, resolved });
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Context> {
        self.by_name.get(name)
    }

    /// Every context, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Context)> {
        self.by_name.iter()
    }

    /// What Mappings can originate TLS with.
    pub(crate) fn originations(&self) -> BTreeMap<String, Origination> {
        let origination = |context: &Context| {
            let sni = &context.wanted.spec.sni;
            match &context.resolved {
                Some(common)
                    if common.identity.is_some() || common.trust.is_some() || sni.is_some() =>
                {
                    let tls = UpstreamTls { common: common.clone(), sni: sni.clone() };
                    Origination::Usable(Arc::new(tls))
                }
                _ => Origination::Unusable,
            }
        };
        self.by_name.iter().map(|(name, context)| (name.clone(), origination(context))).collect()
    }

    /// Resolves settings for termination; an identity must come out.
    pub(crate) fn terminate(
        &mut self,
        input: &Input<'_>,
        wanted: &Wanted,
    ) -> Result<Arc<DownstreamTls>, Fault> {
        let common = self.resolve(input, wanted)?;
        if common.identity.is_none() {
            return Err(Fault::new("spec.secret", "names no certificate"));
        }
        let required = wanted.spec.cert_required == Some(true);
        if required && common.trust.is_none() {
            return Err(Fault::new(
                "spec.cert_required",
                "client certificates are required, but nothing says which to trust",
            ));
        }
        Ok(Arc::new(DownstreamTls { common, require_client_certificate: required }))
    }

    /// Adds the settings of a Host under a name that no TLSContext has, for
    /// Mappings that name them.
    pub(crate) fn adopt(&mut self, input: &Input<'_>, name: String, wanted: Wanted) {
        if !self.by_name.contains_key(&name) {
            let resolved = self.resolve(input, &wanted).ok();
            self.by_name.insert(name, Context { wanted, resolved });
        }
    }

    /// Hands over which Secrets are to be sent, by resource name.
    pub(crate) fn into_uses(self) -> BTreeMap<Arc<str>, SecretUse> {
        self.uses
    }

    fn resolve(&mut self, input: &Input<'_>, wanted: &Wanted) -> Result<Common, Fault> {
        let spec = &wanted.spec;
        let parameters = Parameters {
            min: version(spec.min_tls_version.as_deref(), "spec.min_tls_version")?,
            max: version(spec.max_tls_version.as_deref(), "spec.max_tls_version")?,
            cipher_suites: spec.cipher_suites.clone(),
            ecdh_curves: spec.ecdh_curves.clone(),
        };
        if let Some((field, message)) = parameters.fault() {
            return Err(Fault::new(field, message));
        }
        let (certificate, root) = certificate(input, wanted)?;
        let trust = trust(input, wanted, root)?;
        Ok(Common {
            parameters,
            identity: certificate.map(|of| self.send(of)),
            trust: trust.map(|of| self.send(of)),
            alpn: spec.alpn_protocols.as_deref().map(split_alpn).unwrap_or_default(),
        })
    }

    fn send(&mut self, of: SecretUse) -> Arc<str> {
        let name = of.resource_name();
        self.uses.entry(name.clone()).or_insert(of);
        name
    }
}

impl Wanted {
    fn split(&self, name: &str) -> SecretName {
        split_name(name, &self.namespace, self.namespacing)
    }
}

/// Returns the certificate to show, and the Secret of it that holds its trust
/// anchor, too.
fn certificate(
    input: &Input<'_>,
    wanted: &Wanted,
) -> Result<(Option<SecretUse>, Option<SecretName>), Fault> {
    let spec = &wanted.spec;
    let secret =
        wanted.certificate.clone().or_else(|| spec.secret.as_ref().map(|name| wanted.split(name)));
    if let Some(files) = secret.as_ref().and_then(|at| of_istio(input, at, wanted)) {
        return Ok((Some(files), None));
    }
    if let Some(at) = secret {
        let secret = find(input, &at, "spec.secret")?;
        secret::key_pair(secret)
            .ok_or_else(|| Fault::secret("spec.secret", &at, "tls.crt and tls.key"))?;
        let root = secret::root(secret).is_some().then(|| at.clone());
        return Ok((Some(SecretUse::Certificate(at)), root));
    }
    match (&spec.cert_chain_file, &spec.private_key_file) {
        (Some(chain), Some(key)) => Ok((
            Some(SecretUse::CertificateFiles {
                chain: chain.clone(),
                key: key.clone(),
                named_by: wanted.named_by.clone(),
            }),
            None,
        )),
        (Some(_), None) => Err(Fault::new(
            "spec.private_key_file",
            "cert_chain_file needs private_key_file beside it",
        )),
        (None, Some(_)) => Err(Fault::new(
            "spec.cert_chain_file",
            "private_key_file needs cert_chain_file beside it",
        )),
        (None, None) => Ok((None, None)),
    }
}

/// Returns the certificate that Istio keeps in a folder, where the Secret is the
/// one that stands for it.
fn of_istio(input: &Input<'_>, at: &SecretName, wanted: &Wanted) -> Option<SecretUse> {
    let folder = input.settings.istio_secret_dir.as_deref()?.trim_end_matches('/');
    let named = at.0 == input.settings.namespace && at.1 == ISTIO_SECRET;
    named.then(|| SecretUse::CertificateFiles {
        chain: format!("{folder}/cert-chain.pem"),
        key: format!("{folder}/key.pem"),
        named_by: wanted.named_by.clone(),
    })
}

/// Returns what certificates of the other side are verified with.
fn trust(
    input: &Input<'_>,
    wanted: &Wanted,
    root: Option<SecretName>,
) -> Result<Option<SecretUse>, Fault> {
    let spec = &wanted.spec;
    let anchors = if let Some(name) = &spec.ca_secret {
        let at = wanted.split(name);
        secret::authorities(find(input, &at, "spec.ca_secret")?)
            .ok_or_else(|| Fault::secret("spec.ca_secret", &at, "tls.crt"))?;
        Some(Anchors::Authority(at))
    } else if let Some(path) = &spec.cacert_chain_file {
        Some(Anchors::File { path: path.clone(), named_by: wanted.named_by.clone() })
    } else {
        root.map(Anchors::Root)
    };
    let crl = match &spec.crl_secret {
        Some(name) => {
            let at = wanted.split(name);
            secret::revocations(find(input, &at, "spec.crl_secret")?)
                .ok_or_else(|| Fault::secret("spec.crl_secret", &at, "crl.pem"))?;
            Some(at)
        }
        None => None,
    };
    match anchors {
        Some(anchors) => Ok(Some(SecretUse::Validation { anchors, crl })),
        None if crl.is_some() => Err(Fault::new(
            "spec.crl_secret",
            "crl_secret needs ca_secret or cacert_chain_file beside it",
        )),
        None => Ok(None),
    }
}

/// Why a context has no settings.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }

    fn secret(field: &'static str, at: &SecretName, keys: &str) -> Self {
        Self::new(field, format!("Secret {}/{} holds no usable {keys}", at.0, at.1))
    }
}

fn find<'a>(
    input: &'a Input<'_>,
    at: &SecretName,
    field: &'static str,
) -> Result<&'a api::core::Secret, Fault> {
    input.looked_at.borrow_mut().insert(at.clone());
    match input.secrets.get(at).map(|object| &object.spec) {
        Some(Spec::Secret(secret)) => Ok(secret),
        _ => Err(Fault::new(field, format!("Secret {}/{} does not exist", at.0, at.1))),
    }
}

/// Splits `name.namespace` at the last dot where that is allowed.
pub(crate) fn split_name(name: &str, namespace: &str, namespacing: bool) -> SecretName {
    match name.rsplit_once('.') {
        Some((name, other)) if namespacing => (other.to_owned(), name.to_owned()),
        _ => (namespace.to_owned(), name.to_owned()),
    }
}

fn version(text: Option<&str>, field: &'static str) -> Result<Option<Version>, Fault> {
    let parse = |text: &str| {
        Version::parse(text)
            .ok_or_else(|| Fault::new(field, format!("`{text}` is none of v1.0, v1.1, v1.2, v1.3")))
    };
    text.map(parse).transpose()
}
