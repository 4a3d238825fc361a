//! Keeps one Envoy running until the drain.

use std::convert::Infallible;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nuncio_process::{Drain, chain};
use tokio::sync::watch;

use super::{Admin, Child, Program};

/// First pause before a restart; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// An Envoy that ran this long starts again with the first pause.
const STEADY: Duration = Duration::from_secs(60);
/// So many ends without ever listening on the admin port are not bad luck.
const HOPELESS: u32 = 3;
/// How often the admin interface is asked while something is awaited.
const POLL: Duration = Duration::from_millis(20);

/// How Envoy is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to run.
    pub program: Program,
    /// This command's own executable, which becomes Envoy after asking the
    /// kernel to end it with us. `None` runs Envoy directly.
    pub wrapper: Option<PathBuf>,
    /// Folder for files that belong to one run; exists.
    pub folder: PathBuf,
    /// Bootstrap configuration, JSON.
    pub bootstrap: String,
    /// Envoy's own log level.
    pub log_level: String,
    /// Worker threads; `None` leaves one per hardware thread.
    pub concurrency: Option<u32>,
    /// How long connections of a replaced or removed listener may last.
    pub drain_time: Duration,
    /// Longest wait for requests in flight when stopping.
    pub stop_time: Duration,
}

/// Keeps one Envoy running.
#[derive(Debug)]
pub struct Supervisor {
    options: Options,
    admin: watch::Sender<Option<Admin>>,
}

impl Supervisor {
    /// Makes a supervisor and a view of the admin interface of the Envoy that
    /// runs at the moment, if one does.
    pub fn new(options: Options) -> (Self, watch::Receiver<Option<Admin>>) {
        let (admin, view) = watch::channel(None);
        (Self { options, admin }, view)
    }

    /// Runs Envoy until `drain`, again and again if it ends by itself.
    ///
    /// # Errors
    ///
    /// When Envoy cannot be started, or ends several times before it listened
    /// once.
    pub async fn run(self, drain: Drain) -> anyhow::Result<()> {
        let mut pause = FIRST_PAUSE;
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let mut child = self.start().await?;
            tokio::select! {
                status = child.wait() => {
                    let listened = self.admin.send_replace(None).is_some();
                    failures = if listened { 0 } else { failures + 1 };
                    tracing::error!(%status, restart_in = ?pause, "envoy ended by itself");
                    anyhow::ensure!(
                        failures < HOPELESS,
                        "envoy ended {HOPELESS} times before it could start ({status}); \
                         its log above says why"
                    );
                }
                never = self.watch_admin() => match never {},
                () = drain.stopping() => {
                    self.stop(child).await;
                    return Ok(());
                }
            }
            pause = if began.elapsed() > STEADY { FIRST_PAUSE } else { pause };
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = drain.stopping() => return Ok(()),
            }
        }
    }

    async fn start(&self) -> anyhow::Result<Child> {
        let address_file = self.address_file();
        match tokio::fs::remove_file(&address_file).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| address_file.display().to_string());
            }
            _ => {}
        }
        let bootstrap = self.options.folder.join("bootstrap.json");
        tokio::fs::write(&bootstrap, &self.options.bootstrap)
            .await
            .with_context(|| format!("cannot write {}", bootstrap.display()))?;
        let program = &self.options.program;
        let child = Child::spawn(self.command(&bootstrap))
            .await
            .with_context(|| format!("cannot start {}", program.path.display()))?;
        tracing::info!(pid = child.pid(), version = %program.version, "envoy started");
        Ok(child)
    }

    fn command(&self, bootstrap: &Path) -> Command {
        let options = &self.options;
        let mut arguments: Vec<OsString> = vec!["-c".into(), bootstrap.into()];
        let mut flag = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        flag("--admin-address-path", self.address_file().into());
        flag("--log-level", options.log_level.clone().into());
        // The default of ten seconds makes access logs look dead.
        flag("--file-flush-interval-msec", "500".into());
        flag("--drain-time-s", options.drain_time.as_secs().max(1).to_string().into());
        flag("--drain-strategy", "immediate".into());
        if let Some(concurrency) = options.concurrency {
            flag("--concurrency", concurrency.to_string().into());
        }
        // Hot restart would claim shared memory under a machine-wide number.
        arguments.push("--disable-hot-restart".into());
        let program = &options.program.path;
        let mut command = match &options.wrapper {
            None => Command::new(program),
            Some(wrapper) => {
                let mut command = Command::new(wrapper);
                command.arg("become").arg(program).arg("--");
                command
            }
        };
        command.args(arguments);
        command
    }

    fn address_file(&self) -> PathBuf {
        self.options.folder.join("admin-address")
    }

    /// Publishes the admin interface as soon as Envoy tells its address.
    async fn watch_admin(&self) -> Infallible {
        let file = self.address_file();
        loop {
            let text = tokio::fs::read_to_string(&file).await.unwrap_or_default();
            if let Ok(address) = text.trim().parse::<SocketAddr>() {
                self.admin.send_replace(Some(Admin::new(address)));
                return std::future::pending().await;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Lets requests in flight finish, up to the drain time, then ends Envoy.
    async fn stop(&self, mut child: Child) {
        let admin = self.admin.borrow().clone();
        if let Some(admin) = admin {
            let drained = async {
                admin.drain().await?;
                while admin.in_flight().await? > 0 {
                    tokio::time::sleep(POLL).await;
                }
                Ok::<_, super::AdminError>(())
            };
            match tokio::time::timeout(self.options.stop_time, drained).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(error = chain(&error), "envoy did not drain"),
                Err(_) => tracing::warn!("requests were still in flight at the end of the drain"),
            }
        }
        child.terminate();
        if tokio::time::timeout(self.options.stop_time, child.wait()).await.is_err() {
            tracing::warn!("envoy did not end when asked and was killed");
        }
    }
}
