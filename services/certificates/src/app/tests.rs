//! The whole service on a folder, against the real Pebble.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nuncio_testing::pebble::Pebble;
use serde_json::Value;

use super::*;

/// Takes a free port for the responder: Pebble wants to know it beforehand.
async fn free_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

fn write_host(folder: &Path, name: &str, hostname: &str, directory: &str) {
    let host = format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: {name}}}\n\
         spec:\n  hostname: {hostname}\n  acmeProvider: {{authority: {directory}, email: me@{hostname}}}\n"
    );
    std::fs::write(folder.join(format!("{name}.yaml")), host).unwrap();
}

async fn json_at(path: PathBuf, holds: impl Fn(&Value) -> bool) -> Value {
    let read = async {
        loop {
            if let Ok(text) = std::fs::read(&path)
                && let Ok(value) = serde_json::from_slice::<Value>(&text)
                && holds(&value)
            {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let shown = || format!("{}: {:?}", path.display(), std::fs::read_to_string(&path));
    tokio::time::timeout(Duration::from_secs(30), read)
        .await
        .unwrap_or_else(|_| panic!("{}", shown()))
}

fn settings(root: &Path, pebble: &Pebble, port: u16) -> Settings {
    let mut settings = Settings::for_folder(root.join("objects"), root.join("state"));
    settings.listen.http_port = port;
    settings.acme.acme_ca_bundle = Some(pebble.ca_bundle());
    settings.acme.acme_in_flight = 1;
    settings
}

async fn stop(context: &Context) {
    context.drain.start();
    context.tasks.until_stopped(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_folder_of_hosts_gets_secrets_and_statuses_and_a_restart_changes_nothing() {
    let port = free_port().await;
    let pebble = Pebble::start(port).unwrap();
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("objects")).unwrap();
    write_host(&root.path().join("objects"), "web", "www.example.com", &pebble.directory());
    let ready = |status: &Value| status["state"] == "Ready";
    let state = |path: &str| root.path().join("state").join(path);

    let context = Context::new("certificates");
    let bound = start(settings(root.path(), &pebble, port), &context).await.unwrap();
    assert_eq!(bound.http.port(), port);
    json_at(state("status/Host/default/web.json"), ready).await;
    let secret = json_at(state("secrets/default/www.example.com.json"), |_| true).await;
    assert_eq!(secret["type"], "kubernetes.io/tls");

    // A Host that comes later is served by the running service.
    write_host(&root.path().join("objects"), "two", "two.example.com", &pebble.directory());
    json_at(state("status/Host/default/two.json"), ready).await;
    let metrics = admin::metrics_text(&context);
    assert!(
        metrics.contains("acme_orders_total{issuer=\"127.0.0.1\",result=\"issued\"} 2"),
        "{metrics}"
    );
    assert!(metrics.contains("acme_certificate_not_after_seconds{"), "{metrics}");
    assert!(!metrics.contains("PRIVATE"));
    context.ready.ready().await;
    stop(&context).await;

    for folder in ["certificates", "certificates/accounts", "certificates/history"] {
        let mode = std::fs::metadata(state(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }

    // Nothing is ordered, not even the CA asked, for what is there already.
    let context = Context::new("certificates");
    std::fs::remove_file(state("status/Host/default/web.json")).unwrap();
    start(settings(root.path(), &pebble, port), &context).await.unwrap();
    json_at(state("status/Host/default/web.json"), ready).await;
    let same = json_at(state("secrets/default/www.example.com.json"), |_| true).await;
    assert_eq!(same, secret);
    assert!(!admin::metrics_text(&context).contains("acme_requests_total{"));
    stop(&context).await;
}

#[tokio::test]
async fn a_bundle_that_cannot_be_read_is_refused_at_start() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("objects")).unwrap();
    let mut settings = Settings::for_folder(root.path().join("objects"), root.path().join("state"));
    settings.acme.acme_ca_bundle = Some("/does/not/exist".into());
    let error = start(settings, &Context::new("certificates")).await.unwrap_err();
    assert!(format!("{error:#}").contains("/does/not/exist"), "{error:#}");
}
