//! Ingresses as Kubernetes defines them.

use nuncio::Bundle;
use nuncio_integration_tests::{Client, Stack, until};
use reqwest::Method;

const CLASS: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: ours}
spec: {controller: getambassador.io/ingress-controller}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: theirs}
spec: {controller: example.com/other}
";

fn ingress(name: &str, head: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\n\
         metadata: {{name: {name}, namespace: default{head}}}\nspec: {spec}\n"
    )
}

fn rule(host: &str, path: &str, kind: &str, port: &str) -> String {
    format!(
        "{host}http: {{paths: [{{path: {path}, pathType: {kind}, \
         backend: {{service: {{name: first, port: {{{port}}}}}}}}}]}}"
    )
}

async fn seen(stack: &Stack, host: &str, path: &str) -> (u16, String) {
    let request = stack.request(Method::GET, path).header("host", host);
    let reply = Client::send(request).await.unwrap();
    (reply.status, if reply.status == 200 { reply.echo().path } else { String::new() })
}

#[tokio::test]
async fn paths_hosts_and_ports_of_an_ingress_route() {
    let rules = [
        rule("", "/prefix/", "Prefix", "number: 80"),
        rule("", "/exact", "Exact", "number: 80"),
        rule("", "/named/", "ImplementationSpecific", "name: plain"),
        rule("host: one.test, ", "/host/", "Prefix", "number: 80"),
        rule("host: \"*.wild.test\", ", "/host/", "Prefix", "number: 80"),
    ];
    let rules: Vec<_> = rules.iter().map(|rule| format!("{{{rule}}}")).collect();
    let spec = format!("{{ingressClassName: ours, rules: [{}]}}", rules.join(", "));
    let stripped = ", annotations: {kubernetes.io/ingress.class: ambassador, \
                    getambassador.io/ingress-strip-path: \"true\"}";
    let old = format!("{{rules: [{{{}}}]}}", rule("", "/stripped/", "Prefix", "number: 80"));
    let stack = Stack::builder()
        .backend("first")
        .await
        .file("class.yaml", CLASS)
        .file("ingress.yaml", &ingress("main", "", &spec))
        .file("old.yaml", &ingress("old", stripped, &old))
        .start()
        .await;
    let cases = [
        ("any.test", "/prefix/x", 200, "/prefix/x"),
        ("any.test", "/exact", 200, "/exact"),
        ("any.test", "/exact/x", 404, ""),
        ("any.test", "/named/x", 200, "/named/x"),
        ("any.test", "/host/", 404, ""),
        ("one.test", "/host/", 200, "/host/"),
        ("a.wild.test", "/host/", 200, "/host/"),
        ("a.b.wild.test", "/host/", 404, ""),
        ("any.test", "/stripped/x", 200, "/x"),
    ];
    for (host, path, status, at) in cases {
        assert_eq!(seen(&stack, host, path).await, (status, at.to_owned()), "{host}{path}");
    }
}

#[tokio::test]
async fn only_ingresses_of_our_class_and_id_count() {
    let spec = |class: &str, path: &str| {
        format!("{{{class}rules: [{{{}}}]}}", rule("", path, "Prefix", "number: 80"))
    };
    let annotated =
        |class: &str| format!(", annotations: {{kubernetes.io/ingress.class: {class}}}");
    let stack = Stack::builder()
        .backend("first")
        .await
        .file("class.yaml", CLASS)
        .file("a.yaml", &ingress("a", "", &spec("ingressClassName: ours, ", "/ours/")))
        .file("b.yaml", &ingress("b", "", &spec("ingressClassName: theirs, ", "/theirs/")))
        .file("c.yaml", &ingress("c", &annotated("Ambassador"), &spec("", "/annotated/")))
        .file("d.yaml", &ingress("d", &annotated("nginx"), &spec("", "/nginx/")))
        .file("e.yaml", &ingress("e", "", &spec("", "/silent/")))
        .file(
            "f.yaml",
            &ingress(
                "f",
                ", annotations: {kubernetes.io/ingress.class: ambassador, getambassador.io/ambassador-id: other}",
                &spec("", "/other-id/"),
            ),
        )
        .start()
        .await;
    for (path, status) in [
        ("/ours/", 200),
        ("/annotated/", 200),
        ("/theirs/", 404),
        ("/nginx/", 404),
        ("/silent/", 404),
        ("/other-id/", 404),
    ] {
        assert_eq!(stack.get(path).await.unwrap().status, status, "{path}");
    }
}

#[tokio::test]
async fn a_default_backend_takes_what_no_rule_matches() {
    let spec = format!(
        "{{ingressClassName: ours, defaultBackend: {{service: {{name: second, port: {{number: 80}}}}}}, \
         rules: [{{{}}}]}}",
        rule("", "/first/", "Prefix", "number: 80")
    );
    let stack = Stack::builder()
        .backend("first")
        .await
        .backend("second")
        .await
        .file("class.yaml", CLASS)
        .file("ingress.yaml", &ingress("main", "", &spec))
        .start()
        .await;
    assert_eq!(stack.get("/first/x").await.unwrap().echo().backend, "first");
    let other = stack.get("/anything").await.unwrap().echo();
    assert_eq!((other.backend.as_str(), other.path.as_str()), ("second", "/anything"));
}

