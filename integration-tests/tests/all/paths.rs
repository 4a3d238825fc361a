//! Paths and hosts that mean the same, and paths that change on their way.

use nuncio_integration_tests::{Stack, exchange, head, until};

async fn stack(module: &str) -> Stack {
    Stack::builder()
        .backend("first")
        .await
        .module(module)
        .mapping("m", "/m/", "first")
        .object("Mapping", "host", "{hostname: a.test, prefix: /host/, service: first}")
        .start()
        .await
}

/// Sends the path as it is written; a client library would tidy it up.
async fn raw(stack: &Stack, path: &str) -> (String, String) {
    let answer = exchange(stack.http(), head("a.test", path, "")).await;
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let seen = answer.split("\"path\": \"").nth(1).and_then(|rest| rest.split('"').next());
    (status, seen.unwrap_or_default().to_owned())
}

fn got(status: &str, path: &str) -> (String, String) {
    (status.to_owned(), path.to_owned())
}

#[tokio::test]
async fn a_port_in_the_host_is_part_of_it_unless_stripped() {
    let stack = stack("{}").await;
    let port = stack.http().port();
    let with_port = format!("a.test:{port}");
    assert_eq!(stack.get_host("a.test", "/host/").await.status, 200);
    assert_eq!(stack.get_host(&with_port, "/host/").await.status, 404);
    stack.put_module("{strip_matching_host_port: true}");
    let look = async || stack.get_host(&with_port, "/host/").await.status;
    until("the port is stripped", look, |status| *status == 200).await;
    assert_eq!(stack.get_host("a.test:1", "/host/").await.status, 404, "not the listener's port");
    assert_eq!(stack.get_host(&with_port, "/m/").await.echo().authority, "a.test");
}

#[tokio::test]
async fn slashes_are_merged_where_the_module_says_so() {
    let stack = stack("{}").await;
    assert_eq!(raw(&stack, "//m///x").await, got("404", ""));
    assert_eq!(raw(&stack, "/m///x").await, got("200", "///x"));
    stack.put_module("{merge_slashes: true}");
    let look = async || raw(&stack, "//m///x").await;
    until("slashes are merged", look, |seen| *seen == got("200", "/x")).await;
}

#[tokio::test]
async fn escaped_slashes_are_refused_where_the_module_says_so() {
    let stack = stack("{}").await;
    assert_eq!(raw(&stack, "/m/a%2Fb").await, got("200", "/a%2Fb"));
    stack.put_module("{reject_requests_with_escaped_slashes: true}");
    for path in ["/m/a%2Fb", "/m/a%2fb", "/m/a%5Cb"] {
        let look = async || raw(&stack, path).await.0;
        until("escaped slashes are refused", look, |status| status == "400").await;
    }
    assert_eq!(raw(&stack, "/m/a%20b").await, got("200", "/a%20b"));
}

#[tokio::test]
async fn paths_are_normalised_before_any_pattern_sees_them() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .object("Mapping", "re2", r#"{hostname: "*", prefix: "/(a|b)/[0-9]{2,}/.*", prefix_regex: true, rewrite: "", service: first}"#)
        .object("Mapping", "host-re2", r#"{host: "(one|two)[.]test", host_regex: true, prefix: /any/, service: first}"#)
        .object("Mapping", "header-re2", r#"{hostname: "*", prefix: /header/, regex_headers: {x-v: "v[0-9]+"}, service: first}"#)
        .start()
        .await;
    assert_eq!(raw(&stack, "/a/12/x").await, got("200", "/a/12/x"));
    assert_eq!(raw(&stack, "/c/../a/./12/x").await, got("200", "/a/12/x"));
    assert_eq!(raw(&stack, "/a/1/x").await, got("404", ""));
    assert_eq!(raw(&stack, "/a/12/../x").await, got("404", ""));
    assert_eq!(stack.get_host("two.test", "/any/").await.status, 200);
    assert_eq!(stack.get_host("three.test", "/any/").await.status, 404);
    let answer = exchange(stack.http(), head("a", "/header/", "x-v: v17\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = exchange(stack.http(), head("a", "/header/", "x-v: v17b\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "the whole value must match: {answer}");
}

#[tokio::test]
async fn rewrites_keep_replace_or_rearrange_the_path() {
    let stack = Stack::builder()
        .backend("first")
        .await
        .object("Mapping", "default", r#"{hostname: "*", prefix: /default/, service: first}"#)
        .object("Mapping", "kept", r#"{hostname: "*", prefix: /kept/, rewrite: "", service: first}"#)
        .object("Mapping", "new", r#"{hostname: "*", prefix: /old/, rewrite: /new/, service: first}"#)
        .object("Mapping", "regex", r#"{hostname: "*", prefix: /regex/, service: first,
            regex_rewrite: {pattern: "/regex/([^/]*)/(.*)", substitution: '/\2/then/\1'}}"#)
        .object("Mapping", "caseless", r#"{hostname: "*", prefix: /CaseLess/, case_sensitive: false, rewrite: /c/, service: first}"#)
        .start()
        .await;
    let cases = [
        ("/default/a/b", "/a/b"),
        ("/kept/a/b", "/kept/a/b"),
        ("/old/a/b", "/new/a/b"),
        ("/regex/a/b/c", "/b/c/then/a"),
        ("/caseless/a", "/c/a"),
        ("/CASELESS/a", "/c/a"),
    ];
    for (path, seen) in cases {
        assert_eq!(raw(&stack, path).await, got("200", seen), "{path}");
    }
    assert_eq!(raw(&stack, "/Default/a").await.0, "404", "case counts otherwise");
}
