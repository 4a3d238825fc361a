use nuncio_api::filter::Filter as Spec;
use serde_json::{Value, json};

use super::*;
use crate::Host;

fn filter(external: Value) -> ExternalFilter {
    try_filter(external).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "called with literals")]
fn try_filter(external: Value) -> Result<ExternalFilter, ConfigError> {
    let spec: Spec = serde_json::from_value(json!({ "External": external })).unwrap();
    ExternalFilter::new(spec.external.as_ref().unwrap(), None, spec.dialect(), Vec::new(), None)
}

fn request() -> Request {
    let mut request = Request {
        method: "POST".into(),
        host: Host::parse("shop.example").unwrap(),
        path: "/a?b=c".into(),
        body: b"0123456789".to_vec(),
        ..Request::default()
    };
    for (name, value) in [
        ("authorization", "A"),
        ("cookie", "c=1"),
        ("x-own", "1"),
        ("x-listed", "2"),
        ("x-request-id", "i"),
        ("connection", "close"),
    ] {
        request.headers.insert(name, value.parse().unwrap());
    }
    request
}

fn call(filter: &ExternalFilter) -> http::Request<Vec<u8>> {
    match filter.call(&request()) {
        Ok(ExternalCall::Http(call)) => *call,
        other => panic!("{other:?}"),
    }
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Result<ExternalAnswer, ExternalFailure> {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(ExternalAnswer::Http(response.body(b"body".to_vec()).unwrap()))
}

#[test]
fn the_http_form_sends_method_path_and_listed_headers_without_a_body() {
    let filter = filter(json!({
        "auth_service": "auth:3000", "path_prefix": "/check", "allowed_request_headers": ["X-Listed", "connection"],
        "add_linkerd_headers": true,
    }));
    let call = call(&filter);
    assert_eq!(call.method(), "POST");
    assert_eq!(call.uri(), "http://auth:3000/check/a?b=c");
    let mut names: Vec<_> = call.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["authorization", "content-length", "cookie", "host", "l5d-dst-override", "x-listed"]
    );
    assert_eq!(call.headers()["content-length"], "0");
    assert_eq!(call.headers()["host"], "shop.example");
    assert_eq!(call.headers()["l5d-dst-override"], "auth:3000");
    assert!(call.body().is_empty());
}

#[test]
fn bodies_are_cut_or_refused() {
    let cut = filter(
        json!({"auth_service": "a", "include_body": {"max_bytes": 4, "allow_partial": true}}),
    );
    assert_eq!(call(&cut).body(), b"0123");
    assert_eq!(call(&cut).headers()["content-length"], "4");
    assert_eq!(call(&cut).headers()["x-envoy-auth-partial-body"], "true");
    let whole = filter(
        json!({"auth_service": "a", "include_body": {"max_bytes": 4, "allow_partial": false}}),
    );
    let Err(verdict) = whole.call(&request()) else { panic!() };
    assert!(matches!(*verdict, Verdict::Respond(denial) if denial.status == 413));
    let legacy = filter(json!({"auth_service": "a", "allow_request_body": true}));
    assert_eq!(call(&legacy).body(), b"0123456789");
}

#[test]
fn only_200_allows_and_5xx_is_a_failure() {
    let filter = filter(json!({"auth_service": "a", "allowed_authorization_headers": ["x-user"]}));
    let settle = |answer| filter.settle(&request(), answer);
    let (verdict, outcome) = settle(answer(
        200,
        &[
            ("x-user", "ann"),
            ("x-other", "no"),
            ("set-cookie", "a=1"),
            ("x-envoy-auth-headers-to-remove", "x-own, host"),
        ],
    ));
    assert_eq!(outcome, ExternalOutcome::Allowed);
    let Verdict::Continue(changes) = verdict else { panic!() };
    assert_eq!(changes.headers_set().len(), 1);
    assert_eq!(changes.headers_removed(), ["x-own"]);
    assert_eq!(changes.response_headers()[0].1, "a=1", "cookies go to the browser, not upstream");
    for status in [201, 204, 302, 401, 404] {
        let (verdict, outcome) =
            settle(answer(status, &[("location", "/login"), ("x-secret", "1")]));
        assert_eq!(outcome, ExternalOutcome::Denied);
        let Verdict::Respond(denial) = verdict else { panic!("{status}") };
        assert_eq!(denial.status, status);
        assert_eq!(denial.headers.len(), 1);
        assert_eq!(denial.body, b"body");
    }
    for failed in [answer(500, &[]), answer(503, &[]), Err(ExternalFailure("x".into()))] {
        let (verdict, outcome) = settle(failed);
        assert_eq!(outcome, ExternalOutcome::Error);
        assert!(matches!(verdict, Verdict::Respond(denial) if denial.status == 403));
    }
}

#[test]
fn failures_have_their_own_status_or_let_through_on_request() {
    let strict = filter(json!({"auth_service": "a", "status_on_error": {"code": 503}}));
    let open = filter(json!({"auth_service": "a", "failure_mode_allow": true}));
    let failure = || Err(ExternalFailure("x".into()));
    let (verdict, _) = strict.settle(&request(), failure());
    assert!(matches!(verdict, Verdict::Respond(denial) if denial.status == 503));
    let (verdict, outcome) = open.settle(&request(), failure());
    assert!(matches!(verdict, Verdict::Continue(changes) if changes == Mutations::new()));
    assert_eq!(outcome, ExternalOutcome::Error);
}

#[test]
fn addresses_and_tls_are_read_as_edge_stack_does() {
    for (spec, authority, tls) in [
        (json!({"auth_service": "auth"}), "auth:80", false),
        (json!({"auth_service": "auth.ns:3000"}), "auth.ns:3000", false),
        (json!({"auth_service": "https://auth"}), "auth:443", true),
        (json!({"auth_service": "auth:1", "tls": true}), "auth:1", true),
        (json!({"auth_service": "[::1]:1"}), "[::1]:1", false),
    ] {
        let target = filter(spec.clone()).target;
        assert_eq!((target.authority.as_str(), target.tls), (authority, tls), "{spec}");
        assert_eq!(target.timeout.as_secs(), 5);
    }
    for spec in [
        json!({}),
        json!({"auth_service": "ftp://x"}),
        json!({"auth_service": "a/b"}),
        json!({"auth_service": "u@a"}),
        json!({"auth_service": "a", "path_prefix": "x"}),
        json!({"auth_service": "a", "proto": "grpc", "protocol_version": "v2"}),
        json!({"auth_service": "a", "status_on_error": {"code": 200}}),
        json!({"auth_service": "a", "allowed_request_headers": ["a b"]}),
    ] {
        assert!(try_filter(spec.clone()).is_err(), "{spec}");
    }
}
