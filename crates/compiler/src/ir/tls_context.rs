//! TLSContexts and the Secrets they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Kind, Object, ObjectKey, Spec};

use super::defaults::Defaults;
use super::item::Item;
use super::scene::{Input, Origination};
use super::tls::{
    Common, DownstreamTls, Identity, Parameters, Trust, UpstreamTls, Version, split_alpn,
};
use crate::names;

/// Secrets by namespace and name.
pub(crate) type Secrets = BTreeMap<(String, String), Arc<Object>>;

/// One Secret: namespace and name.
pub(crate) type SecretName = (String, String);

/// What a resource sent by SDS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretUse {
    /// Certificate chain and key.
    Certificate(SecretName),
    /// Trust anchors, revocation lists.
    Validation { anchors: SecretName, crl: Option<SecretName> },
}

/// Returns certificate chain and key of a Secret.
pub(crate) fn key_pair(secret: &api::core::Secret) -> Option<(&[u8], &[u8])> {
    let chain = secret.bytes("tls.crt").or_else(|| secret.bytes("cert-chain.pem"))?;
    let key = secret.bytes("tls.key").or_else(|| secret.bytes("key.pem"))?;
    (is_pem(chain, "CERTIFICATE") && is_pem(key, "PRIVATE KEY")).then_some((chain, key))
}

/// Returns the trust anchors of a Secret.
pub(crate) fn anchors(secret: &api::core::Secret) -> Option<&[u8]> {
    let keys = ["tls.crt", "root-cert.pem", "cert-chain.pem", "ca.crt"];
    keys.into_iter().find_map(|key| secret.bytes(key)).filter(|pem| is_pem(pem, "CERTIFICATE"))
}

/// Returns the revocation lists of a Secret.
pub(crate) fn revocations(secret: &api::core::Secret) -> Option<&[u8]> {
    secret.bytes("crl.pem").filter(|pem| is_pem(pem, "X509 CRL"))
}

/// Whether the bytes hold at least one PEM block of that kind, and only
/// well-formed blocks.
pub(crate) fn is_pem(bytes: &[u8], kind: &str) -> bool {
    match pem::parse_many(bytes) {
        Ok(blocks) => blocks.iter().any(|block| block.tag().ends_with(kind)),
        Err(_) => false,
    }
}

