//! What the gateway is told beside its objects: variables, selectors, the own
//! Service.

use nuncio_integration_tests::{Files, Process, Stack, binary, eventually};
use serde_json::{Value, json};

const HEAD: &str = "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\n";

fn file(stack: &Stack, path: &str) -> Option<Value> {
    let text = std::fs::read_to_string(stack.files().state().join(path)).ok()?;
    serde_json::from_str(&text).ok()
}

#[tokio::test]
async fn objects_name_variables_and_never_the_gateways_own() {
    let mappings = format!(
        "{HEAD}metadata: {{name: named}}\n\
         spec: {{hostname: '*', prefix: '/$AREA/', service: first,\n  \
         add_response_headers: {{x-area: {{value: '${{AREA}}'}}, x-own: {{value: $NUNCIO_OWN}}}}}}\n"
    );
    let builder = Stack::builder().backend("first").await.file("named.yaml", &mappings);
    let builder = builder.environment("AREA", "blue").environment("NUNCIO_OWN", "hush");
    let stack = builder.start().await;
    let reply = stack.until_status("/blue/", 200).await;
    assert_eq!(reply.header("x-area"), Some("blue"));
    assert_eq!(reply.header("x-own"), Some("$NUNCIO_OWN"));
}

#[tokio::test]
async fn objects_without_the_selected_labels_are_not_there() {
    let labelled = "
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: selected, labels: {gateway: edge}}
spec: {port: PORT, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: selected, labels: {gateway: edge}}
spec: {hostname: '*', prefix: /selected/, service: BACKEND}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: another, labels: {gateway: inner}}
spec: {hostname: '*', prefix: /another/, service: BACKEND}
";
    let builder = Stack::builder().without_listeners().backend("first").await;
    let backend = builder.backend_named("first").address().to_string();
    let labelled =
        labelled.replace("PORT", &builder.http_port().to_string()).replace("BACKEND", &backend);
    let builder = builder.environment("AMBASSADOR_LABEL_SELECTOR", "gateway in (edge)");
    let stack = builder.file("labelled.yaml", &labelled).start().await;
    stack.until_status("/selected/", 200).await;
    assert_eq!(stack.get("/another/").await.map(|reply| reply.status), Some(404));
}

#[tokio::test]
async fn mappings_and_ingresses_get_emissarys_status() {
    let files = Files::new();
    let labels = files.aside("labels");
    std::fs::write(&labels, "app=\"edge\"\n").unwrap();
    let objects = "
apiVersion: v1
kind: Service
metadata: {name: gateway, labels: {app.kubernetes.io/component: ambassador-service}}
spec: {ports: [{port: 80}], selector: {app: edge}}
status: {loadBalancer: {ingress: [{ip: 192.0.2.7}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, annotations: {kubernetes.io/ingress.class: ambassador}}
spec:
  rules:
  - http: {paths: [{path: /web/, pathType: Prefix, backend: {service: {name: first, port: {number: 80}}}}]}
";
    let builder = Stack::builder().backend("first").await.mapping("m", "/m/", "first");
    let builder = builder
        .file("ingress.yaml", objects)
        .environment("AMBASSADOR_UPDATE_MAPPING_STATUS", "true")
        .environment("NUNCIO_POD_LABELS", labels.to_str().unwrap());
    let stack = builder.start().await;
    let reply = stack.until_status("/web/kept", 200).await;
    assert_eq!(reply.echo().path, "/web/kept");
    eventually("the Mapping is said to run", async || {
        let status = file(&stack, "status/Mapping/default/m.json")?;
        (status == json!({"state": "Running"})).then_some(())
    })
    .await;
    eventually("the Ingress tells its address", async || {
        let status = file(&stack, "status/Ingress/default/web.json")?;
        (status["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.7").then_some(())
    })
    .await;
}

#[tokio::test]
async fn variables_without_effect_are_named_at_start() {
    let stack = Stack::builder().environment("AMBASSADOR_KNATIVE_SUPPORT", "true");
    let stack = stack.environment("AMBASSADOR_RECONFIG_MAX_DELAY", "1").start().await;
    let (process, _files, _backends) = stack.into_parts();
    let said = process.stderr().join("\n");
    for name in ["AMBASSADOR_KNATIVE_SUPPORT", "AMBASSADOR_RECONFIG_MAX_DELAY"] {
        assert!(said.contains(name), "{said}");
    }
    assert!(!said.contains("AMBASSADOR_EDS_BYPASS"), "{said}");
}

#[tokio::test]
async fn convert_prints_current_objects_and_tells_what_it_cannot() {
    let files = Files::new();
    files.write(
        "old.yaml",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: quote\n  annotations:\n    \
         getambassador.io/config: |\n      {apiVersion: ambassador/v1, kind: Mapping, \
         name: quote, prefix: /$AREA/, service: quote}\n",
    );
    let convert = |files: &Files| {
        let folder = files.objects();
        Process::start(binary(), move |command| {
            command.arg("convert").arg(folder).env("AREA", "blue");
        })
    };
    let ended = convert(&files).ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(
        ended.stdout,
        "---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata:\n  name: quote\n\
         spec:\n  hostname: \"*\"\n  prefix: /$AREA/\n  service: quote"
    );
    files
        .write("bad.yaml", "apiVersion: getambassador.io/v9\nkind: Mapping\nmetadata: {name: m}\n");
    let ended = convert(&files).ended().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stdout.contains("name: quote") && ended.stderr.contains("bad.yaml:1: error"));
}
