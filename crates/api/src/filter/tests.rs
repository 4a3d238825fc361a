use serde_json::json;

use super::*;
use crate::filter_policy::{ChainAction, FilterPolicy};

fn read(value: Value) -> Filter {
    serde_json::from_value(value).unwrap()
}

#[test]
fn the_key_that_exists_names_the_type() {
    let filter = read(json!({"JWT": {"jwksURI": "https://idp/keys", "requireIssuer": null}}));
    assert!(
        matches!(filter.variant(), Ok(FilterVariant::Jwt(jwt)) if jwt.jwks_uri == "https://idp/keys")
    );
    assert_eq!(filter.dialect(), Dialect::Classic);
}

#[test]
fn the_gateway_group_is_read_into_the_same_type() {
    let filter = read(json!({
        "type": "external",
        "ambassadorSelector": {"ambassadorIds": ["two"]},
        "external": {
            "authServiceURL": "https://auth.example:8443", "protocol": "grpc", "timeout": "2s",
            "statusOnError": 502, "failureModeAllow": true,
            "grpcSettings": {"protocolVersion": "v3"},
            "tls": {"caCertificate": {"type": "Secret", "fromSecret": {"name": "ca"}}},
        },
    }));
    let Ok(FilterVariant::External(external)) = filter.variant() else { panic!("{filter:?}") };
    assert_eq!(external.proto, ExternalProtocol::Grpc);
    assert_eq!(external.wait().as_secs(), 2);
    assert_eq!(external.status_on_error.map(StatusOnError::code), Some(502));
    assert_eq!(external.version(), "v3");
    assert_eq!(filter.secrets("here"), [("here".to_owned(), "ca".to_owned())]);
    assert_eq!(filter.ambassador_ids(), ["two"]);
    assert_eq!(filter.dialect(), Dialect::Gateway);
}

#[test]
fn no_type_two_types_and_a_wrong_type_are_told_apart() {
    assert_eq!(read(json!({})).variant(), Err(FilterTypeError::Missing));
    let two = read(json!({"JWT": {}, "APIKey": {}}));
    assert_eq!(two.variant(), Err(FilterTypeError::Several("JWT, APIKey".to_owned())));
    let wrong = read(json!({"type": "jwt", "apikey": {}}));
    assert!(matches!(wrong.variant(), Err(FilterTypeError::Mismatch { .. })));
}

#[test]
fn canonical_text_reads_back_as_the_same_filter() {
    for value in [
        json!({"ambassador_id": "one", "JWT": {"leewayForExpiresAt": "1m30.5s", "audiences": ["a"]}}),
        json!({"type": "apikey", "apikey": {"httpHeader": "K", "keys": [{"secretName": "s"}]}}),
        json!({"Custom": {"kind": "x", "config": {"a": [1]}}, "ext": {"jwks": {"keys": []}}}),
        json!({"External": {"auth_service": "a:80", "tls": true, "status_on_error": {"code": 503}}}),
    ] {
        let filter = read(value);
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter, "{text}");
    }
}

#[test]
fn go_durations_are_read_and_nonsense_is_refused() {
    for (text, millis) in
        [("", 0), ("0", 0), ("0s", 0), ("1h2m3s", 3_723_000), ("1.5s", 1500), ("250ms", 250)]
    {
        assert_eq!(text.parse::<GoDuration>().unwrap().0.as_millis(), millis, "{text}");
    }
    for text in ["1", "-1s", "s", "1x", "1..2s", "99999999999999999999h"] {
        assert!(text.parse::<GoDuration>().is_err(), "{text}");
    }
}

#[test]
fn policies_of_both_groups_read_alike() {
    let classic: FilterPolicy = serde_json::from_value(json!({"rules": [
        {"host": "*", "path": "/a", "filters": [{"name": "f", "onDeny": "continue", "onAllow": "",
         "arguments": {"scope": ["a", "b"]}}]},
        {"filters": null},
    ]}))
    .unwrap();
    let reference = &classic.rules[0].filters[0];
    assert_eq!(reference.on_deny, Some(ChainAction::Continue));
    assert_eq!(reference.on_allow, Some(ChainAction::Unset));
    assert_eq!(reference.scopes(), ["a", "b"]);
    let gateway: FilterPolicy = serde_json::from_value(json!({"rules": [
        {"filterRefs": [{"name": "f", "arguments": {"type": "jwt", "jwt": {"scope": ["a"]}}}]}
    ]}))
    .unwrap();
    assert_eq!(gateway.rules[0].filters[0].scopes(), ["a"]);
}
