//! Where redirects lead, to the letter.

use nuncio_integration_tests::{Client, Stack, exchange, free_port, head};
use reqwest::Method;

fn redirect(prefix: &str, more: &str) -> String {
    format!("{{hostname: \"*\", prefix: {prefix}, service: new.test, host_redirect: true{more}}}")
}

#[tokio::test]
async fn locations_are_made_of_what_the_mapping_says_and_the_request_asked() {
    let stack = Stack::builder()
        .object("Mapping", "host", &redirect("/host/", ""))
        .object("Mapping", "path", &redirect("/path/", ", path_redirect: /other/"))
        .object("Mapping", "prefix", &redirect("/prefix/", ", prefix_redirect: /swapped/"))
        .object(
            "Mapping",
            "regex",
            &redirect(
                "/regex/",
                r#", regex_redirect: {pattern: "/regex/([0-9]+)", substitution: '/number/\1'}"#,
            ),
        )
        .object("Mapping", "query", &redirect("/host/", ", query_parameters: {v: \"2\"}, redirect_response_code: 308"))
        .object("Mapping", "port", r#"{hostname: "*", prefix: /port/, service: "new.test:8080", host_redirect: true}"#)
        .object("Mapping", "secure", r#"{hostname: "*", prefix: /secure/, service: "https://new.test", host_redirect: true}"#)
        .object("Mapping", "headers", &redirect("/headers/", ", add_response_headers: {x-moved: {value: \"yes\"}}"))
        .start()
        .await;
    let cases = [
        ("/host/a/b", 301, "http://new.test/host/a/b"),
        ("/host/a?b=c", 301, "http://new.test/host/a?b=c"),
        ("/path/anything", 301, "http://new.test/other/"),
        ("/path/anything?b=c", 301, "http://new.test/other/?b=c"),
        ("/prefix/a/b", 301, "http://new.test/swapped/a/b"),
        ("/prefix/a?b=c", 301, "http://new.test/swapped/a?b=c"),
        ("/regex/17", 301, "http://new.test/number/17"),
        ("/regex/17?b=c", 301, "http://new.test/number/17?b=c"),
        ("/host/?v=2", 308, "http://new.test/host/?v=2"),
        ("/port/x", 301, "http://new.test:8080/port/x"),
        ("/secure/x", 301, "https://new.test/secure/x"),
        ("/headers/x", 301, "http://new.test/headers/x"),
    ];
    for (path, status, location) in cases {
        let reply = stack.get(path).await.unwrap();
        assert_eq!((reply.status, reply.header("location")), (status, Some(location)), "{path}");
    }
    assert_eq!(stack.get("/headers/").await.unwrap().header("x-moved"), Some("yes"));
}

#[tokio::test]
async fn every_code_of_a_redirect_can_be_had_and_others_become_301() {
    let mut builder = Stack::builder();
    let codes = [(301, 301), (302, 302), (303, 303), (307, 307), (308, 308), (304, 301)];
    for (code, _) in codes {
        let spec = redirect(&format!("/{code}/"), &format!(", redirect_response_code: {code}"));
        builder = builder.object("Mapping", &format!("code-{code}"), &spec);
    }
    let stack = builder.start().await;
    for (code, status) in codes {
        assert_eq!(stack.get(&format!("/{code}/")).await.unwrap().status, status, "{code}");
    }
}

const TLS_HOST: &str = r#"{hostname: "*", requestPolicy: {insecure: {action: Redirect}}}"#;

fn listener(port: u16, protocol: &str, depth: u32) -> String {
    format!(
        "{{port: {port}, protocol: {protocol}, securityModel: XFP, l7Depth: {depth}, \
         hostBinding: {{namespace: {{from: ALL}}}}}}"
    )
}

#[tokio::test]
async fn behind_a_proxy_of_layer_7_its_word_about_the_scheme_counts() {
    let (deep, direct) = (free_port(), free_port());
    let stack = Stack::builder()
        .without_listeners()
        .backend("first")
        .await
        .mapping("m", "/m/", "first")
        .object("Host", "any", TLS_HOST)
        .object("Listener", "deep", &listener(deep, "HTTP", 1))
        .object("Listener", "direct", &listener(direct, "HTTP", 0))
        .start()
        .await;
    let ask = async |port: u16, path: &str, scheme: &str| {
        let url = format!("http://127.0.0.1:{port}{path}");
        let request = stack.client().request(Method::GET, &url).header("host", "a.test");
        Client::send(request.header("x-forwarded-proto", scheme)).await.unwrap()
    };
    let reply = ask(deep, "/m/", "https").await;
    assert_eq!((reply.status, reply.echo().header("x-forwarded-proto").unwrap()), (200, "https"));
    let reply = ask(deep, "/m/x?y", "http").await;
    assert_eq!((reply.status, reply.header("location")), (301, Some("https://a.test/m/x?y")));
    // A client that is trusted with nothing cannot claim to have come by TLS.
    assert_eq!(ask(direct, "/m/", "https").await.status, 301);
    // Only what a Mapping matches is redirected.
    assert_eq!(ask(deep, "/unknown", "http").await.status, 404);
    assert_eq!(ask(direct, "/unknown", "http").await.status, 404);
}

#[tokio::test]
async fn redirects_work_behind_the_proxy_protocol_too() {
    let port = free_port();
    let stack = Stack::builder()
        .without_listeners()
        .backend("first")
        .await
        .mapping("m", "/m/", "first")
        .object("Host", "any", TLS_HOST)
        .object(
            "Host",
            "open",
            r#"{hostname: open.test, requestPolicy: {insecure: {action: Route}}}"#,
        )
        .object("Listener", "proxied", &listener(port, "HTTPPROXY", 0))
        .start()
        .await;
    let address = ([127, 0, 0, 1], port).into();
    let proxied =
        |host: &str| format!("PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n{}", head(host, "/m/", ""));
    let answer = exchange(address, proxied("a.test")).await;
    assert!(answer.starts_with("HTTP/1.1 301") && answer.contains("https://a.test/m/"), "{answer}");
    // The client is the one that the proxy names.
    let answer = exchange(address, proxied("open.test")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("192.0.2.7"), "{answer}");
    let bare = exchange(address, head("open.test", "/m/", "")).await;
    assert_eq!(bare, "", "without its header the connection is closed");
    drop(stack);
}

#[tokio::test]
async fn redirects_attach_to_hosts_by_pattern_and_by_label() {
    let labelled = "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\n\
        metadata: {name: labelled, namespace: default, labels: {team: a}}\n\
        spec: {prefix: /labelled/, service: new.test, host_redirect: true}\n";
    let stack = Stack::builder()
        .object("Host", "any", r#"{hostname: "*.old.test", requestPolicy: {insecure: {action: Route}}}"#)
        .object(
            "Host",
            "chosen",
            "{hostname: chosen.test, requestPolicy: {insecure: {action: Route}}, \
             mappingSelector: {matchLabels: {team: a}}}",
        )
        .object(
            "Mapping",
            "pattern",
            r#"{host: "(a|b)[.]old[.]test", host_regex: true, prefix: /pattern/, service: new.test, host_redirect: true}"#,
        )
        .file("labelled.yaml", labelled)
        .start()
        .await;
    for (host, path, status) in [
        ("a.old.test", "/pattern/", 301),
        ("c.old.test", "/pattern/", 404),
        ("chosen.test", "/labelled/", 301),
        ("a.old.test", "/labelled/", 404),
    ] {
        assert_eq!(stack.get_host(host, path).await.status, status, "{host}{path}");
    }
}
