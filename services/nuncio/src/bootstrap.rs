//! `nuncio bootstrap`: what an Envoy must know to begin.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use nuncio_control_plane::Bootstrap;

use crate::ready::{EMISSARY_PORT, Ready};
use crate::{output, statsd};

/// Print the bootstrap configuration of an Envoy, as JSON.
///
/// Start Envoy with it beside a control plane that runs elsewhere:
/// `nuncio bootstrap --control-plane HOST:PORT > envoy.json; envoy -c envoy.json`
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Control plane, as `host:port`.
    #[arg(
        long,
        env = "NUNCIO_CONTROL_PLANE",
        default_value = "127.0.0.1:18000",
        value_name = "HOST:PORT"
    )]
    control_plane: String,

    /// Name of this Envoy: one for each, such as `<namespace>/<pod>`.
    #[arg(long, env = "NUNCIO_NODE_ID", default_value = "envoy", value_name = "NAME")]
    node_id: String,

    /// Id of the gateway that this Envoy belongs to.
    #[arg(long, env = "AMBASSADOR_ID", value_name = "NAME")]
    ambassador_id: Option<String>,

    /// Namespace of the gateway.
    #[arg(long, env = "AMBASSADOR_NAMESPACE", default_value = "default", value_name = "NAME")]
    namespace: String,

    /// Address of Envoy's admin interface. It can stop Envoy and shows
    /// everything: keep it on loopback.
    #[arg(long, env = "NUNCIO_ENVOY_ADMIN", default_value = "127.0.0.1:8001")]
    envoy_admin: SocketAddr,

    #[command(flatten)]
    ready: Ready,

    #[command(flatten)]
    statsd: statsd::Collector,
}

pub(crate) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let (host, port) = parse(&settings.control_plane)
        .with_context(|| format!("`{}` is not `host:port`", settings.control_plane))?;
    let bootstrap = Bootstrap {
        node_id: settings.node_id.clone(),
        cluster: nuncio_control_plane::fleet(
            settings.ambassador_id.as_deref(),
            &settings.namespace,
        ),
        ads_host: host,
        ads_port: port,
        admin: settings.envoy_admin,
        ready: settings.ready.address(EMISSARY_PORT),
        statsd: settings.statsd.find()?,
    };
    output::text(&bootstrap.to_json());
    Ok(ExitCode::SUCCESS)
}

fn parse(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    let sound = !host.is_empty() && (bracketed.is_some() || !host.contains(':'));
    sound.then(|| Some((host.to_owned(), port.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_plane_is_host_and_port() {
        assert_eq!(parse("a.b:18000"), Some(("a.b".into(), 18000)));
        assert_eq!(parse("[::1]:1"), Some(("::1".into(), 1)));
        for bad in ["", "a", ":1", "::1:1", "a:x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
