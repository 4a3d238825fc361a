//! `nuncio echo`: a backend to try things with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use nuncio_process::Args;

use crate::echo::{Echo, Options, server_config};
use crate::output;

/// Run a backend that answers with what it received.
///
/// One port speaks HTTP/1.1, HTTP/2, gRPC (each message comes back) and
/// websockets (likewise). A request shapes its own answer with query
/// parameters or x-echo- headers: status=503, delay-ms=250,
/// header=name:value.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Name said in every answer.
    #[arg(long, default_value = "echo")]
    name: String,

    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8090")]
    address: SocketAddr,

    /// Speak TLS with this certificate chain (PEM file).
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM file).
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Accept client certificates of this authority (PEM file).
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
}

impl Settings {
    fn options(&self) -> anyhow::Result<Options> {
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(chain), Some(key)) => Some(self.tls(chain, key)?),
            _ => None,
        };
        let name = self.name.clone();
        Ok(Options { name, address: self.address, tls, documents: BTreeMap::new() })
    }

    fn tls(&self, chain: &Path, key: &Path) -> anyhow::Result<Arc<rustls::ServerConfig>> {
        let authority = self.tls_client_ca.as_deref().map(read).transpose()?;
        Ok(server_config(&read(chain)?, &read(key)?, authority.as_deref())?)
    }
}

/// Runs until a signal.
pub(crate) fn run(args: &Args, settings: Settings) -> ExitCode {
    nuncio_process::block_on("echo", args, async move |_context| {
        let options = settings.options()?;
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let address = options.address;
        let echo =
            Echo::start(options).await.with_context(|| format!("cannot listen on {address}"))?;
        output::line(format_args!("listening {} {scheme}://{}", echo.name(), echo.address()));
        output::line("ready");
        Ok(echo)
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