/// A context with its resolved settings, or why it has none.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) spec: api::TlsContext,
    pub(crate) namespace: String,
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
            let mut name = item.name().to_owned();
            if contexts.by_name.contains_key(&name) {
                name = names::dotted(&name, item.namespace());
            }
            contexts.insert(input, defaults, name, Some(item), spec, findings);
        }
        for item in input.of(Kind::Module) {
            let Spec::Module(module) = &item.object.spec else { continue };
            let api::ModuleConfig::Tls(tls) = &module.config else { continue };
            for (name, spec) in module_contexts(tls) {
                if !contexts.by_name.contains_key(&name) {
                    contexts.insert(input, defaults, name, Some(item), &spec, findings);
                }
            }
        }
        contexts
    }

    fn insert(
        &mut self,
        input: &Input<'_>,
        defaults: &Defaults,
        name: String,
        item: Option<&Item>,
        spec: &api::TlsContext,
        findings: &mut Vec<Diagnostic>,
    ) {
        let namespace = item.map_or(input.settings.namespace.as_str(), Item::namespace);
        let namespacing = spec.secret_namespacing.unwrap_or(defaults.secret_namespacing);
        let resolved = match self.resolve(input, spec, namespace, namespacing) {
            Ok(common) => Some(common),
            Err(fault) => {
                if let Some(item) = item {
                    findings.push(item.error(
                        "unusable-tls-context",
                        fault.field,
                        fault.message,
                        "see that the Secret exists and holds what the field needs",
                    ));
                }
                None
            }
        };
        let context = Context { spec: spec.clone(), namespace: namespace.to_owned(), resolved };
        self.by_name.insert(name, context);
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
        let origination = |context: &Context| match &context.resolved {
            Some(common)
                if common.identity.is_some()
                    || common.trust.is_some()
                    || context.spec.sni.is_some() =>
            {
                Origination::Usable(Arc::new(UpstreamTls {
                    common: common.clone(),
                    sni: context.spec.sni.clone(),
                }))
            }
            _ => Origination::Unusable,
        };
        self.by_name.iter().map(|(name, context)| (name.clone(), origination(context))).collect()
    }

    /// Resolves settings for termination; an identity must come out.
    pub(crate) fn terminate(
        &mut self,
        input: &Input<'_>,
        spec: &api::TlsContext,
        namespace: &str,
        namespacing: bool,
    ) -> Result<Arc<DownstreamTls>, Fault> {
        let common = self.resolve(input, spec, namespace, namespacing)?;
        if common.identity.is_none() {
            return Err(Fault::new("spec.secret", "names no certificate"));
        }
        let required = spec.cert_required == Some(true);
        if required && common.trust.is_none() {
            return Err(Fault::new(
                "spec.cert_required",
                "client certificates are required, but nothing says which to trust",
            ));
        }
        Ok(Arc::new(DownstreamTls { common, require_client_certificate: required }))
    }

    /// Hands over which Secrets are to be sent, by resource name.
    pub(crate) fn into_uses(self) -> BTreeMap<Arc<str>, SecretUse> {
        self.uses
    }

    fn resolve(
        &mut self,
        input: &Input<'_>,
        spec: &api::TlsContext,
        namespace: &str,
        namespacing: bool,
    ) -> Result<Common, Fault> {
        let split = |name: &str| split_name(name, namespace, namespacing);
        let mut common = Common {
            parameters: Parameters {
                min: version(spec.min_tls_version.as_deref(), "spec.min_tls_version")?,
                max: version(spec.max_tls_version.as_deref(), "spec.max_tls_version")?,
                cipher_suites: spec.cipher_suites.clone(),
                ecdh_curves: spec.ecdh_curves.clone(),
            },
            alpn: spec.alpn_protocols.as_deref().map(split_alpn).unwrap_or_default(),
            ..Default::default()
        };
        let crl = match &spec.crl_secret {
            Some(name) => {
                let at = split(name);
                let secret = find(input, &at, "spec.crl_secret")?;
                revocations(secret)
                    .ok_or_else(|| Fault::secret("spec.crl_secret", &at, "crl.pem"))?;
                Some(at)
            }
            None => None,
        };
        if let Some(name) = &spec.secret {
            let at = split(name);
            let secret = find(input, &at, "spec.secret")?;
            key_pair(secret)
                .ok_or_else(|| Fault::secret("spec.secret", &at, "tls.crt and tls.key"))?;
            common.identity = Some(Identity::Secret(self.certificate(&at)));
            if secret.bytes("root-cert.pem").is_some() && spec.ca_secret.is_none() {
                common.trust = Some(Trust::Secret(self.validation(&at, crl.clone())));
            }
        } else if let (Some(chain), Some(key)) = (&spec.cert_chain_file, &spec.private_key_file) {
            common.identity = Some(Identity::Files { chain: chain.clone(), key: key.clone() });
        } else if spec.cert_chain_file.is_some() {
            return Err(Fault::new("spec.private_key_file", "cert_chain_file needs it"));
        }
        if let Some(name) = &spec.ca_secret {
            let at = split(name);
            let secret = find(input, &at, "spec.ca_secret")?;
            anchors(secret).ok_or_else(|| Fault::secret("spec.ca_secret", &at, "tls.crt"))?;
            common.trust = Some(Trust::Secret(self.validation(&at, crl)));
        } else if let Some(path) = &spec.cacert_chain_file {
            common.trust = Some(Trust::File(path.clone()));
        } else if crl.is_some() && common.trust.is_none() {
            return Err(Fault::new("spec.crl_secret", "needs ca_secret beside it"));
        }
        Ok(common)
    }

    fn certificate(&mut self, at: &SecretName) -> Arc<str> {
        let name: Arc<str> = format!("certificate/{}.{}", at.1, at.0).into();
        self.uses.insert(name.clone(), SecretUse::Certificate(at.clone()));
        name
    }

    fn validation(&mut self, at: &SecretName, crl: Option<SecretName>) -> Arc<str> {
        let mut name = format!("validation/{}.{}", at.1, at.0);
        if let Some((namespace, crl)) = &crl {
            name.push_str(&format!("/{crl}.{namespace}"));
        }
        let name: Arc<str> = name.into();
        self.uses.insert(name.clone(), SecretUse::Validation { anchors: at.clone(), crl });
        name
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

/// The contexts that the legacy `tls` Module stands for.
fn module_contexts(module: &api::TlsModule) -> Vec<(String, api::TlsContext)> {
    let mut contexts = Vec::new();
    let client = module.contexts.get("client").filter(|c| c.enabled != Some(false));
    for (name, given) in &module.contexts {
        if name == "client" || given.enabled == Some(false) {
            continue;
        }
        let mut spec = api::TlsContext {
            secret: given.secret.clone(),
            cert_chain_file: given.cert_chain_file.clone(),
            private_key_file: given.private_key_file.clone(),
            ca_secret: given.ca_secret.clone(),
            cacert_chain_file: given.cacert_chain_file.clone(),
            cert_required: given.cert_required,
            alpn_protocols: given.alpn_protocols.clone(),
            min_tls_version: given.min_tls_version.clone(),
            max_tls_version: given.max_tls_version.clone(),
            cipher_suites: given.cipher_suites.clone(),
            ecdh_curves: given.ecdh_curves.clone(),
            sni: given.sni.clone(),
            ..Default::default()
        };
        if name == "server" {
            spec.hosts = vec!["*".to_owned()];
            if spec.secret.is_none() && spec.cert_chain_file.is_none() {
                spec.secret = Some("ambassador-certs".to_owned());
            }
            if let Some(client) = client {
                spec.ca_secret = client.secret.clone().or_else(|| client.ca_secret.clone());
                spec.cacert_chain_file = client.cacert_chain_file.clone();
                spec.cert_required = client.cert_required;
            }
        }
        contexts.push((name.clone(), spec));
    }
    contexts
}

/// Returns the object a resource sent by SDS comes from.
pub(crate) fn sources(of: &SecretUse) -> Vec<ObjectKey> {
    let key = |(namespace, name): &SecretName| ObjectKey::new(Kind::Secret, namespace, name);
    match of {
        SecretUse::Certificate(at) => vec![key(at)],
        SecretUse::Validation { anchors, crl } => {
            let mut keys: Vec<_> = std::iter::once(anchors).chain(crl).map(key).collect();
            keys.sort();
            keys
        }
    }
}
