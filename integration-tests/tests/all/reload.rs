//! Configuration that changes under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nuncio_integration_tests::{Client, Stack, mapping};

/// Changes made while requests run.
const CHANGES: usize = 30;
/// Clients that ask without a pause.
const CLIENTS: usize = 4;

#[tokio::test]
async fn edits_take_effect_and_removals_too() {
    let stack = Stack::builder().backend("first").await.backend("second").await;
    let stack = stack.mapping("m", "/m/", "first").start().await;
    assert_eq!(stack.until_status("/m/", 200).await.echo().backend, "first");
    stack.files().write("mapping-m.yaml", mapping("m", "/m/", "second"));
    let look = async || stack.get("/m/").await.unwrap().echo().backend;
    nuncio_integration_tests::until("the edit is in effect", look, |name| name == "second").await;
    stack.files().write(
        "more/other.json",
        r#"{
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
        "metadata": {"name": "other"},
        "spec": {"hostname": "*", "prefix": "/other/", "service": "first"}
    }"#,
    );
    stack.until_status("/other/", 200).await;
    stack.files().remove("mapping-m.yaml");
    stack.until_status("/m/", 404).await;
    assert_eq!(stack.get("/other/").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_configuration_changes() {
    let stack = Stack::builder().backend("first").await.backend("second").await;
    let stack = stack.mapping("steady", "/steady/", "first").start().await;
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let url = format!("http://{}/steady/", stack.http());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, asked, url) = (Arc::clone(&stop), Arc::clone(&asked), url.clone());
            let client = Client::new();
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let status = client.get(&url).await.map(|reply| reply.status);
                    asked.fetch_add(1, Ordering::Relaxed);
                    if status != Some(200) {
                        failures.push(status);
                    }
                }
                failures
            })
        })
        .collect();
    for change in 0..CHANGES {
        let service = ["first", "second"][change % 2];
        let files = stack.files();
        // The steady Mapping moves between clusters while others come and go.
        files.write("mapping-steady.yaml", mapping("steady", "/steady/", service));
        let name = format!("extra-{change}");
        files.write(&format!("{name}.yaml"), mapping(&name, &format!("/{name}/"), service));
        stack.until_status(&format!("/{name}/"), 200).await;
        if change % 3 == 2 {
            files.remove(&format!("{name}.yaml"));
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.await.unwrap(), [], "of {} requests", asked.load(Ordering::Relaxed));
    }
}
