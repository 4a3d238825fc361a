//! Where Envoy tells that it serves its first configuration.

use std::net::{Ipv4Addr, SocketAddr};

/// Emissary's port, also where the one that is given cannot be.
pub(crate) const EMISSARY_PORT: u16 = 8006;

/// The largest port that Emissary takes.
const PORT_MAX: u16 = 32_766;

/// Address of Envoy's `/ready`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Ready {
    /// Address where Envoy answers `/ready`; loopback if only a port is given.
    #[arg(long, env = "NUNCIO_ENVOY_READY", value_name = "ADDRESS")]
    envoy_ready: Option<SocketAddr>,

    /// Port of `/ready`; outside of 1 to 32766 it is 8006.
    #[arg(long, env = "AMBASSADOR_READY_PORT", value_name = "PORT")]
    ready_port: Option<String>,
}

impl Ready {
    /// Makes it say one address.
    pub(crate) const fn at(address: SocketAddr) -> Self {
        Self { envoy_ready: Some(address), ready_port: None }
    }

    /// Returns the address; `default` is the port where none is given.
    pub(crate) fn address(&self, default: u16) -> SocketAddr {
        let port = || match self.ready_port.as_deref() {
            None | Some("") => default,
            Some(text) => {
                let port = text.parse().ok().filter(|port| (1..=PORT_MAX).contains(port));
                port.unwrap_or(EMISSARY_PORT)
            }
        };
        self.envoy_ready.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(envoy_ready: Option<&str>, ready_port: Option<&str>) -> String {
        let envoy_ready = envoy_ready.map(|text| text.parse().unwrap());
        Ready { envoy_ready, ready_port: ready_port.map(str::to_owned) }.address(1).to_string()
    }

    #[test]
    fn ports_that_emissary_does_not_take_revert_to_its_own() {
        assert_eq!(address(None, None), "127.0.0.1:1");
        assert_eq!(address(None, Some("")), "127.0.0.1:1");
        assert_eq!(address(None, Some("9000")), "127.0.0.1:9000");
        for bad in ["0", "32767", "70000", "-1", "http"] {
            assert_eq!(address(None, Some(bad)), "127.0.0.1:8006", "{bad}");
        }
        assert_eq!(address(Some("0.0.0.0:7"), Some("9000")), "0.0.0.0:7");
    }
}
