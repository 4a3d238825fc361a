use nuncio_api::filter::Filter as Spec;
use nuncio_testing::tokens::{Issuer, encode};
use serde_json::json;

use super::*;

const NOW: Duration = Duration::from_secs(1_000_000);

fn filter(spec: Value) -> JwtFilter {
    try_filter(spec).unwrap()
}

fn try_filter(spec: Value) -> Result<JwtFilter, ConfigError> {
    let spec: Spec = serde_json::from_value(spec).unwrap();
    let name = FilterName { namespace: "ns".into(), name: "f".into() };
    JwtFilter::new(&name, spec.jwt.as_ref().unwrap(), spec.ext.as_ref(), spec.dialect())
}

fn request(authorization: &[&str]) -> Request {
    let mut request = Request { id: "r1".into(), ..Request::default() };
    for value in authorization {
        request.headers.append(AUTHORIZATION, value.parse().unwrap());
    }
    request
}

fn judge(filter: &JwtFilter, request: &Request, scopes: &[&str]) -> Verdict {
    let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    match filter.judge(request, &KnownKeys::Unknown, &scopes, NOW) {
        Outcome::Verdict(verdict) => verdict,
        Outcome::NeedKeys { .. } => panic!("keys are local"),
    }
}

fn status(filter: &JwtFilter, token: &str) -> u16 {
    match judge(filter, &request(&[&format!("Bearer {token}")]), &[]) {
        Verdict::Continue(_) => 200,
        Verdict::Respond(denial) => denial.status.as_u16(),
        Verdict::Fail(error) => panic!("{error}"),
    }
}

fn refusal(verdict: Verdict) -> (u16, String, String) {
    let Verdict::Respond(denial) = verdict else { panic!("{verdict:?}") };
    let challenge = denial.headers.iter().find(|(name, _)| *name == WWW_AUTHENTICATE);
    let challenge = challenge.map(|(_, value)| value.to_str().unwrap().to_owned());
    (denial.status.as_u16(), challenge.unwrap_or_default(), String::from_utf8(denial.body).unwrap())
}

#[test]
fn every_algorithm_verifies_its_own_signature_and_no_other_key_does() {
    for algorithm in ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256"] {
        let issuer = Issuer::with("k", algorithm);
        let other = Issuer::with("k", algorithm);
        let filter = filter(json!({"JWT": {}, "ext": {"jwks": issuer.jwks()}}));
        assert_eq!(status(&filter, &issuer.sign(&json!({}))), 200, "{algorithm}");
        assert_eq!(status(&filter, &other.sign(&json!({}))), 401, "{algorithm}");
    }
}

#[test]
fn shared_secrets_count_only_in_local_key_sets() {
    let jwks = json!({"keys": [{"kty": "oct", "kid": "k", "k": encode(b"secret-of-32-bytes-or-more-bytes")}]});
    let bytes = jwks.to_string().into_bytes();
    assert_eq!(KeySet::parse(&bytes, KeyOrigin::Local).unwrap().len(), 1);
    assert_eq!(KeySet::parse(&bytes, KeyOrigin::Remote).unwrap().len(), 0);
    let message = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(b"{}"));
    let key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA256,
        b"secret-of-32-bytes-or-more-bytes",
    );
    let tag = encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref());
    let filter = filter(json!({"JWT": {}, "ext": {"jwks": jwks}}));
    assert_eq!(status(&filter, &format!("{message}.{tag}")), 200);
}

