//! A private Pebble: the real ACME test server, with its own DNS and its own
//! certificate authority, on free ports, ended with its owner.
//!
//! Pebble 2.4 hangs for good when newOrder requests meet other requests:
//! place orders one after the other.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// How a Pebble behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port at which it looks for HTTP-01 answers, on loopback for every name.
    pub http_port: u16,
    /// Life of the certificates it issues, in whole seconds.
    pub validity: Duration,
    /// Share of good nonces it refuses all the same, in percent.
    pub refused_nonces: u8,
}

/// A private Pebble. Every DNS name resolves to 127.0.0.1 for it. Dropping it
/// ends the servers.
#[derive(Debug)]
pub struct Pebble {
    folder: tempfile::TempDir,
    options: Options,
    port: u16,
    management: u16,
    dns: u16,
    servers: Vec<Child>,
}

impl Options {
    /// Certificates of 90 days, no refused nonces.
    pub fn new(http_port: u16) -> Self {
        let validity = Duration::from_secs(90 * 24 * 3600);
        Self { http_port, validity, refused_nonces: 0 }
    }
}

impl Pebble {
    /// Starts a Pebble that looks for HTTP-01 answers at `http_port`.
    ///
    /// # Errors
    /// See [`Pebble::start_with`].
    pub fn start(http_port: u16) -> anyhow::Result<Self> {
        Self::start_with(Options::new(http_port))
    }

    /// Starts a Pebble and waits until it answers. The programs are `pebble`
    /// and `pebble-challtestsrv` on the path.
    ///
    /// # Errors
    /// When a program is missing or does not answer in time.
    pub fn start_with(options: Options) -> anyhow::Result<Self> {
        let mut pebble = Self::reserve(options)?;
        // Another process may take a port between choice and start.
        let mut last = None;
        for _attempt in 0..5 {
            match pebble.launch() {
                Ok(()) => return Ok(pebble),
                Err(error) => last = Some(error),
            }
            (pebble.port, pebble.management, pebble.dns) =
                (free_port()?, free_port()?, free_port()?);
        }
        Err(last.expect("at least one attempt was made"))
    }

    /// Chooses ports and makes the certificates without starting anything: a
    /// CA that is down until [`Pebble::launch`].
    ///
    /// # Errors
    /// When there is no room for files or no free port.
    pub fn reserve(options: Options) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no folder for pebble")?;
        write_certificates(folder.path())?;
        let (port, management, dns) = (free_port()?, free_port()?, free_port()?);
        Ok(Self { folder, options, port, management, dns, servers: Vec::new() })
    }

    /// Starts the servers, with an empty memory, on the ports chosen before.
    ///
    /// # Errors
    /// When a program is missing or does not answer in time.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        self.stop();
        let config = self.write_config()?;
        let dns = Command::new("pebble-challtestsrv")
            .args(["-dns01", &format!("127.0.0.1:{}", self.dns)])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", ""])
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start `pebble-challtestsrv`: is it installed?")?;
        self.servers.push(dns);
        let refused = self.options.refused_nonces.to_string();
        let pebble = Command::new("pebble")
            .arg("-config")
            .arg(config)
            .args(["-dnsserver", &format!("127.0.0.1:{}", self.dns)])
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", &refused)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start `pebble`: is it installed?")?;
        self.servers.push(pebble);
        self.wait()
    }

    /// Returns the URL of the ACME directory.
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// Returns the URL of the management interface: `/roots/0` and the like.
    pub fn management(&self) -> String {
        format!("https://127.0.0.1:{}", self.management)
    }

    /// Returns a PEM file with the root to trust when speaking to it. The
    /// certificates it issues come from another root, new at each start.
    pub fn ca_bundle(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Ends the servers; whatever they knew is lost.
    pub fn stop(&mut self) {
        for mut server in self.servers.drain(..) {
            // Both fail only when the server has ended already.
            let _ended = server.kill();
            let _reaped = server.wait();
        }
    }

    fn write_config(&self) -> anyhow::Result<PathBuf> {
        let file = |name: &str| self.folder.path().join(name);
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management),
            "certificate": file("leaf.pem"),
            "privateKey": file("leaf.key"),
            "httpPort": self.options.http_port,
            "tlsPort": 5001,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": self.options.validity.as_secs(),
        }});
        let path = file("config.json");
        std::fs::write(&path, config.to_string()).context("cannot write pebble's config")?;
        Ok(path)
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        let addresses =
            [self.port, self.management].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        loop {
            for server in &mut self.servers {
                if let Ok(Some(status)) = server.try_wait() {
                    bail!("a server of pebble ended at once with {status}");
                }
            }
            let answers =
                |address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
            if addresses.into_iter().all(answers) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("pebble did not answer within {START:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes a root and a certificate for loopback from it, as PEM files.
fn write_certificates(folder: &Path) -> anyhow::Result<()> {
    let root_key = KeyPair::generate()?;
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key)?.pem();
    let leaf_key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let leaf_pem = leaf.signed_by(&leaf_key, &Issuer::new(root, root_key))?.pem();
    for (name, text) in
        [("ca.pem", root_pem), ("leaf.pem", leaf_pem), ("leaf.key", leaf_key.serialize_pem())]
    {
        std::fs::write(folder.join(name), text).context("cannot write pebble's certificates")?;
    }
    Ok(())
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// How long the servers may take to answer.
const START: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_ca_is_down_until_launched_and_ends_with_its_owner() {
        let mut pebble = Pebble::reserve(Options::new(1)).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, pebble.port));
        assert!(TcpStream::connect(address).is_err());
        pebble.launch().unwrap();
        assert!(TcpStream::connect(address).is_ok());
        drop(pebble);
        assert!(TcpStream::connect(address).is_err());
    }
}
