//! Settings of the auth service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nuncio_process::{Args, HasArgs, Hidden};

/// Settings of the auth service.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "nuncio-auth", version, about = "Envoy ext_authz service of Nuncio")]
pub struct Settings {
    /// Address of ext_authz over gRPC.
    #[arg(long, env = "NUNCIO_AUTH_GRPC", default_value = "0.0.0.0:8500")]
    pub grpc: SocketAddr,

    /// Address of ext_authz over HTTP.
    #[arg(long, env = "NUNCIO_AUTH_HTTP", default_value = "0.0.0.0:8501")]
    pub http: SocketAddr,

    /// Address of the admin port.
    #[arg(long, env = "NUNCIO_AUTH_ADMIN", default_value = "0.0.0.0:8502")]
    pub admin: SocketAddr,

    /// Control plane to take filters and policies from, `host:port`.
    #[arg(long, env = "NUNCIO_AUTH_CONTROL_PLANE", conflicts_with = "config")]
    pub control_plane: Option<String>,

    /// File or folder of YAML to take filters and policies from instead;
    /// changes are noticed within a second.
    #[arg(long, env = "NUNCIO_AUTH_CONFIG")]
    pub config: Option<PathBuf>,

    /// Name of this replica towards the control plane.
    #[arg(long, env = "NUNCIO_AUTH_NODE_ID", default_value = "auth")]
    pub node_id: String,

    /// Which instance's objects are read from files.
    #[arg(long, env = "AMBASSADOR_ID", default_value = "default")]
    pub ambassador_id: String,

    /// Namespace of objects in files that name none.
    #[arg(long, env = "AMBASSADOR_NAMESPACE", default_value = "default")]
    pub namespace: String,

    /// Longest time for all filters of a request, such as `4s`; about a second
    /// below Envoy's own, so that our answer wins.
    #[arg(long, env = "AES_AUTH_TIMEOUT", default_value = "4s", value_parser = duration)]
    pub timeout: Duration,

    /// Key of `hmac:` values in the Secrets of APIKey filters.
    #[arg(long, env = "NUNCIO_AUTH_API_KEY_HMAC", hide_env_values = true)]
    pub api_key_hmac: Option<Hidden<String>>,

    /// Let guarded paths with `%2F`, `%5C`, `\` or `;` pass where every
    /// reading of them falls under the same rule; otherwise they are answered
    /// 400.
    #[arg(long, env = "NUNCIO_AUTH_ALLOW_ENCODED_PATHS")]
    pub allow_encoded_paths: bool,

    /// Settings of every process.
    #[command(flatten)]
    pub common: Args,
}

impl HasArgs for Settings {
    fn args(&self) -> &Args {
        &self.common
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: nuncio_api::filter::GoDuration =
        text.parse().map_err(|error| format!("{error}"))?;
    match parsed.is_zero() {
        true => Err("must be longer than 0".to_owned()),
        false => Ok(parsed.0),
    }
}
