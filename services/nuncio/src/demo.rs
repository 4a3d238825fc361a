//! What `nuncio run --demo` adds to the quickstart: a backend, a certificate,
//! a token, and commands to paste.

mod token;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use bytes::Bytes;
use nuncio_api::core::Secret;
use nuncio_source::Sink;

use crate::certgen::Bundle;
use crate::echo::{Document, Echo, Options};
use token::Signer;

/// Name of the Secret that the quickstart's Host refers to.
const TLS_SECRET: &str = "quickstart-tls";
/// Issuer that the quickstart's Filter asks for.
const ISSUER: &str = "quickstart";
/// Key in the quickstart's Secret.
const API_KEY: &str = "quickstart-key-of-alice";

/// The running demo.
#[derive(Debug)]
pub(crate) struct Demo {
    _backend: Echo,
    authority: PathBuf,
    token: String,
}

impl Demo {
    /// Starts the backend, writes the Secret that the quickstart leaves out,
    /// and the authority to trust into `state`.
    ///
    /// # Errors
    ///
    /// When the backend's port is taken or something cannot be written.
    pub(crate) async fn start(
        address: SocketAddr,
        sink: &Sink,
        state: &Path,
    ) -> anyhow::Result<Self> {
        let signer = Signer::generate()?;
        let mut options = Options { address, ..Options::named("quote") };
        let keys = Document {
            content_type: "application/json",
            body: Bytes::from(signer.key_set().to_string()),
        };
        options.documents.insert("/.well-known/jwks.json".into(), keys);
        let backend = Echo::start(options)
            .await
            .with_context(|| format!("cannot start the demo's backend on {address}"))?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let bundle = Bundle::generate(&names)?;
        let authority = state.join("demo-ca.crt");
        std::fs::write(&authority, &bundle.authority)
            .with_context(|| format!("cannot write {}", authority.display()))?;
        sink.write_secret("default", TLS_SECRET, &secret(bundle)).await?;
        let token = signer.token(ISSUER, "alice", SystemTime::now());
        Ok(Self { _backend: backend, authority, token })
    }

    /// Returns commands to paste, each with what to expect, for a gateway whose
    /// lower port is the one for cleartext, as in the quickstart.
    pub(crate) fn commands(&self, listeners: &[(String, SocketAddr)]) -> String {
        let inner = |name: &str| name == "nuncio-ready";
        let outer = listeners.iter().filter(|(name, _)| !inner(name));
        let mut ports: Vec<u16> = outer.map(|(_, address)| address.port()).collect();
        ports.sort_unstable();
        let http = ports.first().copied().unwrap_or(8080);
        let https = ports.last().copied().unwrap_or(8443);
        let authority = self.authority.display();
        let token = &self.token;
        format!(
            "\
# Routing: the quote service answers.
curl -i http://localhost:{http}/backend/
# TLS, with a certificate of a throwaway authority.
curl -i --cacert {authority} https://localhost:{https}/backend/
# Rate limit: the fourth request within a minute is answered 429.
for i in 1 2 3 4; do curl -s -o /dev/null -w '%{{http_code}}\\n' http://localhost:{http}/limited/; done
# API key: 403 without, 200 with.
curl -i http://localhost:{http}/keys/
curl -i -H 'x-api-key: {API_KEY}' http://localhost:{http}/keys/
# JSON Web Token: 401 without, 200 with.
curl -i http://localhost:{http}/tokens/
curl -i -H 'authorization: Bearer {token}' http://localhost:{http}/tokens/"
        )
    }
}

fn secret(bundle: Bundle) -> Secret {
    let data = [("tls.crt", bundle.chain), ("tls.key", bundle.key)];
    Secret {
        kind: "kubernetes.io/tls".into(),
        data: data.map(|(name, text)| (name.to_owned(), text.into_bytes())).into(),
    }
}
