//! The contexts that the legacy `tls` Module stands for.

use nuncio_api as api;

/// Returns them by name: `server`, with what `client` says of its clients, and
/// every other block as it is.
pub(super) fn contexts(module: &api::TlsModule) -> Vec<(String, api::TlsContext)> {
    let used = |(_, given): &(&String, &api::TlsModuleContext)| given.enabled != Some(false);
    let client = module.contexts.get("client").filter(|client| client.enabled != Some(false));
    let blocks = module.contexts.iter().filter(used).filter(|(name, _)| *name != "client");
    blocks
        .map(|(name, given)| {
            let mut spec = context(given);
            if name == "server" {
                serve(&mut spec, client);
            }
            (name.clone(), spec)
        })
        .collect()
}

fn context(given: &api::TlsModuleContext) -> api::TlsContext {
    api::TlsContext {
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
    }
}

fn serve(spec: &mut api::TlsContext, client: Option<&api::TlsModuleContext>) {
    spec.hosts = vec!["*".to_owned()];
    if spec.secret.is_none() && spec.cert_chain_file.is_none() {
        spec.secret = Some("ambassador-certs".to_owned());
    }
    let Some(client) = client else { return };
    spec.ca_secret = client.secret.clone().or_else(|| client.ca_secret.clone());
    spec.cacert_chain_file = client.cacert_chain_file.clone();
    if spec.ca_secret.is_none() && spec.cacert_chain_file.is_none() {
        spec.ca_secret = Some("ambassador-cacert".to_owned());
    }
    spec.cert_required = client.cert_required.or(spec.cert_required);
}
