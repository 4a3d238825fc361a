//! A gateway of its parts, as it runs in a cluster: each service a program of
//! its own, and an Envoy that was given nothing but a bootstrap.

use std::net::SocketAddr;
use std::path::Path;

use tokio::process::Command;

use crate::{Client, Files, Process, binary, envoy, eventually, free_port, services};

/// The programs of one gateway; all ended when dropped.
#[derive(Debug)]
pub struct Parts {
    // Dropped first, so that it does not look for the others in vain.
    envoy: Process,
    services: Vec<(&'static str, Process)>,
    admin: Vec<(&'static str, SocketAddr)>,
}

/// Any free port of this machine, as an argument.
const FREE: &str = "127.0.0.1:0";
const CONTROL_PLANE: &str = "nuncio-control-plane";
const CONTROL_PLANE_READY: &str = "/ambassador/v0/check_ready";

impl Parts {
    /// Starts all programs on a folder of objects, and waits until each of
    /// them says that it is ready. `more` are arguments of one service.
    ///
    /// # Panics
    ///
    /// When one of them does not become ready; tells what it said.
    pub async fn start(files: &Files, more: &[(&str, &str)]) -> Self {
        let [ads, diagnostics] = [free_port(), free_port()];
        let [auth, auth_admin] = [free_port(), free_port()];
        let [limits, limits_http, limits_admin] = [free_port(), free_port(), free_port()];
        let [challenges, challenges_admin] = [free_port(), free_port()];
        let (objects, state) = (files.objects(), files.state());
        let folder = |command: &mut Command| {
            command.arg("--config-dir").arg(&objects).arg("--state").arg(&state);
        };
        let at = |port: u16| format!("127.0.0.1:{port}");
        let launch = |name: &'static str, configure: &dyn Fn(&mut Command)| {
            let process = Process::start(&services().join(name), |command| {
                configure(command);
                for (_, argument) in more.iter().filter(|(service, _)| *service == name) {
                    command.arg(argument);
                }
            });
            (name, process)
        };
        let control_plane = launch(CONTROL_PLANE, &|command| {
            folder(command);
            control_plane_at(command, ads, diagnostics);
            command.arg(format!("--auth={}", at(auth)));
            command.arg(format!("--rate-limit={}", at(limits)));
            command.arg(format!("--challenges={}", at(challenges)));
        });
        let auth = launch("nuncio-auth", &|command| {
            command.arg(format!("--control-plane={}", at(ads))).arg(format!("--http={FREE}"));
            command.arg(format!("--grpc={}", at(auth)));
            command.arg(format!("--admin={}", at(auth_admin)));
        });
        let ratelimit = launch("nuncio-ratelimit", &|command| {
            command.args(["--config-type=GRPC_XDS_DELTA", "--grpc-host=127.0.0.1"]);
            command.args(["--http-host=127.0.0.1", "--admin-host=127.0.0.1"]);
            command.arg(format!("--xds-server={}", at(ads)));
            command.arg(format!("--grpc-port={limits}")).arg(format!("--http-port={limits_http}"));
            command.arg(format!("--admin-port={limits_admin}"));
        });
        let certificates = launch("nuncio-certificates", &|command| {
            folder(command);
            command.arg("--bind-address=127.0.0.1").arg(format!("--http-port={challenges}"));
            command.arg(format!("--admin-port={challenges_admin}"));
        });
        let envoy = start_envoy(&files.aside("envoy.json"), &at(ads)).await;
        let ports = [diagnostics, auth_admin, limits_admin, challenges_admin];
        let services = vec![control_plane, auth, ratelimit, certificates];
        let addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let admin = services.iter().map(|(name, _)| *name).zip(addresses).collect();
        let mut parts = Self { envoy, services, admin };
        parts.until_ready().await;
        parts
    }

    async fn until_ready(&mut self) {
        let client = Client::new();
        for ((name, process), (_, admin)) in self.services.iter_mut().zip(&self.admin) {
            // The control plane has Emissary's paths.
            let path = match *name {
                CONTROL_PLANE => CONTROL_PLANE_READY,
                _ => "/ready",
            };
            until_ready(&client, name, process, &format!("http://{admin}{path}")).await;
        }
    }

    /// Returns the admin address of a service.
    ///
    /// # Panics
    ///
    /// When there is no such service.
    pub fn admin(&self, service: &str) -> SocketAddr {
        let found = self.admin.iter().find(|(name, _)| *name == service);
        found.unwrap_or_else(|| panic!("there is no service `{service}`")).1
    }

    /// Returns name and process id of every program.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        let services = self.services.iter().map(|(name, process)| (*name, process.id()));
        services.chain([("envoy", self.envoy.id())]).collect()
    }

    /// Asks one service to end, and returns its exit code.
    ///
    /// # Panics
    ///
    /// When it does not end, or there is no such service.
    pub async fn stop(&mut self, service: &str) -> Option<i32> {
        let at = self.services.iter().position(|(name, _)| *name == service);
        let at = at.unwrap_or_else(|| panic!("there is no service `{service}`"));
        let (_, process) = self.services.remove(at);
        self.admin.retain(|(name, _)| *name != service);
        process.signal("TERM");
        process.ended().await.status.code()
    }
}

/// Starts a control plane that serves nobody on a folder of objects, and waits
/// until it has published them.
///
/// # Panics
///
/// When it does not become ready; tells what it said.
pub async fn control_plane_alone(files: &Files) -> Process {
    let (ads, admin) = (free_port(), free_port());
    let mut process = Process::start(&services().join(CONTROL_PLANE), |command| {
        command.arg("--config-dir").arg(files.objects()).arg("--state").arg(files.state());
        control_plane_at(command, ads, admin);
    });
    let url = format!("http://127.0.0.1:{admin}{CONTROL_PLANE_READY}");
    until_ready(&Client::new(), CONTROL_PLANE, &mut process, &url).await;
    process
}

fn control_plane_at(command: &mut Command, ads: u16, admin: u16) {
    command.args(["--grpc-host=127.0.0.1", "--admin-host=127.0.0.1"]);
    command.args(["--envoy-bind-address=127.0.0.1"]);
    command.arg(format!("--grpc-port={ads}")).arg(format!("--admin-port={admin}"));
}

async fn until_ready(client: &Client, name: &str, process: &mut Process, url: &str) {
    eventually(&format!("{name} is ready"), async || {
        assert!(process.runs(), "{name} has ended\n{}", process.said());
        client.get(url).await.filter(|reply| reply.status == 200)
    })
    .await;
}

/// Starts an Envoy on what `nuncio bootstrap` prints.
async fn start_envoy(bootstrap: &Path, ads: &str) -> Process {
    let printed = Process::start(binary(), |command| {
        command.args(["bootstrap", "--control-plane", ads]);
        command.args(["--envoy-admin", FREE, "--envoy-ready", FREE]);
    });
    let printed = printed.ended().await;
    assert!(printed.status.success(), "{}", printed.stderr);
    std::fs::write(bootstrap, printed.stdout).expect("the folder is ours");
    Process::start(&envoy(), |command| {
        command.arg("-c").arg(bootstrap);
        command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
    })
}