#[tokio::test]
async fn equal_ingresses_in_two_namespaces_are_two() {
    let rules = |path: &str| {
        format!(
            "{{ingressClassName: ours, rules: [{{{}}}]}}",
            rule("", path, "Prefix", "number: 80")
        )
    };
    let elsewhere = ingress("same", "", &rules("/elsewhere/"))
        .replace("namespace: default", "namespace: other");
    let backend =
        nuncio_integration_tests::Backend::start(nuncio::echo::Options::named("other")).await;
    let service = nuncio_integration_tests::service("first", std::slice::from_ref(&backend));
    let stack = Stack::builder()
        .backend("first")
        .await
        .file("class.yaml", CLASS)
        .file("here.yaml", &ingress("same", "", &rules("/here/")))
        .file("elsewhere.yaml", &elsewhere)
        .file("service.yaml", &service.replace("namespace: default", "namespace: other"))
        .start()
        .await;
    assert_eq!(stack.get("/here/").await.unwrap().echo().backend, "first");
    assert_eq!(stack.get("/elsewhere/").await.unwrap().echo().backend, "other");
}

#[tokio::test]
async fn an_ingress_brings_its_certificate_and_its_annotations_along() {
    let bundle = Bundle::generate(&["tls.test".to_owned()]).unwrap();
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: tls, namespace: default}}\ntype: kubernetes.io/tls\n\
         stringData: {{tls.crt: {}, tls.key: {}}}\n",
        serde_json::to_string(&bundle.chain).unwrap(),
        serde_json::to_string(&bundle.key).unwrap()
    );
    let spec = format!(
        "{{ingressClassName: ours, tls: [{{hosts: [tls.test], secretName: tls}}], rules: [{{{}}}]}}",
        rule("host: tls.test, ", "/secure/", "Prefix", "number: 80")
    );
    let annotation = ", annotations: {getambassador.io/config: \"{apiVersion: getambassador.io/v3alpha1, \
         kind: Mapping, name: nested, hostname: '*', prefix: /nested/, service: first, \
         labels: {}, metadata_labels: {a10r-k8s-ingress: a10r-ingress-main-default}}\"}";
    let stack = Stack::builder()
        .backend("first")
        .await
        .file("class.yaml", CLASS)
        .file("secret.yaml", &secret)
        .file("ingress.yaml", &ingress("main", annotation, &spec))
        .start()
        .await;
    let client = Client::trusting(&bundle.authority, "tls.test", stack.https());
    let ask = async |path: &str| {
        let url = format!("https://tls.test:{}{path}", stack.https().port());
        let request = client.request(Method::GET, &url).header("host", "tls.test");
        Client::send(request).await.unwrap()
    };
    assert_eq!(ask("/secure/x").await.echo().path, "/secure/x");
    assert_eq!(ask("/nested/").await.status, 200);
    // Its Host routes cleartext, too.
    assert_eq!(seen(&stack, "tls.test", "/secure/x").await.0, 200);
}

#[tokio::test]
async fn an_ingress_of_ours_says_where_the_gateway_is_reached() {
    // As the Service that leads to the pod in a cluster, by its load balancer.
    let own = |address: &str| {
        format!(
            "apiVersion: v1\nkind: Service\n\
             metadata: {{name: edge, namespace: default, labels: {{app.kubernetes.io/component: ambassador-service}}}}\n\
             spec: {{selector: {{app: edge}}, ports: [{{port: 80}}]}}\n\
             status: {{loadBalancer: {{ingress: [{{ip: {address}}}]}}}}\n"
        )
    };
    let spec = |class: &str| {
        let rule = rule("", "/", "Prefix", "number: 80");
        format!("{{ingressClassName: {class}, rules: [{{{rule}}}]}}")
    };
    let builder = Stack::builder().backend("first").await;
    let labels = builder.files().aside("labels");
    std::fs::write(&labels, "app=\"edge\"\n").unwrap();
    let stack = builder
        .file("class.yaml", CLASS)
        .file("ours.yaml", &ingress("ours", "", &spec("ours")))
        .file("theirs.yaml", &ingress("theirs", "", &spec("theirs")))
        .file("own.yaml", &own("192.0.2.1"))
        .argument(format!("--pod-labels={}", labels.display()))
        .start()
        .await;
    let statuses = stack.files().state().join("status/Ingress/default");
    for address in ["192.0.2.1", "192.0.2.2"] {
        stack.files().write("own.yaml", own(address));
        let look = async || std::fs::read_to_string(statuses.join("ours.json")).unwrap_or_default();
        until("the address is told", look, |told| told.contains(address)).await;
    }
    assert!(!statuses.join("theirs.json").exists());
}
