use std::collections::BTreeMap;

use nuncio_api::filter::Filter as FilterSpec;
use nuncio_api::filter_policy::FilterPolicy;
use nuncio_testing::tokens::Issuer;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::filter::api_key::ServiceKeys;
use crate::filter::{BoxFuture, ConfigError, FilterFactory, FilterName, RequestView};
use crate::{Environment, Host, Source, Sources};

const NOW: Duration = Duration::from_secs(1_000_000);

struct Never;

impl Filter for Never {
    fn evaluate<'a>(&'a self, _: RequestView<'a>, _: &'a mut Ctx) -> BoxFuture<'a, Verdict> {
        Box::pin(std::future::ready(Verdict::Fail(FilterError::new("not run here"))))
    }

    fn injectable_headers(&self) -> &[HeaderName] {
        static NAMES: [HeaderName; 1] = [HeaderName::from_static("x-custom-id")];
        &NAMES
    }
}

impl FilterFactory for Never {
    fn kind(&self) -> &'static str {
        "never"
    }

    fn build(&self, config: &Value) -> Result<Arc<dyn Filter>, ConfigError> {
        match config {
            Value::Null => Ok(Arc::new(Never)),
            _ => Err(ConfigError::new("x", "takes nothing")),
        }
    }
}

fn name(name: &str) -> FilterName {
    FilterName { namespace: "ns".into(), name: name.into() }
}

fn environment() -> Environment {
    let factory: Arc<dyn FilterFactory> = Arc::new(Never);
    Environment {
        keys: ServiceKeys { process: [1; 32], api_key_hmac: None },
        factories: BTreeMap::from([("never", factory)]),
        strict_paths: true,
    }
}

/// `filters`: name to spec; `rules`: one policy's rules. Secret `keys` holds
/// the API keys `one` and `two`.
fn sources(filters: &Value, rules: &Value) -> Sources {
    let mut sources = Sources::default();
    for (filter, spec) in filters.as_object().unwrap() {
        let spec: FilterSpec = serde_json::from_value(spec.clone()).unwrap();
        sources.filters.insert(name(filter), Source::accepted(spec));
    }
    let policy: FilterPolicy = serde_json::from_value(json!({ "rules": rules })).unwrap();
    sources.policies.insert(name("policy"), Source::accepted(policy));
    let keys = [("a", "one"), ("b", "two")];
    let keys = keys.map(|(entry, key)| (entry.to_owned(), key.as_bytes().to_vec()));
    sources.secrets.insert(name("keys"), keys.into());
    sources
}

fn config(filters: &Value, rules: &Value) -> Arc<Config> {
    Arc::new(Config::build(&sources(filters, rules), &environment(), None))
}