#[test]
fn a_public_key_is_never_taken_for_a_shared_secret() {
    let issuer = Issuer::new("k");
    let filter = filter(json!({"JWT": {}, "ext": {"jwks": issuer.jwks()}}));
    let message = format!("{}.{}", encode(br#"{"alg":"HS256","kid":"k"}"#), encode(b"{}"));
    let secret = issuer.jwks().to_string();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref());
    assert_eq!(status(&filter, &format!("{message}.{tag}")), 401);
}

#[test]
fn unsigned_tokens_pass_only_where_none_is_the_sole_algorithm() {
    let token = format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(b"{}"));
    let issuer = Issuer::new("k");
    let signed = filter(json!({"JWT": {}, "ext": {"jwks": issuer.jwks()}}));
    assert_eq!(status(&signed, &token), 401);
    let unsigned = filter(json!({"JWT": {"validAlgorithms": ["none"]}}));
    assert_eq!(status(&unsigned, &token), 200);
    assert_eq!(status(&unsigned, &format!("{token}AAAA")), 401);
    assert_eq!(status(&unsigned, &issuer.sign(&json!({}))), 401);
    let mixed = try_filter(json!({"JWT": {"validAlgorithms": ["none", "RS256"]}}));
    assert_eq!(mixed.unwrap_err().field, "JWT.validAlgorithms");
}

#[test]
fn the_algorithm_must_be_accepted_and_fit_the_key() {
    let issuer = Issuer::with("k", "RS256");
    let token = issuer.sign(&json!({}));
    let only =
        filter(json!({"JWT": {"validAlgorithms": ["PS256"]}, "ext": {"jwks": issuer.jwks()}}));
    assert_eq!(status(&only, &token), 401);
    for (member, value) in
        [("alg", json!("PS256")), ("use", json!("enc")), ("key_ops", json!(["sign"]))]
    {
        let mut jwk = issuer.jwk();
        jwk[member] = value;
        let filter = filter(json!({"JWT": {}, "ext": {"jwks": {"keys": [jwk]}}}));
        assert_eq!(status(&filter, &token), 401, "{member}");
    }
}

