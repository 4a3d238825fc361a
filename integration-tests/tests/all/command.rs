//! The offline subcommands.

use nuncio_integration_tests::{Ended, Files, Process, binary, mapping};

async fn nuncio(files: &Files, subcommand: &str, more: &[&str]) -> Ended {
    let process = Process::start(binary(), |command| {
        command.arg(subcommand).arg(files.objects()).arg("--state").arg(files.state()).args(more);
    });
    process.ended().await
}

fn quote() -> Files {
    let files = Files::new();
    files.write(
        "listener.yaml",
        r#"
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: http}
spec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
"#,
    );
    files.write("quote.yaml", mapping("quote", "/backend/", "quote"));
    files
}

#[tokio::test]
async fn check_is_content_with_good_objects() {
    let ended = nuncio(&quote(), "check", &[]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert!(!ended.stdout.contains("error"), "{}", ended.stdout);
}

#[tokio::test]
async fn check_names_file_line_object_field_and_remedy() {
    let files = quote();
    files.write(
        "sub/bad.yaml",
        "# a comment\n---\napiVersion: getambassador.io/v3alpha1\n\
        kind: Mapping\nmetadata: {name: bad}\nspec: {hostname: \"*\", prefix: 7, service: a}\n",
    );
    let ended = nuncio(&files, "check", &[]).await;
    assert_eq!(ended.status.code(), Some(1));
    let line = ended.stdout.lines().find(|line| line.contains("Mapping default/bad"));
    let line = line.unwrap_or_else(|| panic!("{}", ended.stdout));
    assert!(line.starts_with("sub/bad.yaml:6: error: "), "{line}");
    assert!(line.contains("spec.prefix") && line.contains("; "), "{line}");

    let ended = nuncio(&files, "check", &["--format", "json"]).await;
    assert_eq!(ended.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["errors"], 1);
    let found = &report["diagnostics"][0];
    assert_eq!(found["severity"], "error");
    assert_eq!(found["object"]["name"], "bad");
    assert_eq!(found["origin"]["file"], "sub/bad.yaml");
    assert_eq!(found["origin"]["line"], 6);
    assert_eq!(found["field"], "spec.prefix");
}

#[tokio::test]
async fn a_thousand_mappings_are_checked_in_no_time() {
    let files = quote();
    let many: Vec<_> = (0..1000)
        .map(|number| mapping(&format!("m{number}"), &format!("/m{number}/"), "quote"))
        .collect();
    files.write("many.yaml", many.join("---\n"));
    binary();
    let before = std::time::Instant::now();
    let ended = nuncio(&files, "check", &[]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    // A debug build on a busy machine; a release build takes a tenth of it.
    let took = before.elapsed();
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn render_shows_what_envoy_would_get_in_a_stable_order() {
    let files = quote();
    let first = nuncio(&files, "render", &[]).await;
    assert_eq!(first.status.code(), Some(0), "{}", first.stderr);
    assert!(first.stdout.contains("prefix: /backend/"), "{}", first.stdout);
    assert!(first.stdout.contains("cluster_quote_default"), "{}", first.stdout);
    let second = nuncio(&files, "render", &[]).await;
    assert_eq!(first.stdout, second.stdout);
    let routes = nuncio(&files, "render", &["--type", "route"]).await;
    let kinds = |text: &str| text.lines().filter(|line| line.starts_with("# ")).count();
    assert!(routes.stdout.contains("# RouteConfiguration "), "{}", routes.stdout);
    assert!(kinds(&routes.stdout) < kinds(&first.stdout));
}

#[tokio::test]
async fn the_quickstart_has_no_errors_but_for_the_certificate_of_the_demo() {
    let folder = nuncio_integration_tests::workspace().join("deploy/examples/quickstart");
    let state = Files::new();
    let process = Process::start(binary(), |command| {
        command.arg("check").arg(&folder).arg("--state").arg(state.state());
        command.args(["--format", "json"]);
    });
    let ended = process.ended().await;
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    for found in report["diagnostics"].as_array().unwrap() {
        let about_secret = found["message"].as_str().unwrap().contains("quickstart-tls");
        assert!(found["severity"] != "error" || about_secret, "{found}");
    }
}

#[tokio::test]
async fn the_bootstrap_in_deploy_is_the_one_that_is_printed() {
    let process = Process::start(binary(), |command| {
        command.args(["bootstrap", "--control-plane", "nuncio-control-plane:18000"]);
        command.args(["--envoy-ready", "0.0.0.0:8006"]);
    });
    let committed = nuncio_integration_tests::workspace().join("deploy/base/envoy/bootstrap.json");
    let committed = std::fs::read_to_string(committed).unwrap();
    assert_eq!(committed.trim_end(), process.ended().await.stdout, "`make gen` rewrites it");
}