fn request(host: &str, path: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request {
        method: "GET".into(),
        scheme: "http".into(),
        host: Host::parse(host).unwrap(),
        path: path.into(),
        id: "r1".into(),
        ..Request::default()
    };
    for (name, value) in headers {
        request.headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}

fn decide(config: &Arc<Config>, request: Request) -> Decision {
    match Evaluation::new(Arc::clone(config), request).step(Event::Start, NOW) {
        Step::Done(decision) => decision,
        Step::Need(effect) => panic!("{effect:?} wanted"),
    }
}

fn status(config: &Arc<Config>, request: Request) -> u16 {
    match decide(config, request) {
        Decision::Allow(_) => 200,
        Decision::Deny(denial) => denial.status.as_u16(),
    }
}

fn api_key() -> Value {
    json!({"APIKey": {"keys": [{"secretName": "keys"}]}})
}

#[test]
fn the_first_rule_that_matches_decides_alone() {
    let config = config(
        &json!({"key": api_key()}),
        &json!([
            {"host": "*", "path": "/open/*", "filters": null},
            {"host": "a.com", "path": "/*", "filters": [{"name": "key"}]},
            {"host": "*", "path": "/high", "precedence": 5, "filters": [{"name": "key"}]},
            {"host": "*", "path": "/high", "filters": []},
        ]),
    );
    for (host, path, expected) in [
        ("a.com", "/open/x", 200),
        ("a.com", "/x", 403),
        ("A.com.:8080", "/x?open", 403),
        ("b.com", "/x", 200),
        ("b.com", "/high", 403),
        ("b.com", "/high?x=/open/", 403),
    ] {
        assert_eq!(status(&config, request(host, path, &[])), expected, "{host}{path}");
    }
}

#[test]
fn readings_of_a_path_that_fall_under_different_rules_are_refused() {
    let config = config(
        &json!({"key": api_key()}),
        &json!([{"host": "*", "path": "/admin*", "filters": [{"name": "key"}]}]),
    );
    for path in [
        "/x/../admin",
        "//admin",
        "/./admin",
        "/%61dmin",
        "/x/%2e%2e/admin",
        "/x/..%2Fadmin",
        "/x/..%5cadmin",
        "/x/..\\admin",
        "/x/..;/admin",
        "/%2Fadmin",
        "/admin/../x",
        "/a%00",
        "/x/%252e%252e/admin",
        "/admin%2fx",
        "admin",
        "/%zz",
    ] {
        assert_eq!(status(&config, request("h", path, &[])), 400, "{path}");
    }
    assert_eq!(status(&config, request("h", "/admin/x", &[])), 403);
    assert_eq!(status(&config, request("h", "/other;v=1", &[])), 200, "nothing guards it");
}

#[test]
fn missing_rejected_unsupported_and_broken_filters_answer_500() {
    let filters = json!({
        "oauth": {"OAuth2": {"authorizationURL": "https://idp"}},
        "plugin": {"Plugin": {"name": "x"}},
        "typeless": {},
        "secretless": {"APIKey": {"keys": [{"secretName": "absent"}]}},
        "unknown": {"Custom": {"kind": "nobody"}},
        "misconfigured": {"Custom": {"kind": "never", "config": 1}},
        "template": {"JWT": {"jwksURI": "http://x", "injectRequestHeaders": [{"name": "a", "value": "{{"}]}},
        "ok": api_key(),
    });
    for reference in [
        json!({"name": "oauth"}),
        json!({"name": "plugin"}),
        json!({"name": "typeless"}),
        json!({"name": "secretless"}),
        json!({"name": "unknown"}),
        json!({"name": "misconfigured"}),
        json!({"name": "template"}),
        json!({"name": "absent"}),
        json!({"name": "absent", "onDeny": "continue"}),
        json!({"name": "ok", "namespace": "elsewhere"}),
        json!({"name": "ok", "ifRequestHeader": {"name": "x", "valueRegex": "("}}),
        json!({"name": "ok", "ifRequestHeader": {"name": ""}}),
    ] {
        let config = config(&filters, &json!([{"filters": [reference]}]));
        let keyed = request("h", "/", &[("x-api-key", "one")]);
        assert_eq!(status(&config, keyed), 500, "{reference}");
        assert!(config.findings().iter().any(|finding| finding.is_error), "{reference}");
    }
}

#[test]
fn a_rejected_policy_closes_what_it_names_or_everything() {
    let mut sources = sources(
        &json!({"key": api_key()}),
        &json!([{"host": "a.com", "filters": [{"name": "key"}]}]),
    );
    let policy = sources.policies.get_mut(&name("policy")).unwrap();
    policy.rejected = Some("bad".into());
    let config = Arc::new(Config::build(&sources, &environment(), None));
    assert_eq!(status(&config, request("a.com", "/", &[("x-api-key", "one")])), 500);
    assert_eq!(status(&config, request("b.com", "/", &[])), 200);
    sources.policies.get_mut(&name("policy")).unwrap().spec = None;
    let config = Arc::new(Config::build(&sources, &environment(), None));
    assert_eq!(status(&config, request("b.com", "/", &[])), 500);
}

#[test]
fn a_bad_update_keeps_the_last_good_filter_but_a_lost_secret_closes_it() {
    let rules = json!([{"filters": [{"name": "token"}, {"name": "key"}]}]);
    let issuer = Issuer::new("k");
    let good = json!({"JWT": {}, "ext": {"jwks": issuer.jwks()}});
    let first = config(&json!({"token": good, "key": api_key()}), &rules);
    let token = format!("Bearer {}", issuer.sign(&json!({})));
    let keyed = || request("h", "/", &[("x-api-key", "one"), ("authorization", &token)]);
    assert_eq!(status(&first, keyed()), 200);
    let bad = json!({"JWT": {"validAlgorithms": ["x"]}});
    let update = sources(&json!({"token": bad, "key": api_key()}), &rules);
    let second = Arc::new(Config::build(&update, &environment(), Some(&first)));
    assert_eq!(status(&second, keyed()), 200);
    assert!(second.findings().iter().any(|finding| finding.field == "JWT.validAlgorithms[0]"));
    let mut lost = update;
    lost.secrets.clear();
    let third = Arc::new(Config::build(&lost, &environment(), Some(&second)));
    assert_eq!(status(&third, keyed()), 500);
}

#[test]
fn chains_follow_on_deny_and_on_allow() {
    let issuer = Issuer::new("k");
    let filters = json!({
        "key": api_key(),
        "token": {"JWT": {}, "ext": {"jwks": issuer.jwks()}},
    });
    let either = config(
        &filters,
        &json!([{"filters": [
            {"name": "token", "onDeny": "continue", "onAllow": "break"}, {"name": "key"},
        ]}]),
    );
    let both = config(&filters, &json!([{"filters": [{"name": "token"}, {"name": "key"}]}]));
    let forgiving =
        config(&filters, &json!([{"filters": [{"name": "key", "onDeny": "continue"}]}]));
    let token = format!("Bearer {}", issuer.sign(&json!({})));
    let with = |key: bool, bearer: bool| {
        let headers = [("x-api-key", "one"), ("authorization", token.as_str())];
        let chosen: Vec<_> =
            headers.into_iter().zip([key, bearer]).filter(|(_, on)| *on).map(|(h, _)| h).collect();
        request("h", "/", &chosen)
    };
    for (key, bearer, or, and) in [
        (true, true, 200, 200),
        (true, false, 200, 401),
        (false, true, 200, 403),
        (false, false, 403, 401),
    ] {
        assert_eq!(status(&either, with(key, bearer)), or, "either {key} {bearer}");
        assert_eq!(status(&both, with(key, bearer)), and, "both {key} {bearer}");
    }
    assert_eq!(status(&forgiving, with(false, false)), 200);
    assert!(forgiving.findings().iter().any(|finding| !finding.is_error));
}

#[test]
fn conditions_choose_filters_by_headers() {
    for (condition, headers, guarded) in [
        (json!({"name": "X-A"}), &[("x-a", "1")][..], true),
        (json!({"name": "X-A"}), &[], false),
        (json!({"name": "X-A"}), &[("x-a", "")], false),
        (json!({"name": "X-A", "negate": true}), &[], true),
        (json!({"name": "X-A", "value": "1"}), &[("x-a", "1")], true),
        (json!({"name": "X-A", "value": "1"}), &[("x-a", "11")], false),
        (json!({"name": "X-A", "value": "1", "negate": true}), &[("x-a", "1")], false),
        (json!({"name": "X-A", "valueRegex": "^b+$"}), &[("x-a", "bb")], true),
        (
            json!({"name": "X-A", "type": "RegularExpression", "value": "^b"}),
            &[("x-a", "bc")],
            true,
        ),
        (json!({"name": ":method", "value": "GET"}), &[], true),
        (json!({"name": ":method", "value": "POST"}), &[], false),
    ] {
        let config = config(
            &json!({"key": api_key()}),
            &json!([{"filters": [{"name": "key", "ifRequestHeader": condition}]}]),
        );
        let expected = if guarded { 403 } else { 200 };
        assert_eq!(
            status(&config, request("h", "/", headers)),
            expected,
            "{condition} {headers:?}"
        );
    }
}

fn injecting(issuer: &Issuer) -> Value {
    json!({
        "JWT": {"injectRequestHeaders": [
            {"name": "X-User", "value": "{{ .token.Claims.sub }}"},
            {"name": "X-Role", "value": "{{ if hasKey .token.Claims \"role\" }}{{ .token.Claims.role }}{{ else }}{{ doNotSet }}{{ end }}"},
        ]},
        "ext": {"jwks": issuer.jwks()},
    })
}

#[test]
fn headers_that_only_a_filter_may_set_are_stripped_in_every_spelling() {
    let issuer = Issuer::new("k");
    let config = config(
        &json!({"token": injecting(&issuer), "custom": {"Custom": {"kind": "never"}}}),
        &json!([{"filters": [
            {"name": "token"}, {"name": "custom", "ifRequestHeader": {"name": "x-never"}},
        ]}]),
    );
    let token = format!("Bearer {}", issuer.sign(&json!({"sub": "ann"})));
    let spoofed = request(
        "h",
        "/",
        &[
            ("authorization", &token),
            ("x-user", "root"),
            ("X_User", "root"),
            ("x-role", "admin"),
            ("x_role", "admin"),
            ("x-custom-id", "1"),
            ("x-free", "kept"),
        ],
    );
    let Decision::Allow(allow) = decide(&config, spoofed) else { panic!() };
    let set: Vec<_> = allow
        .changes()
        .headers_set()
        .iter()
        .map(|(n, v)| (n.as_str(), v.to_str().unwrap()))
        .collect();
    assert_eq!(set, [("x-user", "ann")]);
    let mut removed: Vec<_> =
        allow.changes().headers_removed().iter().map(HeaderName::as_str).collect();
    removed.sort_unstable();
    assert_eq!(removed, ["x-custom-id", "x-role", "x_role", "x_user"]);
}

#[test]
fn a_client_cannot_meet_a_condition_with_a_header_of_an_earlier_filter() {
    let issuer = Issuer::new("k");
    let config = config(
        &json!({"token": injecting(&issuer), "key": api_key()}),
        &json!([{"filters": [
            {"name": "token", "ifRequestHeader": {"name": "authorization"}},
            {"name": "key", "ifRequestHeader": {"name": "x-role", "value": "admin", "negate": true}},
        ]}]),
    );
    let sign = |claims| format!("Bearer {}", issuer.sign(&claims));
    let spoof = ("x-role", "admin");
    let plain = sign(json!({"sub": "ann"}));
    assert_eq!(status(&config, request("h", "/", &[("authorization", &plain), spoof])), 403);
    assert_eq!(status(&config, request("h", "/", &[spoof])), 403, "first filter skipped");
    let admin = sign(json!({"sub": "ann", "role": "admin"}));
    assert_eq!(status(&config, request("h", "/", &[("authorization", &admin)])), 200);
}

#[test]
fn lost_time_lost_keys_and_events_out_of_turn_fail_closed() {
    let config = config(
        &json!({"token": {"JWT": {"jwksURI": "http://x"}}}),
        &json!([{"filters": [{"name": "token", "onDeny": "continue"}]}]),
    );
    let token = format!("Bearer {}", Issuer::new("k").sign(&json!({})));
    let begin = || {
        let mut evaluation =
            Evaluation::new(Arc::clone(&config), request("h", "/", &[("authorization", &token)]));
        let first = evaluation.step(Event::Start, NOW);
        assert!(matches!(first, Step::Need(Effect::Keys { missing: None, .. })));
        evaluation
    };
    let end = |event| match begin().step(event, NOW) {
        Step::Done(Decision::Deny(denial)) => denial.status.as_u16(),
        other => panic!("{other:?}"),
    };
    assert_eq!(end(Event::Elapsed), 504);
    assert_eq!(end(Event::Keys(Err(KeysUnavailable("x".into())))), 503);
    assert_eq!(end(Event::Custom(Verdict::Continue(Mutations::new()))), 500);
    assert_eq!(end(Event::Start), 500);
    let mut over = begin();
    over.step(Event::Elapsed, NOW);
    assert!(matches!(over.step(Event::Start, NOW), Step::Done(Decision::Deny(_))));
}

#[test]
fn a_token_that_no_key_could_save_costs_no_fetch() {
    let config = config(
        &json!({"token": {"JWT": {"jwksURI": "http://x"}}}),
        &json!([{"filters": [{"name": "token"}]}]),
    );
    for value in ["Bearer abc", "Bearer a.b.c", "Bearer"] {
        assert!(status(&config, request("h", "/", &[("authorization", value)])) >= 400);
    }
}

#[test]
fn unchanged_filters_are_taken_over_with_what_they_remember() {
    let filters = json!({"key": api_key(), "other": {"JWT": {"jwksURI": "http://x"}}});
    let first = config(&filters, &json!([]));
    let second =
        Config::build(&sources(&filters, &json!([{"path": "/"}])), &environment(), Some(&first));
    for (name, filter) in first.filters() {
        assert!(Arc::ptr_eq(filter, &second.filters()[name]), "{name}");
    }
}

proptest! {
    /// With every link breaking on denial, a request passes only with the key.
    #[test]
    fn nothing_guarded_passes_without_a_passing_verdict(
        host in "[a-c.:@A-C0-9]{0,8}",
        path in "(/|%2[fFeE]|%61|\\.|\\.\\.|;|\\\\|a|admin|\\?|#){0,8}",
        key in prop::option::of("one|two|three|"),
        rule_path in prop::sample::select(vec!["*", "/*", "/admin*", "/a/*", "*admin*"]),
    ) {
        let config = config(
            &json!({"key": api_key()}),
            &json!([{"host": "*", "path": rule_path, "filters": [{"name": "key"}]}]),
        );
        let Ok(parsed) = Host::parse(&host) else { return Ok(()) };
        let headers: Vec<_> = key.iter().map(|key| ("x-api-key", key.as_str())).collect();
        let request = Request { host: parsed.clone(), ..request("h", &path, &headers) };
        let valid = matches!(key.as_deref(), Some("one" | "two"));
        let guarded = path::read(&path).is_ok_and(|forms| {
            let spellings = [Some(forms.raw), Some(&*forms.canonical), forms.lenient.as_deref()];
            spellings.into_iter().flatten().any(|path| config.table().find(&parsed, path).is_some())
        });
        if guarded && !valid {
            prop_assert!(status(&config, request) >= 400);
        } else if path::read(&path).is_ok() && !guarded {
            prop_assert_eq!(status(&config, request), 200);
        }
    }

    /// The index finds what walking the rules in order finds.
    #[test]
    fn the_indexed_table_agrees_with_the_list(
        rules in prop::collection::vec(("(\\*|a|b|\\.|\\*\\.a){0,3}", "(/|\\*|a|b|/a){0,4}"), 0..12),
        host in "[ab.]{0,4}", path in "[/ab]{0,6}",
    ) {
        let rules: Vec<_> = rules.iter().map(|(host, path)| json!({"host": host, "path": path})).collect();
        let config = config(&json!({}), &json!(rules));
        let host = Host::parse(&host).unwrap();
        let listed = config.table().rules().iter().find(|rule| {
            rule.host.matches(host.name()) && rule.path.matches(&path)
        });
        let found = config.table().find(&host, &path);
        prop_assert_eq!(found.map(|rule| &rule.name), listed.map(|rule| &rule.name));
    }
}