#[test]
fn headers_that_ask_for_extensions_are_refused_and_hints_are_not_followed() {
    let issuer = Issuer::new("k");
    let filter = filter(json!({"JWT": {}, "ext": {"jwks": issuer.jwks()}}));
    for header in [
        r#"{"alg":"ES256","kid":"k","crit":["exp"]}"#,
        r#"{"alg":"ES256","kid":"k","b64":false}"#,
        r#"{"alg":"ES256","kid":"k","zip":"DEF"}"#,
        r#"{"alg":"ES256","kid":"k","cty":"JWT"}"#,
        r#"{"alg":"ES256","kid":"k","kid":"k"}"#,
        r#"{"alg":"ES256","kid":1}"#,
        r#"{"kid":"k"}"#,
        r#"[]"#,
    ] {
        assert_eq!(status(&filter, &issuer.sign_with(header, "{}")), 401, "{header}");
    }
    let hints =
        r#"{"alg":"ES256","kid":"k","jku":"http://127.0.0.1:1/","x5u":"http://127.0.0.1:1/"}"#;
    assert_eq!(status(&filter, &issuer.sign_with(hints, "{}")), 200);
    assert_eq!(status(&filter, &issuer.sign_with(r#"{"alg":"ES256"}"#, "{}")), 200, "no kid");
    assert_eq!(status(&filter, &issuer.sign_with(r#"{"alg":"ES256"}"#, r#"{"a":1,"a":2}"#)), 401);
    let huge = json!({"a": "x".repeat(20_000)});
    assert_eq!(status(&filter, &issuer.sign(&huge)), 401);
    assert_eq!(status(&filter, "a.b.c.d.e"), 401);
    assert_eq!(status(&filter, "abc"), 401);
}

#[test]
fn refusals_follow_rfc_6750() {
    let issuer = Issuer::new("k");
    let spec =
        json!({"JWT": {"errorResponse": {"realm": "a \"b\""}}, "ext": {"jwks": issuer.jwks()}});
    let filter = filter(spec);
    let good = format!("Bearer {}", issuer.sign(&json!({"scope": "one"})));
    let (code, challenge, body) = refusal(judge(&filter, &request(&[]), &[]));
    assert_eq!((code, challenge.as_str()), (401, r#"Bearer realm="a \"b\"""#));
    assert_eq!(body, r#"{"message":"no Bearer token","request_id":"","status_code":401}"#);
    assert_eq!(refusal(judge(&filter, &request(&["Basic eDp5"]), &[])).0, 401);
    for bad in [&["Bearer "][..], &["Bearer a b"], &["Bearer é"], &[&good, &good]] {
        let (code, challenge, _) = refusal(judge(&filter, &request(bad), &[]));
        assert_eq!(code, 400, "{bad:?}");
        assert!(challenge.contains(r#"error="invalid_request""#), "{challenge}");
    }
    let (code, challenge, _) = refusal(judge(&filter, &request(&[&good]), &["one", "two"]));
    assert_eq!(code, 403);
    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
    assert!(challenge.contains(r#"scope="one two""#), "{challenge}");
    let lower = good.replace("Bearer", "bEARER");
    assert!(matches!(judge(&filter, &request(&[&lower]), &["one"]), Verdict::Continue(_)));
}

#[test]
fn claims_become_headers_and_do_not_set_leaves_them_out() {
    let issuer = Issuer::new("k");
    let filter = filter(json!({
        "JWT": {"injectRequestHeaders": [
            {"name": "X-User", "value": "{{ .token.Claims.sub }}"},
            {"name": "X-Alg", "value": "{{ .token.Header.alg }}"},
            {"name": "X-Agent", "value": "{{ .httpRequestHeader.Get \"user-agent\" }}"},
            {"name": "X-Mail", "value": "{{ if hasKey .token.Claims \"mail\" }}{{ .token.Claims.mail }}{{ else }}{{ doNotSet }}{{ end }}"},
        ]},
        "ext": {"jwks": issuer.jwks()},
    }));
    let token = issuer.sign(&json!({"sub": "ann"}));
    let mut request = request(&[&format!("Bearer {token}")]);
    request.headers.insert("user-agent", "curl".parse().unwrap());
    let Verdict::Continue(changes) = judge(&filter, &request, &[]) else { panic!() };
    let set: Vec<_> = changes
        .headers_set()
        .iter()
        .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
        .collect();
    assert_eq!(set, ["x-user=ann", "x-alg=ES256", "x-agent=curl"]);
}

#[test]
fn a_template_that_cannot_be_rendered_fails_closed() {
    let issuer = Issuer::new("k");
    let filter = filter(json!({
        "JWT": {"injectRequestHeaders": [{"name": "X", "value": "{{ .token.Claims.a.b }}"}]},
        "ext": {"jwks": issuer.jwks()},
    }));
    let token = format!("Bearer {}", issuer.sign(&json!({})));
    assert!(matches!(judge(&filter, &request(&[&token]), &[]), Verdict::Fail(_)));
    let newline = format!("Bearer {}", issuer.sign(&json!({"a": {"b": "x\ny"}})));
    assert!(matches!(judge(&filter, &request(&[&newline]), &[]), Verdict::Fail(_)));
}

#[test]
fn error_templates_see_status_message_and_the_validation_bits() {
    let issuer = Issuer::new("k");
    let filter = filter(json!({
        "JWT": {"errorResponse": {
            "headers": [{"name": "Content-Type", "value": "text/plain"}, {"name": "X-Code", "value": "{{ .httpStatus }}"}],
            "bodyTemplate": "{{ .status_code }} {{ .message }}{{ if .error.ValidationError }} {{ .error.ValidationError.Errors }}{{ end }}",
        }},
        "ext": {"jwks": issuer.jwks()},
    }));
    let expired = format!("Bearer {}", issuer.sign(&json!({"exp": 1})));
    let verdict = judge(&filter, &request(&[&expired]), &[]);
    let Verdict::Respond(denial) = &verdict else { panic!() };
    assert!(denial.headers.iter().any(|(name, value)| name == "x-code" && value == "401"));
    assert_eq!(refusal(verdict).2, "401 Token validation error: token is expired 16");
    assert_eq!(refusal(judge(&filter, &request(&[]), &[])).2, "401 no Bearer token");
}

#[test]
fn the_gateway_group_gets_its_own_body_style() {
    let filter = filter(json!({"type": "jwt", "jwt": {"validAlgorithms": ["none"]}}));
    let (_, _, body) = refusal(judge(&filter, &request(&[]), &[]));
    assert_eq!(body, r#"{"message":"no Bearer token","requestId":"","statusCode":401}"#);
}

#[test]
fn what_cannot_be_used_is_refused_at_load_with_its_field() {
    for (spec, field) in [
        (json!({"JWT": {}}), "JWT.jwksURI"),
        (json!({"JWT": {"jwksURI": "ftp://x"}}), "JWT.jwksURI"),
        (json!({"JWT": {"jwksURI": "/keys"}}), "JWT.jwksURI"),
        (json!({"JWT": {"validAlgorithms": ["RS1"]}}), "JWT.validAlgorithms[0]"),
        (json!({"JWT": {}, "ext": {"jwks": "x"}}), "ext.jwks"),
        (
            json!({"JWT": {"jwksURI": "http://x", "injectRequestHeaders": [{"name": "a b", "value": ""}]}}),
            "JWT.injectRequestHeaders[0]",
        ),
        (
            json!({"JWT": {"jwksURI": "http://x", "injectRequestHeaders": [{"name": "Host", "value": ""}]}}),
            "JWT.injectRequestHeaders[0]",
        ),
        (
            json!({"JWT": {"jwksURI": "http://x", "injectRequestHeaders": [{"name": "a", "value": "{{"}]}}),
            "JWT.injectRequestHeaders[0].value",
        ),
        (
            json!({"JWT": {"jwksURI": "http://x", "errorResponse": {"bodyTemplate": "{{ x }}"}}}),
            "JWT.errorResponse.bodyTemplate",
        ),
    ] {
        let error = try_filter(spec.clone()).unwrap_err();
        assert_eq!(error.field, field, "{spec}");
    }
}

#[test]
fn a_cached_token_still_expires_and_dies_with_its_key() {
    let issuer = Issuer::new("k");
    let filter = filter(json!({"JWT": {"jwksURI": "http://x"}}));
    let token = request(&[&format!("Bearer {}", issuer.sign(&json!({"exp": 1_000_001})))]);
    let keys = KeySet::parse(issuer.jwks().to_string().as_bytes(), KeyOrigin::Remote).unwrap();
    let other = Issuer::new("other").jwks().to_string();
    let others = KeySet::parse(other.as_bytes(), KeyOrigin::Remote).unwrap();
    let judge = |keys: &KeySet, renewed, now| {
        filter.judge(&token, &KnownKeys::Set { keys, renewed }, &[], Duration::from_secs(now))
    };
    for _ in 0..2 {
        assert!(matches!(judge(&keys, false, 1_000_000), Outcome::Verdict(Verdict::Continue(_))));
    }
    assert!(matches!(judge(&keys, false, 1_000_001), Outcome::Verdict(Verdict::Respond(_))));
    assert!(matches!(judge(&others, false, 1_000_000), Outcome::NeedKeys { missing: Some(_), .. }));
    assert!(matches!(judge(&others, true, 1_000_000), Outcome::Verdict(Verdict::Respond(_))));
}

#[test]
fn small_rsa_keys_and_oversized_sets_are_not_used() {
    let small = json!({"keys": [{"kty": "RSA", "n": encode(&[255; 128]), "e": "AQAB"}]});
    assert!(KeySet::parse(small.to_string().as_bytes(), KeyOrigin::Remote).unwrap().is_empty());
    let many = json!({"keys": vec![json!({"kty": "x"}); 257]});
    assert!(KeySet::parse(many.to_string().as_bytes(), KeyOrigin::Remote).is_err());
    assert!(KeySet::parse(&vec![b' '; 1024 * 1024 + 1], KeyOrigin::Remote).is_err());
    assert!(KeySet::parse(b"{}", KeyOrigin::Remote).is_err());
}
