//! Settings: flags and variables, under Emissary's names where the meaning is
//! equal.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use nuncio_compiler::Address;
use nuncio_process::{Args, HasArgs, Hidden, parse_duration};
use nuncio_xds::Rules;

mod emissary;
mod gateway;

pub(crate) use emissary::{Idle, idle};
pub use gateway::{Gateway, fleet};

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Everything the service can be told.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "nuncio-control-plane", version, about = "xDS control plane for Envoy")]
pub struct Settings {
    /// Logs and drain.
    #[command(flatten)]
    pub process: Args,
    /// Addresses of this service.
    #[command(flatten)]
    pub listen: Listen,
    /// Where objects are read from.
    #[command(flatten)]
    pub sources: Sources,
    /// Which objects count, and what they mean.
    #[command(flatten)]
    pub gateway: Gateway,
    /// The services beside this one.
    #[command(flatten)]
    pub neighbours: Neighbours,
    /// How patient the order of updates is.
    #[command(flatten)]
    pub order: Order,
}

/// Addresses of this service; port 0 takes any free port.
#[derive(Debug, Clone, clap::Args)]
pub struct Listen {
    /// gRPC address: ADS for Envoy and for our own services.
    #[arg(long = "grpc-host", env = "NUNCIO_ADS_HOST", default_value_t = ANY)]
    pub grpc_host: IpAddr,
    /// gRPC port.
    #[arg(long = "grpc-port", env = "NUNCIO_ADS_PORT", default_value_t = 18000)]
    pub grpc_port: u16,
    /// Admin address: probes, metrics, diagnostics.
    #[arg(long = "admin-host", env = "AMBASSADOR_HEALTHCHECK_BIND_ADDRESS", default_value_t = ANY)]
    pub admin_host: IpAddr,
    /// Admin port.
    #[arg(long = "admin-port", env = "AMBASSADOR_HEALTHCHECK_BIND_PORT", default_value_t = 8877)]
    pub admin_port: u16,
}

/// Where objects and endpoints are read from, and written back to.
#[derive(Debug, Clone, clap::Args)]
pub struct Sources {
    /// Folder of YAML to read objects from.
    #[arg(long = "config-dir", env = "AMBASSADOR_CONFIG_DIR")]
    pub config_dir: Option<PathBuf>,
    /// Folder that status and Secrets are written to; default `.nuncio` beside
    /// the objects.
    #[arg(long = "state", env = "NUNCIO_STATE")]
    pub state: Option<PathBuf>,
    /// Folder that `text_format_source` of error responses may name files in;
    /// files elsewhere are not read.
    #[arg(long, env = "NUNCIO_ERROR_PAGES", default_value = "/ambassador")]
    pub error_pages: PathBuf,
    /// The Consul that the ACL token is for, as ConsulResolvers write it.
    #[arg(long = "consul-address", env = "CONSUL_HTTP_ADDR")]
    pub consul_address: Option<String>,
    /// ACL token for that Consul; no other one is shown it.
    #[arg(long = "consul-token", env = "CONSUL_HTTP_TOKEN", hide_env_values = true)]
    pub consul_token: Option<Hidden<String>>,
}

/// The services beside this one, as Envoy reaches them.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Neighbours {
    /// Our auth service (ext_authz over gRPC), `host:port`.
    #[arg(long = "auth", env = "NUNCIO_AUTH_ADDRESS", value_parser = parse_address)]
    pub auth: Option<Address>,
    /// Our rate-limit service (RLS over gRPC), `host:port`.
    #[arg(long = "rate-limit", env = "NUNCIO_RATELIMIT_ADDRESS", value_parser = parse_address)]
    pub rate_limit: Option<Address>,
    /// Our certificates service (HTTP-01 answers), `host:port`.
    #[arg(long = "challenges", env = "NUNCIO_CHALLENGES_ADDRESS", value_parser = parse_address)]
    pub challenges: Option<Address>,
    /// Ready listener of the Envoy beside us; without it readiness is about
    /// configuration alone.
    #[arg(long = "envoy-ready", env = "NUNCIO_ENVOY_READY_ADDRESS")]
    pub envoy_ready: Option<SocketAddr>,
    /// Admin interface of the Envoy beside us, for its statistics.
    #[arg(long = "envoy-admin", env = "NUNCIO_ENVOY_ADMIN_ADDRESS")]
    pub envoy_admin: Option<SocketAddr>,
}

/// How patient the order of updates is.
#[derive(Debug, Clone, clap::Args)]
pub struct Order {
    /// Longest wait of listeners and routes for clusters to become warm.
    #[arg(long, env = "NUNCIO_XDS_HOLD", default_value = "5s", value_parser = parse_duration)]
    pub xds_hold: Duration,
    /// Wait between the last route to a cluster and the cluster's deletion.
    #[arg(long, env = "NUNCIO_XDS_GRACE", default_value = "30s", value_parser = parse_duration)]
    pub xds_grace: Duration,
}

// === impl Settings ===

impl HasArgs for Settings {
    fn args(&self) -> &Args {
        &self.process
    }
}

impl Settings {
    pub(crate) fn grpc(&self) -> SocketAddr {
        SocketAddr::new(self.listen.grpc_host, self.listen.grpc_port)
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.listen.admin_host, self.listen.admin_port)
    }

    pub(crate) fn consul(&self) -> nuncio_source::ConsulSettings {
        nuncio_source::ConsulSettings {
            token: self.sources.consul_token.clone(),
            token_for: self.sources.consul_address.clone(),
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules { hold: self.order.xds_hold, grace: self.order.xds_grace, ..Rules::default() }
    }

    pub(crate) fn compiler(&self, admin: SocketAddr) -> nuncio_compiler::Settings {
        // Envoy goes to the admin port over loopback when it stands beside us.
        let admin = if admin.ip().is_unspecified() {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), admin.port())
        } else {
            admin
        };
        nuncio_compiler::Settings {
            resolve_defined_services: self.sources.config_dir.is_some(),
            auth: self.neighbours.auth.clone(),
            rate_limit: self.neighbours.rate_limit.clone(),
            challenges: self.neighbours.challenges.clone(),
            admin: Some(admin.into()),
            ..self.gateway.compiler()
        }
    }
}

fn parse_address(text: &str) -> Result<Address, String> {
    let bad = || format!("`{text}` is not `host:port`");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().map_err(|_| bad())?;
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    if host.is_empty() || (bracketed.is_none() && host.contains(':')) {
        return Err(bad());
    }
    Ok(Address::new(host, port))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        assert_eq!(parse_address("auth.nuncio:8500"), Ok(Address::new("auth.nuncio", 8500)));
        assert_eq!(parse_address("[::1]:8500"), Ok(Address::new("::1", 8500)));
        for bad in ["", "auth", ":80", "::1:80", "auth:http", "auth:70000"] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_manual() {
        let settings = Settings::parse_from(["nuncio-control-plane"]);
        assert_eq!(settings.grpc().to_string(), "0.0.0.0:18000");
        assert_eq!(settings.admin().to_string(), "0.0.0.0:8877");
        let compiler = settings.compiler(settings.admin());
        assert_eq!(compiler.admin, Some(Address::new("127.0.0.1", 8877)));
        assert!(compiler.endpoint_routing && compiler.strict_label_selectors);
    }
}
