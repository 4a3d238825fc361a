//! Which Hosts answer on which Listeners, and which Mappings they take.

use std::net::SocketAddr;

use nuncio::Bundle;
use nuncio_integration_tests::{Client, Stack, exchange, free_port, head};
use reqwest::Method;

fn listener(port: u16, protocol: &str, binding: &str) -> String {
    format!("{{port: {port}, protocol: {protocol}, securityModel: XFP, hostBinding: {binding}}}")
}

fn labelled(kind: &str, name: &str, labels: &str, spec: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: {kind}\n\
         metadata: {{name: {name}, namespace: default, labels: {{{labels}}}}}\nspec: {spec}\n"
    )
}

const ROUTE: &str = "requestPolicy: {insecure: {action: Route}}";

async fn selecting(strict: bool) -> Stack {
    let mapping = "{hostname: a.test, prefix: /PREFIX/, service: first}";
    let mapping = |name: &str, labels: &str| {
        labelled("Mapping", name, labels, &mapping.replace("PREFIX", name))
    };
    let host = format!(
        "{{hostname: a.test, {ROUTE}, mappingSelector: {{matchLabels: {{team: a, stage: live}}}}}}"
    );
    let mut builder = Stack::builder().backend("first").await;
    if !strict {
        builder = builder.environment("DISABLE_STRICT_LABEL_SELECTORS", "true");
    }
    builder
        .object("Host", "a", &host)
        .file("both.yaml", &mapping("both", "team: a, stage: live"))
        .file("one.yaml", &mapping("one", "team: a"))
        .file("none.yaml", &mapping("none", "team: b"))
        .file(
            "nameless.yaml",
            &labelled("Mapping", "nameless", "team: a", "{prefix: /nameless/, service: first}"),
        )
        .start()
        .await
}

#[tokio::test]
async fn selectors_need_every_label_unless_they_are_loose() {
    let strict = selecting(true).await;
    for (path, status) in [("/both/", 200), ("/one/", 404), ("/none/", 404), ("/nameless/", 404)] {
        assert_eq!(strict.get_host("a.test", path).await.status, status, "strict: {path}");
    }
    // Loose: one label, or the host name, is enough.
    let loose = selecting(false).await;
    for path in ["/both/", "/one/", "/none/", "/nameless/"] {
        assert_eq!(loose.get_host("a.test", path).await.status, 200, "loose: {path}");
    }
}

#[tokio::test]
async fn wildcards_take_what_no_closer_name_takes() {
    let host = |hostname: &str| format!("{{hostname: \"{hostname}\", {ROUTE}}}");
    let mapping = |hostname: &str, rewrite: &str| {
        format!("{{hostname: \"{hostname}\", prefix: /, rewrite: /{rewrite}/, service: first}}")
    };
    let stack = Stack::builder()
        .backend("first")
        .await
        .object("Host", "exact", &host("one.wild.test"))
        .object("Host", "wild", &host("*.wild.test"))
        .object("Host", "other", &host("other.test"))
        .object("Mapping", "exact", &mapping("one.wild.test", "exact"))
        .object("Mapping", "wild", &mapping("*.wild.test", "wild"))
        .object("Mapping", "any", &mapping("*", "any"))
        .start()
        .await;
    let seen = async |host: &str| {
        let reply = stack.get_host(host, "/x").await;
        (reply.status, if reply.status == 200 { reply.echo().path } else { String::new() })
    };
    assert_eq!(seen("one.wild.test").await, (200, "/exact/x".to_owned()));
    assert_eq!(seen("two.wild.test").await, (200, "/wild/x".to_owned()));
    assert_eq!(seen("a.b.wild.test").await, (200, "/wild/x".to_owned()));
    assert_eq!(seen("other.test").await, (200, "/any/x".to_owned()));
    assert_eq!(seen("unknown.test").await.0, 404, "no Host has this name");
}

#[tokio::test]
async fn listeners_take_hosts_by_namespace_and_label() {
    let [all, own, red, red_or_blue] = [(); 4].map(|()| free_port());
    let host = |name: &str, namespace: &str, color: &str| {
        let spec = format!("{{hostname: {name}.test, {ROUTE}}}");
        labelled("Host", name, &format!("color: {color}"), &spec)
            .replace("namespace: default", &format!("namespace: {namespace}"))
    };
    let stack = Stack::builder()
        .without_listeners()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .file("here.yaml", &host("here", "default", "red"))
        .file("blue.yaml", &host("blue", "default", "blue"))
        .file("there.yaml", &host("there", "other", "red"))
        .object("Listener", "all", &listener(all, "HTTP", "{namespace: {from: ALL}}"))
        .object("Listener", "own", &listener(own, "HTTP", "{namespace: {from: SELF}}"))
        .object(
            "Listener",
            "red",
            &listener(red, "HTTP", "{selector: {matchLabels: {color: red}}}"),
        )
        .object(
            "Listener",
            "red-all",
            &listener(
                red_or_blue,
                "HTTP",
                "{namespace: {from: ALL}, selector: {matchLabels: {color: red}}}",
            ),
        )
        .start()
        .await;
    for (port, expected) in [
        (all, [200, 200, 200]),
        (own, [200, 200, 404]),
        (red, [200, 404, 404]),
        (red_or_blue, [200, 404, 200]),
    ] {
        let mut seen = Vec::new();
        for name in ["here.test", "blue.test", "there.test"] {
            let url = format!("http://127.0.0.1:{port}/");
            let request = stack.client().request(Method::GET, &url).header("host", name);
            seen.push(Client::send(request).await.unwrap().status);
        }
        assert_eq!(seen, expected, "port {port}");
    }
}

