//! What `nuncio run --demo` adds to the quickstart: a backend, a certificate,
//! a token, and commands to paste.

mod token;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use bytes::Bytes;

use crate::certgen::Bundle;
use crate::echo::{Document, Echo, Options};
use token::Signer;

/// Where the quickstart's Service and Filter expect the backend.
const BACKEND: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8090);
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
    /// Starts the backend and writes what the quickstart leaves out below
    /// `state`.
    ///
    /// # Errors
    ///
    /// When the backend's port is taken or the folder cannot be written.
    pub(crate) async fn start(state: &Path) -> anyhow::Result<Self> {
        let signer = Signer::generate()?;
        let mut options = Options { address: BACKEND, ..Options::named("quote") };
        let keys = Document {
            content_type: "application/json",
            body: Bytes::from(signer.key_set().to_string()),
        };
        options.documents.insert("/.well-known/jwks.json".into(), keys);
        let backend = Echo::start(options)
            .await
            .with_context(|| format!("cannot start the demo's backend on {BACKEND}"))?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let bundle = Bundle::generate(&names)?;
        let authority = state.join("demo-ca.crt");
        std::fs::write(&authority, &bundle.authority)
            .with_context(|| format!("cannot write {}", authority.display()))?;
        write_secret(state, &bundle)?;
        let token = signer.token(ISSUER, "alice", SystemTime::now());
        Ok(Self { _backend: backend, authority, token })
    }

    /// Returns commands to paste, each with what to expect, for a gateway on
    /// the quickstart's ports.
    pub(crate) fn commands(&self) -> String {
        let authority = self.authority.display();
        let token = &self.token;
        format!(
            "\
# Routing: the quote service answers.
curl -i http://localhost:8080/backend/
# TLS, with a certificate of a throwaway authority.
curl -i --cacert {authority} https://localhost:8443/backend/
# Rate limit: the fourth request within a minute is answered 429.
for i in 1 2 3 4; do curl -s -o /dev/null -w '%{{http_code}}\\n' http://localhost:8080/limited/; done
# API key: 403 without, 200 with.
curl -i http://localhost:8080/keys/
curl -i -H 'x-api-key: {API_KEY}' http://localhost:8080/keys/
# JSON Web Token: 401 without, 200 with.
curl -i http://localhost:8080/tokens/
curl -i -H 'authorization: Bearer {token}' http://localhost:8080/tokens/"
        )
    }
}
