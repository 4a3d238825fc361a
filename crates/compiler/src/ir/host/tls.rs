//! TLS of a Host: which certificate, with which settings.

use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Spec};

use crate::ir::defaults::Defaults;
use crate::ir::input::Input;
use crate::ir::item::Item;
use crate::ir::secret::{SecretName, key_pair};
use crate::ir::tls::DownstreamTls;
use crate::ir::tls_context::{Context, Contexts, Fault, Wanted, split_name};

/// One Host, asked for its TLS.
pub(super) struct Certifier<'a> {
    pub(super) item: &'a Item,
    pub(super) spec: &'a api::Host,
    /// A certificate is ordered for it.
    pub(super) acme: bool,
    pub(super) input: &'a Input<'a>,
    pub(super) defaults: &'a Defaults,
}

impl Certifier<'_> {
    /// Resolves TLS; `None` when there is none or none that is usable. The Host
    /// then still answers cleartext by its policy: a redirect stays a redirect,
    /// and no made-up Host takes its place.
    pub(super) fn tls(
        &self,
        contexts: &mut Contexts,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Arc<DownstreamTls>> {
        let Self { item, spec, input, .. } = self;
        let Some(secret) = self.secret() else {
            findings.extend(self.tls_without_secret());
            return None;
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
        input.looked_at.borrow_mut().insert(secret.clone());
        let pending = self.acme && !input.secrets.contains_key(&secret);
        let result = self.wanted(&secret, contexts).and_then(|wanted| {
            findings.extend(self.for_other_hosts(&wanted.spec));
            let tls = contexts.terminate(input, &wanted)?;
            if spec.tls_context.is_none() {
                contexts.adopt(input, self.implied_context(), wanted);
            }
            Ok(tls)
        });
        match result {
            Ok(tls) => Some(tls),
            Err(_) if pending => None,
            Err(fault) => {
                findings.push(self.without_tls(&fault));
                None
            }
        }
    }

    /// The Secret with the certificate: the one that is named, or that of the
    /// hostname where a certificate is ordered.
    fn secret(&self) -> Option<SecretName> {
        let own = self.item.namespace();
        match self.spec.tls_secret.as_ref().filter(|secret| !secret.name.is_empty()) {
            Some(secret) => {
                let namespace = secret.namespace.as_deref().unwrap_or(own);
                Some((namespace.to_owned(), secret.name.clone()))
            }
            None => self.acme.then(|| (own.to_owned(), api::default_tls_secret(self.hostname()))),
        }
    }

    fn hostname(&self) -> &str {
        self.spec.hostname.as_deref().unwrap_or("*")
    }

    /// Name of the context that a Host adopts without naming it, and of the one
    /// that is made for it.
    fn implied_context(&self) -> String {
        format!("{}-context", self.item.name())
    }

    /// Returns the settings to terminate with.
    fn wanted(&self, secret: &SecretName, contexts: &Contexts) -> Result<Wanted, Fault> {
        let named = self.spec.tls_context.as_ref().map(|context| &context.name);
        let adopted = match (named, &self.spec.tls) {
            (Some(name), _) => Some(contexts.get(name).ok_or_else(|| {
                Fault::new("spec.tlsContext", format!("TLSContext `{name}` does not exist"))
            })?),
            (None, None) => contexts.get(&self.implied_context()),
            (None, Some(_)) => None,
        };
        if let Some(context) = adopted {
            return self.adopted(secret, context, named);
        }
        let given = self.spec.tls_secret.as_ref().and_then(|secret| secret.namespace.as_ref());
        Ok(Wanted {
            spec: self.spec.tls.as_ref().map(inline).unwrap_or_default(),
            certificate: Some(secret.clone()),
            namespace: self.item.namespace().to_owned(),
            namespacing: given.is_some() || self.defaults.secret_namespacing,
            named_by: (*self.item.id.source).clone(),
        })
    }

    /// A TLSContext takes the Host's certificate, or has the same one.
    fn adopted(
        &self,
        secret: &SecretName,
        context: &Context,
        named: Option<&String>,
    ) -> Result<Wanted, Fault> {
        let mut wanted = context.wanted.clone();
        let Some(own) = &wanted.spec.secret else {
            if wanted.spec.cert_chain_file.is_none() {
                wanted.certificate = Some(secret.clone());
            }
            return Ok(wanted);
        };
        if self.same_certificate(secret, &split_name(own, &wanted.namespace, wanted.namespacing)) {
            return Ok(wanted);
        }
        // Emissary reads the name as one of the Host's namespace.
        if self.same_certificate(secret, &(self.item.namespace().to_owned(), own.clone())) {
            wanted.certificate = Some(secret.clone());
            return Ok(wanted);
        }
        Err(Fault::new(
            "spec.tlsContext",
            format!(
                "its TLSContext `{}` has the certificate of Secret `{own}`, not that of {}/{}",
                named.cloned().unwrap_or_else(|| self.implied_context()),
                secret.0,
                secret.1
            ),
        ))
    }

    /// Whether two names lead to one certificate and key.
    fn same_certificate(&self, one: &SecretName, other: &SecretName) -> bool {
        let pair = |at: &SecretName| match &self.input.secrets.get(at)?.spec {
            Spec::Secret(secret) => key_pair(secret),
            _ => None,
        };
        self.input.looked_at.borrow_mut().insert(other.clone());
        one == other || pair(one).is_some_and(|known| pair(other) == Some(known))
    }

    /// Every TLS setting needs a certificate to go with.
    fn tls_without_secret(&self) -> Option<Diagnostic> {
        let field = match (&self.spec.tls_context, &self.spec.tls) {
            (Some(_), _) => "spec.tlsContext",
            (None, Some(_)) => "spec.tls",
            (None, None) => return None,
        };
        Some(self.item.warning(
            "tls-without-secret",
            field,
            "has no effect without tlsSecret; the Host has no TLS",
            "name the Secret with the certificate in tlsSecret",
        ))
    }

    /// A TLSContext that lists hosts should list the Host that adopts it.
    fn for_other_hosts(&self, context: &api::TlsContext) -> Option<Diagnostic> {
        let names_it =
            |host: &String| host == self.hostname() || host == self.item.name() || host == "*";
        if context.hosts.is_empty() || context.hosts.iter().any(names_it) {
            return None;
        }
        Some(self.item.warning(
            "tls-context-for-other-hosts",
            "spec.tlsContext",
            format!("the TLSContext is for {}; it is used all the same", context.hosts.join(", ")),
            "add the Host's hostname to the hosts of the TLSContext",
        ))
    }

    fn without_tls(&self, fault: &Fault) -> Diagnostic {
        let (field, remedy) = if fault.field == "spec.tlsContext" {
            (
                fault.field,
                "name a TLSContext that exists, without a secret or with that of tlsSecret",
            )
        } else {
            ("spec.tlsSecret", "see that the Secret exists and holds tls.crt and tls.key")
        };
        let message = format!("{}; the Host has no TLS until then", fault.message);
        self.item.error("host-without-tls", field, message, remedy)
    }
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
