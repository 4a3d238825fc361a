//! What the service can be told.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use nuncio_process::{Args, HasArgs};
use nuncio_source::Scope;

use crate::probe::Gateway;

/// Everything the service can be told.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "nuncio-certificates", version, about = "ACME certificate manager")]
pub struct Settings {
    /// Logs and drain.
    #[command(flatten)]
    pub process: Args,
    /// Addresses.
    #[command(flatten)]
    pub listen: Listen,
    /// Which objects are managed, and where.
    #[command(flatten)]
    pub objects: Objects,
    /// How CAs are spoken to.
    #[command(flatten)]
    pub acme: Acme,
}

/// Addresses; port 0 takes any free port.
#[derive(Debug, Clone, clap::Args)]
pub struct Listen {
    /// Address of both ports.
    #[arg(long, env = "NUNCIO_BIND_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub bind_address: IpAddr,
    /// Port that answers HTTP-01 challenges.
    #[arg(long, env = "NUNCIO_CERTIFICATES_HTTP_PORT", default_value_t = 8402)]
    pub http_port: u16,
    /// Admin port: `/live`, `/ready`, `/metrics`, `/log`.
    #[arg(long, env = "NUNCIO_CERTIFICATES_ADMIN_PORT", default_value_t = 8404)]
    pub admin_port: u16,
}

/// Which objects are managed, and where things are kept.
#[derive(Debug, Clone, clap::Args)]
pub struct Objects {
    /// Folder of YAML to read objects from.
    #[arg(long = "config-dir", env = "AMBASSADOR_CONFIG_DIR")]
    pub folder: PathBuf,
    /// Folder that Secrets and statuses are written to; default `.nuncio`
    /// beside the objects.
    #[arg(long, env = "NUNCIO_STATE")]
    pub state: Option<PathBuf>,
    /// Folder of accounts, orders under way and histories; it holds private
    /// keys. Default: `certificates` in the state folder.
    #[arg(long, env = "NUNCIO_CERTIFICATES_RECORDS")]
    pub records: Option<PathBuf>,
    /// Id of the gateway: only Hosts with this `ambassador_id` are managed.
    #[arg(long, env = "AMBASSADOR_ID", default_value = "default")]
    pub ambassador_id: String,
    /// Namespace of shared account keys, of the fallback pair, and of objects
    /// that name none.
    #[arg(long, env = "AMBASSADOR_NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Pairs may be written from one namespace to another: `from/to`,
    /// comma-separated.
    #[arg(long, env = "NUNCIO_CERTIFICATES_ALLOW_NAMESPACES", value_delimiter = ',', value_parser = parse_pair)]
    pub allow_namespaces: Vec<(String, String)>,
    /// Which objects count.
    #[command(flatten)]
    pub scope: Scope,
}

/// How CAs are spoken to.
#[derive(Debug, Clone, clap::Args)]
pub struct Acme {
    /// File with more roots to trust when speaking to a CA, PEM; private CAs
    /// need it.
    #[arg(long, env = "NUNCIO_ACME_CA_BUNDLE")]
    pub acme_ca_bundle: Option<PathBuf>,
    /// Where to see a challenge answered by the gateway before the CA is asked:
    /// `off`, `listeners` (this machine, the ports of HTTP Listeners), or
    /// `host:port`, comma-separated.
    #[arg(long, env = "NUNCIO_ACME_PROBE", default_value = "off")]
    pub acme_probe: Gateway,
    /// How long to wait for the gateway before the CA is asked all the same,
    /// such as `2m`.
    #[arg(long, env = "NUNCIO_ACME_PROBE_PATIENCE", default_value = "2m", value_parser = parse_duration)]
    pub acme_probe_patience: Duration,
    /// Issues under way at one CA at a time, 1 to 60.
    #[arg(long, env = "NUNCIO_ACME_IN_FLIGHT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=60))]
    pub acme_in_flight: u16,
    /// Answer challenges and do nothing else, while another manager is at
    /// work. Edge Stack's variable; any value but `false`, `0`, `no` counts.
    #[arg(long, env = "AES_ACME_LEADER_DISABLE", default_value = "false", num_args = 0..=1, default_missing_value = "true", value_parser = parse_bool)]
    pub acme_leader_disable: bool,
}

impl HasArgs for Settings {
    fn args(&self) -> &Args {
        &self.process
    }
}

impl Settings {
    /// Returns the defaults for a folder of YAML and its state folder, on
    /// loopback and free ports.
    pub fn for_folder(folder: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self {
            process: Args::default(),
            listen: Listen {
                bind_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                http_port: 0,
                admin_port: 0,
            },
            objects: Objects {
                folder: folder.into(),
                state: Some(state.into()),
                records: None,
                ambassador_id: "default".into(),
                namespace: "default".into(),
                allow_namespaces: Vec::new(),
                scope: Scope::default(),
            },
            acme: Acme {
                acme_ca_bundle: None,
                acme_probe: Gateway::Off,
                acme_probe_patience: Duration::from_secs(120),
                acme_in_flight: 20,
                acme_leader_disable: false,
            },
        }
    }
}

impl Listen {
    pub(crate) fn http(&self) -> SocketAddr {
        (self.bind_address, self.http_port).into()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        (self.bind_address, self.admin_port).into()
    }
}

impl Objects {
    pub(crate) fn state(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| nuncio_source::default_state(&self.folder))
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.records.clone().unwrap_or_else(|| self.state().join("certificates"))
    }

    pub(crate) fn allowed(&self) -> BTreeSet<(String, String)> {
        self.allow_namespaces.iter().cloned().collect()
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => {
            Ok((from.to_owned(), to.to_owned()))
        }
        _ => Err(format!("`{text}` is not `from/to`, two namespaces")),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text.trim().strip_suffix("ms") {
        Some(number) => (number, 1),
        None => match text.trim().split_at_checked(text.trim().len().saturating_sub(1)) {
            Some((number, "s")) => (number, 1000),
            Some((number, "m")) => (number, 60_000),
            Some((number, "h")) => (number, 3_600_000),
            _ => return Err(format!("`{text}` needs a unit: ms, s, m or h, as in `5s`")),
        },
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is not a duration such as `500ms` or `5s`"))
}

fn parse_bool(text: &str) -> Result<bool, String> {
    Ok(!matches!(
        text.trim().to_ascii_lowercase().as_str(),
        "" | "0" | "f" | "no" | "off" | "false"
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn settings_are_read_from_flags() {
        let settings = Settings::try_parse_from([
            "certificates",
            "--acme-probe",
            "listeners",
            "--acme-probe-patience",
            "500ms",
            "--allow-namespaces",
            "a/b,c/d",
            "--acme-leader-disable",
            "--config-dir",
            "/srv/objects",
        ])
        .unwrap();
        assert_eq!(settings.acme.acme_probe_patience, Duration::from_millis(500));
        assert!(settings.acme.acme_leader_disable);
        assert!(settings.objects.allowed().contains(&("c".into(), "d".into())));
        assert_eq!(settings.objects.records(), PathBuf::from("/srv/.nuncio/certificates"));
        for bad in [["--acme-probe", "x"], ["--allow-namespaces", "a"], ["--acme-in-flight", "0"]] {
            let arguments = ["certificates", "--config-dir", ".", bad[0], bad[1]];
            assert!(Settings::try_parse_from(arguments).is_err(), "{bad:?}");
        }
    }
}
