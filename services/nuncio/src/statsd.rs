//! Statistics over StatsD, by Emissary's variables.

use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::Context as _;
use nuncio_control_plane::Statsd;

/// Where Envoy sends its statistics.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Collector {
    /// Send Envoy's statistics to StatsD, besides serving them at `/metrics`:
    /// `true`.
    #[arg(long, env = "STATSD_ENABLED", default_value = "", hide_default_value = true)]
    statsd: String,

    /// Host of StatsD, looked up once.
    #[arg(long, env = "STATSD_HOST", default_value = "statsd-sink")]
    statsd_host: String,

    /// UDP port of StatsD.
    #[arg(long, env = "STATSD_PORT", default_value_t = 8125)]
    statsd_port: u16,

    /// Seconds between two reports.
    #[arg(
        long,
        env = "STATSD_FLUSH_INTERVAL",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=300),
        value_name = "SECONDS"
    )]
    statsd_flush_interval: u16,

    /// Send tags as Datadog's agent understands them: `true`.
    #[arg(long, env = "DOGSTATSD", default_value = "", hide_default_value = true)]
    dogstatsd: String,

    /// Tag everything with this `dd.internal.entity_id`.
    #[arg(long, env = "DD_ENTITY_ID", value_name = "NAME")]
    dd_entity_id: Option<String>,
}

impl Collector {
    /// Finds StatsD where it is wanted; blocks while its host is looked up.
    ///
    /// # Errors
    ///
    /// When the host is not found.
    pub(crate) fn find(&self) -> anyhow::Result<Option<Statsd>> {
        if !self.statsd.eq_ignore_ascii_case("true") {
            return Ok(None);
        }
        let missing = || format!("StatsD is not found at `{}`", self.statsd_host);
        let mut found = (self.statsd_host.as_str(), self.statsd_port)
            .to_socket_addrs()
            .with_context(missing)?;
        let address = found.next().with_context(missing)?;
        Ok(Some(self.at(address)))
    }

    fn at(&self, address: SocketAddr) -> Statsd {
        Statsd {
            address,
            dog: self.dogstatsd.eq_ignore_ascii_case("true"),
            flush_seconds: self.statsd_flush_interval,
            entity: self.dd_entity_id.clone().filter(|name| !name.is_empty()),
        }
    }
}
