//! A private Envoy: the real program on free ports, ended with its owner.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use envoy_types::pb::envoy::config::bootstrap::v3::{Admin, Bootstrap};
use envoy_types::pb::envoy::config::core::v3 as core;
use prost::Message as _;
use serde_json::Value;

/// How long Envoy may take to be live. A table of 100,000 routes takes seconds.
const START: Duration = Duration::from_secs(60);
/// Pause between two looks at a state.
const PAUSE: Duration = Duration::from_millis(10);

/// Returns the Envoy that tests use: `NUNCIO_ENVOY`, or the one that
/// `.ci/tools` puts below the workspace root.
pub fn program() -> PathBuf {
    std::env::var_os("NUNCIO_ENVOY").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/envoy-1.40.0/envoy"),
        PathBuf::from,
    )
}

/// An Envoy with one worker. Dropping it ends it.
#[derive(Debug)]
pub struct Envoy {
    folder: tempfile::TempDir,
    process: Child,
    admin: SocketAddr,
}

impl Envoy {
    /// Starts Envoy and waits until it is live. The admin address in the
    /// bootstrap is replaced by a free port on loopback.
    ///
    /// # Errors
    /// When the program is missing, refuses the bootstrap (the error holds its
    /// log) or is not live in time.
    pub fn start(mut bootstrap: Bootstrap) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no folder for Envoy")?;
        bootstrap.admin = Some(Admin { address: Some(loopback()), ..Default::default() });
        let config = folder.path().join("bootstrap.pb");
        fs::write(&config, bootstrap.encode_to_vec()).context("cannot write the bootstrap")?;
        let log = fs::File::create(folder.path().join("log")).context("cannot make the log")?;
        let program = program();
        let mut process = Command::new(&program)
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(folder.path().join("admin"))
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        match live(folder.path(), &mut process) {
            Ok(admin) => Ok(Self { folder, process, admin }),
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                Err(error.context(format!("Envoy is not live; its log:\n{log}")))
            }
        }
    }

    /// Returns the address of the admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Returns the address that the named listener is bound to.
    ///
    /// # Errors
    /// When there is no such listener.
    pub fn listener(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let body = get(self.admin, "/listeners?format=json")?;
        let body: Value = serde_json::from_str(&body).context("listeners are not JSON")?;
        let statuses = body["listener_statuses"].as_array().map_or(&[][..], Vec::as_slice);
        let address = statuses
            .iter()
            .find(|status| status["name"] == name)
            .map(|status| &status["local_address"]["socket_address"])
            .with_context(|| format!("no listener {name}"))?;
        format!("{}:{}", address["address"].as_str().unwrap_or_default(), address["port_value"])
            .parse()
            .with_context(|| format!("listener {name} is bound to {address}"))
    }

    /// Returns what Envoy has logged, at level `warning` and above.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        fs::read_to_string(self.folder.path().join("log")).context("cannot read the log")
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns `127.0.0.1` with a port of the system's choice.
pub fn loopback() -> core::Address {
    let address = core::SocketAddress {
        address: "127.0.0.1".into(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(0)),
        ..Default::default()
    };
    core::Address { address: Some(core::address::Address::SocketAddress(address)) }
}

fn live(folder: &Path, process: &mut Child) -> anyhow::Result<SocketAddr> {
    let began = Instant::now();
    loop {
        if let Some(status) = process.try_wait().context("cannot look at Envoy")? {
            bail!("ended with {status}");
        }
        if let Ok(text) = fs::read_to_string(folder.join("admin"))
            && let Ok(admin) = text.trim().parse()
            && get(admin, "/ready").is_ok()
        {
            return Ok(admin);
        }
        ensure!(began.elapsed() < START, "not live after {START:?}");
        sleep(PAUSE);
    }
}

/// Returns the body of an answer 200 to a GET. Envoy's admin interface sends
/// every body in chunks.
fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).context("no connection")?;
    stream.set_read_timeout(Some(START)).context("no read timeout")?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
        .context("cannot ask")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no answer")?;
    let (head, mut rest) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    ensure!(head.split(' ').nth(1) == Some("200"), "GET {path}: {head}");
    let mut body = String::new();
    while let Some((size, chunks)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).context("a chunk without a size")?;
        body.push_str(chunks.get(..size).context("a cut chunk")?);
        rest = chunks.get(size + 2..).unwrap_or_default();
    }
    Ok(body)
}
