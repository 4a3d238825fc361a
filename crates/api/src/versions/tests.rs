use serde_json::json;

use super::*;

fn older(kind: Kind, mut spec: Value) -> Value {
    let mut faults = Vec::new();
    convert(kind, Version::Older, &mut spec, &mut faults);
    assert_eq!(faults, []);
    spec
}

#[test]
fn older_mappings_become_current_ones() {
    for (before, after) in [
        (json!({}), json!({"hostname": "*"})),
        (json!({"host": "a"}), json!({"hostname": "a"})),
        (json!({"host": "a.*", "host_regex": true}), json!({"host": "a.*", "host_regex": true})),
        (json!({"host": EMPTY_HOST_MARK}), json!({})),
        (json!({"headers": {":authority": "a"}}), json!({"headers": {":authority": "a"}})),
        (
            json!({"host": "a", "headers": {"x": true, "y": "1"}, "query_parameters": {"q": true}}),
            json!({"hostname": "a", "headers": {"y": "1"}, "regex_headers": {"x": ".*"},
                   "query_parameters": {}, "regex_query_parameters": {"q": ".*"}}),
        ),
        (
            json!({"host": "a", "headers": {"x": false, "y": "1"}}),
            json!({"hostname": "a", "headers": {"y": "1"}}),
        ),
        (
            json!({"host": "a", "tls": true, "service": "Http://s:1"}),
            json!({"hostname": "a", "service": "https://s:1"}),
        ),
        (
            json!({"host": "a", "tls": true, "service": "HTTPS://s"}),
            json!({"hostname": "a", "service": "https://s"}),
        ),
        (
            json!({"host": "a", "tls": "context", "service": "s"}),
            json!({"hostname": "a", "tls": "context", "service": "s"}),
        ),
        (
            json!({"host": "a", "tls": false, "service": "s"}),
            json!({"hostname": "a", "service": "s"}),
        ),
        (
            json!({"host": "a", "cors": {"origins": "http://a, http://b"},
                   "add_request_headers": {"x": null, "y": "1"},
                   "v3health_checks": [], "v3StatsName": "n"}),
            json!({"hostname": "a", "cors": {"origins": ["http://a", "http://b"]},
                   "add_request_headers": {"y": "1"}, "health_checks": [], "stats_name": "n"}),
        ),
    ] {
        assert_eq!(older(Kind::Mapping, before.clone()), after, "{before}");
    }
}

#[test]
fn label_shorthand_becomes_typed() {
    let spec = json!({"host": "a", "labels": {"d": [{"g": [
        "remote_address", "blue", {"generic_key": "red"}, {"generic_key": {"value": "red"}},
        {"generic_key": "red", "v3Key": "colour"},
        {"user": {"header": "x-user", "omit_if_not_present": true}},
        {"request_headers": {"key": "k", "header_name": "h"}},
    ]}]}});
    assert_eq!(
        older(Kind::Mapping, spec)["labels"],
        json!({"d": [{"g": [
            {"remote_address": {"key": "remote_address"}},
            {"generic_key": {"value": "blue"}},
            {"generic_key": {"value": "red"}},
            {"generic_key": {"value": "red"}},
            {"generic_key": {"key": "colour", "value": "red"}},
            {"request_headers": {"key": "user", "header_name": "x-user", "omit_if_not_present": true}},
            {"request_headers": {"key": "k", "header_name": "h"}},
        ]}]})
    );
    let module = json!({"config": {"default_labels": {"d": {"defaults": ["remote_address"]}}}});
    assert_eq!(
        older(Kind::Module, module)["config"]["default_labels"]["d"]["defaults"],
        json!([{"remote_address": {"key": "remote_address"}}]),
    );
}

#[test]
fn other_kinds_keep_what_version_2_hides() {
    assert_eq!(
        older(
            Kind::Host,
            json!({
                "ambassadorId": "--apiVersion-v3alpha1-only--mine",
                "selector": {"matchLabels": {"a": "b"}},
                "tls": {"v3CRLSecret": "c"},
            })
        ),
        json!({"ambassadorId": ["mine"], "mappingSelector": {"matchLabels": {"a": "b"}},
               "tls": {"crl_secret": "c"}}),
    );
    assert_eq!(
        older(Kind::AuthService, json!({"auth_service": "a:3000", "tls": true})),
        json!({"auth_service": "https://a:3000"}),
    );
    assert_eq!(
        older(Kind::TracingService, json!({"service": "z", "tag_headers": ["x-a"]})),
        json!({"service": "z",
               "custom_tags": [{"tag": "x-a", "request_header": {"name": "x-a"}}]}),
    );
    let mut both = json!({"tag_headers": ["x-a"], "custom_tags": [{"tag": "t"}]});
    let mut faults = Vec::new();
    convert(Kind::TracingService, Version::Older, &mut both, &mut faults);
    assert_eq!(both, json!({"custom_tags": [{"tag": "t"}]}));
    assert_eq!(faults[0].severity, Severity::Warning);
}

#[test]
fn beta_ingresses_get_nested_backends() {
    let mut spec = json!({
        "backend": {"serviceName": "d", "servicePort": "http"},
        "rules": [{"http": {"paths": [{"backend": {"serviceName": "s", "servicePort": 80}}]}}],
    });
    convert(Kind::Ingress, Version::IngressBeta, &mut spec, &mut Vec::new());
    assert_eq!(
        spec,
        json!({
            "defaultBackend": {"service": {"name": "d", "port": {"name": "http"}}},
            "rules": [{"http": {"paths": [
                {"backend": {"service": {"name": "s", "port": {"number": 80}}}},
            ]}}],
        })
    );
}