#[tokio::test]
async fn a_server_name_that_nobody_has_gets_no_handshake() {
    let bundle = Bundle::generate(&["a.test".to_owned(), "b.test".to_owned()]).unwrap();
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: tls, namespace: default}}\ntype: kubernetes.io/tls\n\
         stringData: {{tls.crt: {}, tls.key: {}}}\n",
        serde_json::to_string(&bundle.chain).unwrap(),
        serde_json::to_string(&bundle.key).unwrap()
    );
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .file("secret.yaml", &secret)
        .object("Host", "a", "{hostname: a.test, tlsSecret: {name: tls}}")
        .start()
        .await;
    let ask = async |name: &str, address: SocketAddr| {
        let client = Client::trusting(&bundle.authority, name, address);
        let url = format!("https://{name}:{}/", address.port());
        Client::send(client.request(Method::GET, &url).header("host", name)).await
    };
    assert_eq!(ask("a.test", stack.https()).await.unwrap().status, 200);
    assert!(ask("b.test", stack.https()).await.is_none());
    // Cleartext on the TLS port is answered as the Host says.
    let answer = exchange(stack.https(), head("a.test", "/x", "")).await;
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    assert!(answer.contains("location: https://a.test/x"), "{answer}");
    let answer = exchange(stack.https(), head("b.test", "/x", "")).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn the_security_model_says_which_requests_are_secure() {
    let [xfp, secure, insecure] = [(); 3].map(|()| free_port());
    let listener = |port: u16, model: &str| {
        format!(
            "{{port: {port}, protocol: HTTP, securityModel: {model}, l7Depth: 1, \
             hostBinding: {{namespace: {{from: ALL}}}}}}"
        )
    };
    let stack = Stack::builder()
        .without_listeners()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .object("Host", "a", "{hostname: a.test}")
        .object("Listener", "xfp", &listener(xfp, "XFP"))
        .object("Listener", "secure", &listener(secure, "SECURE"))
        .object("Listener", "insecure", &listener(insecure, "INSECURE"))
        .start()
        .await;
    // What comes by cleartext, and what a proxy says came by TLS.
    for (port, expected) in [(xfp, [301, 200]), (secure, [200, 200]), (insecure, [301, 301])] {
        let mut seen = Vec::new();
        for scheme in ["http", "https"] {
            let url = format!("http://127.0.0.1:{port}/");
            let request = stack.client().request(Method::GET, &url).header("host", "a.test");
            let request = request.header("x-forwarded-proto", scheme);
            seen.push(Client::send(request).await.unwrap().status);
        }
        assert_eq!(seen, expected, "port {port}");
    }
}

#[tokio::test]
async fn challenges_are_answered_in_cleartext_whatever_the_host_says() {
    let prefix = "/.well-known/acme-challenge/";
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("all", "/", "first")
        .object(
            "Mapping",
            "challenge",
            &format!("{{hostname: \"*\", prefix: {prefix}, rewrite: \"\", service: first}}"),
        )
        .object("Host", "redirect", "{hostname: redirect.test}")
        .object(
            "Host",
            "reject",
            "{hostname: reject.test, requestPolicy: {insecure: {action: Reject}}}",
        )
        .start()
        .await;
    for (host, status) in [("redirect.test", 301), ("reject.test", 404)] {
        assert_eq!(stack.get_host(host, "/other").await.status, status, "{host}");
        let challenge = stack.get_host(host, &format!("{prefix}token")).await;
        assert_eq!(challenge.status, 200, "{host}");
    }
}

#[tokio::test]
async fn without_a_host_everybody_is_served_and_by_tls_where_there_is_a_fallback() {
    let stack = Stack::builder().backend("first").await.mapping("m", "/", "first").start().await;
    assert_eq!(stack.get_host("whoever.test", "/").await.status, 200);
    let bundle = Bundle::generate(&["fallback.test".to_owned()]).unwrap();
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: fallback-self-signed-cert, namespace: default}}\n\
         type: kubernetes.io/tls\nstringData: {{tls.crt: {}, tls.key: {}}}\n",
        serde_json::to_string(&bundle.chain).unwrap(),
        serde_json::to_string(&bundle.key).unwrap()
    );
    stack.files().write("fallback.yaml", secret);
    let client = Client::trusting(&bundle.authority, "fallback.test", stack.https());
    let url = format!("https://fallback.test:{}/", stack.https().port());
    nuncio_integration_tests::eventually("TLS is served", async || {
        client.get(&url).await.filter(|reply| reply.status == 200)
    })
    .await;
    let redirected = async || stack.get_host("whoever.test", "/").await.status;
    nuncio_integration_tests::until("cleartext is redirected", redirected, |status| *status == 301)
        .await;
}

#[tokio::test]
async fn a_gateway_may_believe_the_address_and_scheme_that_it_is_told() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .mapping("m", "/", "first")
        .object("Host", "a", "{hostname: a.test}")
        .module("{use_remote_address: false}")
        .start()
        .await;
    let request = stack.request(Method::GET, "/").header("host", "a.test");
    let request =
        request.header("x-forwarded-proto", "https").header("x-forwarded-for", "192.0.2.1");
    let reply = Client::send(request).await.unwrap();
    assert_eq!(reply.status, 200, "it came by TLS, somebody says");
    assert_eq!(reply.echo().header("x-forwarded-for"), Some("192.0.2.1"));
    assert_eq!(stack.get_host("a.test", "/").await.status, 301);
}
