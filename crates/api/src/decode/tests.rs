use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::codes::{NOT_AN_OBJECT, UNKNOWN_KIND, UNSUPPORTED_VERSION};
use crate::{AddedHeader, IpRule, LabelSpecifier, LoadBalancerPolicy};

fn object(kind: &str, spec: impl Into<Value>) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "ns"},
        "spec": spec.into(),
    })
}

fn accept(value: Value) -> (Object, Vec<Diagnostic>) {
    match decode(value, Origin::default(), &Reading::of_namespace("default")) {
        Decoded::Object { object, findings } => (object, findings),
        other => panic!("expected an object, got {other:?}"),
    }
}

fn accept_mapping(spec: Value) -> (Mapping, Vec<Diagnostic>) {
    let (object, findings) = accept(object("Mapping", spec));
    let Spec::Mapping(mapping) = object.spec else { panic!("expected a Mapping") };
    (*mapping, findings)
}

fn refuse(value: Value) -> Vec<Diagnostic> {
    match decode(value, Origin::default(), &Reading::of_namespace("default")) {
        Decoded::Broken { findings, .. } => findings,
        other => panic!("expected a broken object, got {other:?}"),
    }
}

fn messages(findings: &[Diagnostic]) -> Vec<&str> {
    findings.iter().map(|finding| finding.message.as_str()).collect()
}

#[test]
fn a_good_mapping_has_no_findings() {
    let (mapping, findings) = accept_mapping(json!({
        "hostname": "*", "prefix": "/backend/", "service": "quote",
        "timeout_ms": 4000, "bypass_auth": false, "weight": 0,
        "headers": {"x-a": ""}, "add_request_headers": {"x-b": {"value": "1", "append": false}, "x-c": "2"},
        "load_balancer": {"policy": "ring_hash", "cookie": {"name": "c", "ttl": "60s"}},
        "labels": {"ambassador": [{"group": [
            {"request_headers": {"key": "user", "header_name": "x-user"}},
            {"remote_address": {"key": "remote_address"}},
        ]}]},
        "v2ExplicitTLS": {"serviceScheme": "http://"},
    }));
    assert_eq!(findings, []);
    assert_eq!(mapping.bypass_auth, Some(false));
    assert_eq!(mapping.weight, Some(0));
    assert_eq!(mapping.headers["x-a"], "");
    let balancer = mapping.load_balancer.unwrap();
    assert_eq!(balancer.policy, Some(LoadBalancerPolicy::RingHash));
    assert_eq!(balancer.cookie.unwrap().ttl.unwrap().to_string(), "60s");
    let added = mapping.add_request_headers.unwrap();
    assert_eq!(added["x-b"].append, Some(false));
    assert_eq!(added["x-c"], AddedHeader { value: "2".to_owned(), append: None });
    let group = &mapping.labels["ambassador"][0];
    assert_eq!(group.name, "group");
    assert!(matches!(&group.specifiers[0], LabelSpecifier::RequestHeaders(l) if l.key == "user"));
}

#[test]
fn empty_strings_and_lists_vanish_except_where_they_mean_something() {
    let (mapping, _) = accept_mapping(json!({
        "prefix": "/", "service": "s", "hostname": "", "tls": "", "remove_request_headers": [],
        "rewrite": "", "add_response_headers": {}, "cors": {},
    }));
    assert_eq!(mapping.hostname, None);
    assert_eq!(mapping.tls, None);
    assert_eq!(mapping.remove_request_headers, Some(Vec::new()));
    assert_eq!(mapping.rewrite.as_deref(), Some(""));
    assert_eq!(mapping.add_response_headers, Some(Default::default()));
    assert!(mapping.cors.is_some());
    let (mapping, _) = accept_mapping(json!({"prefix": "/", "service": "s", "rewrite": null}));
    assert_eq!(mapping.rewrite.as_deref(), Some(""));
}

#[test]
fn null_is_absent_in_lists_and_maps_too() {
    let (mapping, findings) = accept_mapping(json!({
        "prefix": "/", "service": "s", "headers": null, "allow_upgrade": null,
        "labels": {"d": null}, "ambassador_id": null,
    }));
    assert_eq!(findings, []);
    assert_eq!(
        mapping,
        Mapping { prefix: "/".to_owned(), service: "s".to_owned(), ..Mapping::default() }
    );
}

#[test]
fn every_fault_of_an_object_is_told_at_once() {
    let findings = refuse(object(
        "Mapping",
        json!({
            "prefix": 5, "timeout_ms": "3s", "weight": -1, "precedence": 1.5, "method": ["GET"],
            "headers": {"x-a": 1, "x.b": true}, "cors": "no",
            "circuit_breakers": [{"priority": "low"}, 7, {"max_requests": "x"}, null],
            "retry_policy": {"retry_on": "always"},
            "labels": {"d": [{"g": [{"generic_key": {}}, {"who": {}}]}]},
            "nonsense": {"a": 1},
        }),
    ));
    let mut found = messages(&findings);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "spec.circuit_breakers[0].priority in body should be one of [default high]",
            "spec.circuit_breakers[1] in body must be of type object: \"integer\"",
            "spec.circuit_breakers[2].max_requests in body must be of type integer: \"string\"",
            "spec.circuit_breakers[3] in body must be of type object: \"null\"",
            "spec.cors in body must be of type object: \"string\"",
            "spec.headers[\"x-a\"] in body must be of type string: \"integer\"",
            "spec.headers[\"x.b\"] in body must be of type string: \"boolean\"",
            "spec.labels.d[0].g[0].generic_key.value in body is required",
            "spec.labels.d[0].g[1] in body should be one of [source_cluster destination_cluster \
         remote_address generic_key request_headers]",
            "spec.method in body must be of type string: \"array\"",
            "spec.nonsense is not a field of this kind and has no effect",
            "spec.precedence in body must be of type integer: \"number\"",
            "spec.prefix in body must be of type string: \"integer\"",
            "spec.retry_policy.retry_on in body should be one of [5xx gateway-error connect-failure \
         retriable-4xx refused-stream retriable-status-codes]",
            "spec.service in body is required",
            "spec.timeout_ms in body must be of type integer: \"string\"",
            "spec.weight in body should be greater than or equal to 0",
        ]
    );
    assert!(findings.iter().all(|finding| !finding.remedy.is_empty()));
}

#[test]
fn required_fields_are_named_in_emissarys_words() {
    let cases = [
        ("Mapping", json!({}), vec!["spec.prefix", "spec.service"]),
        ("TCPMapping", json!({}), vec!["spec.port", "spec.service"]),
        (
            "Listener",
            json!({"protocol": "HTTP"}),
            vec!["spec.port", "spec.securityModel", "spec.hostBinding"],
        ),
        (
            "AuthService",
            json!({"include_body": {}}),
            vec![
                "spec.auth_service",
                "spec.include_body.max_bytes",
                "spec.include_body.allow_partial",
            ],
        ),
        ("RateLimitService", json!({}), vec!["spec.service"]),
        ("LogService", json!({}), vec!["spec.service", "spec.driver"]),
        ("TracingService", json!({}), vec!["spec.driver", "spec.service"]),
        ("ConsulResolver", json!({}), vec!["spec.address", "spec.datacenter"]),
        ("RateLimit", json!({"limits": [{}]}), vec!["spec.limits[0].rate", "spec.limits[0].unit"]),
    ];
    for (kind, spec, fields) in cases {
        let findings = refuse(object(kind, spec));
        let wanted: Vec<String> =
            fields.iter().map(|field| format!("{field} in body is required")).collect();
        assert_eq!(messages(&findings), wanted, "{kind}");
    }
}

#[test]
fn ports_have_bounds() {
    for (port, words) in [
        (json!(0), "greater than or equal to 1"),
        (json!(65536), "less than or equal to 65535"),
        (json!(-1), "greater than or equal to 0"),
        (json!(5_000_000_000_u64), "out of range"),
        (json!("80"), "must be of type integer"),
    ] {
        let findings = refuse(object("TCPMapping", json!({"port": port, "service": "s"})));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].field, "spec.port");
        assert!(findings[0].message.contains(words), "{}", findings[0].message);
    }
}

#[test]
fn unknown_fields_are_warnings_with_their_path() {
    let (_, findings) = accept(json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
        "metadata": {"name": "x", "managedFields": []},
        "spec": {"prefix": "/", "service": "s", "host_name": "a",
                 "cors": {"orgins": []}, "health_checks": [{"health_check": {"http": {"path": "/", "x": 1}}}]},
        "sepc": {}, "status": {"state": "Running"},
    }));
    let fields: Vec<&str> = findings.iter().map(|finding| finding.field.as_str()).collect();
    assert_eq!(
        fields,
        ["sepc", "spec.cors.orgins", "spec.health_checks[0].health_check.http.x", "spec.host_name",]
    );
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning));
}

#[test]
fn a_module_loses_only_its_bad_fields() {
    let (object, findings) = accept(json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Module",
        "metadata": {"name": "ambassador"},
        "spec": {"config": {
            "enable_http10": "maybe", "merge_slashes": "yes", "server_name": "mine",
            "cluster_request_timeout_ms": 5000, "xff_num_trusted_hops": 1,
            "load_balancer": {"policy": "fair"}, "strange": 1,
            "keepalive": {"time": 7}, "ip_allow": [{"remote": "10.0.0.0/8"}, {"pear": "1.2.3.4"}],
        }},
    }));
    let mut found = messages(&findings);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "spec.config.enable_http10 in body must be of type boolean: \"string\"",
            "spec.config.load_balancer.policy in body should be one of [round_robin least_request \
         ring_hash maglev]",
            "spec.config.strange is not a field of this kind and has no effect",
        ]
    );
    let Spec::Module(module) = object.spec else { panic!("expected a Module") };
    let ModuleConfig::Ambassador(config) = module.config else { panic!("expected ambassador") };
    assert_eq!(config.merge_slashes, Some(true));
    assert_eq!(config.server_name.as_deref(), Some("mine"));
    assert_eq!(config.cluster_request_timeout_ms, Some(5000));
    assert_eq!(config.keepalive.unwrap().idle_time, Some(7));
    assert_eq!(
        config.ip_allow.unwrap().0,
        [
            IpRule::Remote("10.0.0.0/8".to_owned()),
            IpRule::Invalid("{\"pear\":\"1.2.3.4\"}".to_owned()),
        ]
    );
}

#[test]
fn a_mistaken_address_list_never_becomes_no_list() {
    for bad in [json!("10.0.0.0/8"), json!([1]), json!({"remote": "::/0"}), json!(true)] {
        let (object, _) = accept(json!({
            "apiVersion": "getambassador.io/v3alpha1", "kind": "Module",
            "metadata": {"name": "ambassador"}, "spec": {"config": {"ip_allow": bad}},
        }));
        let Spec::Module(module) = object.spec else { panic!("expected a Module") };
        let ModuleConfig::Ambassador(config) = module.config else { panic!("expected ambassador") };
        assert!(matches!(config.ip_allow.unwrap().0.as_slice(), [IpRule::Invalid(_)]));
    }
}

#[test]
fn kinds_of_others_are_foreign_and_unknown_kinds_of_ours_are_errors() {
    for (version, kind) in [
        ("apps/v1", "Deployment"),
        ("v1", "Pod"),
        ("example.com/v1", "Mapping"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("", "Kustomization"),
    ] {
        let value = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}});
        assert_eq!(
            decode(value, Origin::default(), &Reading::of_namespace("default")),
            Decoded::Foreign,
            "{kind}"
        );
    }
    let findings = refuse(json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Maping", "metadata": {"name": "x"},
    }));
    assert_eq!(findings[0].code, UNKNOWN_KIND);
    assert!(findings[0].remedy.contains("`Mapping`"), "{}", findings[0].remedy);
    for (version, kind) in [
        ("getambassador.io/v9", "Mapping"),
        ("getambassador.io/v2", "Listener"),
        ("", "Host"),
        ("gateway.getambassador.io/v1", "Filter"),
    ] {
        let findings =
            refuse(json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}}));
        assert_eq!(findings[0].code, UNSUPPORTED_VERSION, "{version} {kind}");
    }
    let findings = refuse(json!(["not", "an", "object"]));
    assert_eq!(findings[0].code, NOT_AN_OBJECT);
    let findings = refuse(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}}));
    assert_eq!(messages(&findings), ["metadata.name in body is required"]);
}

#[test]
fn secrets_read_both_forms_and_show_neither() {
    let secret = |body: Value| {
        let mut value = body;
        value["apiVersion"] = json!("v1");
        value["kind"] = json!("Secret");
        value["metadata"] = json!({"name": "x"});
        value
    };
    let (object, findings) = accept(secret(json!({
        "type": "kubernetes.io/tls", "immutable": true,
        "data": {"tls.crt": "aGVs\nbG8=", "a": "YQ=="}, "stringData": {"a": "b", "tls.key": "hush"},
    })));
    assert_eq!(findings, []);
    let Spec::Secret(read) = object.spec else { panic!("expected a Secret") };
    assert_eq!(read.kind, "kubernetes.io/tls");
    assert_eq!(read.text("tls.crt"), Some("hello"));
    assert_eq!(read.text("a"), Some("b"));
    let shown = format!("{read:?}");
    assert!(!shown.contains("hush") && shown.contains("4 bytes"), "{shown}");
    let again: Secret = serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
    assert_eq!(again, *read);

    let findings = refuse(secret(json!({"data": {"k": "h$sh!"}, "stringData": {"n": 5}})));
    let text: String = findings.iter().map(ToString::to_string).collect();
    assert!(text.contains("data.k in body should be base64"), "{text}");
    assert!(text.contains("stringData.n in body must be of type string"), "{text}");
    assert!(!text.contains("h$sh!"), "{text}");
}

#[test]
fn namespaces_default_and_cluster_kinds_have_none() {
    let named = |version: &str, kind: &str| {
        json!({"apiVersion": version, "kind": kind,
               "metadata": {"name": "x"}})
    };
    let (host, _) = accept(named("getambassador.io/v3alpha1", "Host"));
    assert_eq!(host.key(), ObjectKey::new(Kind::Host, "default", "x"));
    let (class, _) = accept(named("networking.k8s.io/v1", "IngressClass"));
    assert_eq!(class.key(), ObjectKey::new(Kind::IngressClass, "", "x"));
    let (space, _) = accept(named("v1", "Namespace"));
    assert_eq!(space.key(), ObjectKey::new(Kind::Namespace, "", "x"));
}

#[test]
fn gateways_find_their_objects_by_id() {
    for (id, own, other) in [
        (json!(null), false, true),
        (json!("default"), false, true),
        (json!(["a", "b"]), true, false),
        (json!("_automatic_"), true, true),
        (json!(["_automatic_", "x"]), false, false),
    ] {
        let (object, _) = accept(object("Host", json!({"ambassadorId": id})));
        assert_eq!(object.spec.is_for("a"), own, "{id}");
        assert_eq!(object.spec.is_for("default"), other, "{id}");
    }
    let (both, _) =
        accept(object("Host", json!({"ambassador_id": "a", "ambassadorId": ["b", "a"]})));
    assert_eq!(both.spec.ambassador_ids().unwrap(), ["a", "b"]);
}

#[test]
fn what_is_printed_reads_back_the_same() {
    for (kind, spec) in [
        (
            "Mapping",
            json!({"prefix": "/", "service": "s", "rewrite": "", "weight": 0,
            "headers": {"a": ""}, "add_request_headers": {"x": {"value": "v"}},
            "labels": {"d": [{"g": [{"generic_key": {"value": "v"}}]}]},
            "health_checks": [{"timeout": "0.5s", "health_check": {"grpc": {"upstream_name": "u"}}}]}),
        ),
        (
            "Host",
            json!({"hostname": "h", "ambassador_id": ["a"], "tlsSecret": {"name": "t"},
            "tls": {"min_tls_version": "v1.2"}, "requestPolicy": {"insecure": {"action": "Route"}},
            "acmeProvider": {"privateKeySecret": {"name": "k"}}}),
        ),
        (
            "Listener",
            json!({"port": 80, "protocolStack": ["TLS", "HTTP", "TCP"],
            "securityModel": "XFP", "l7Depth": 1, "http2MaxConcurrentStreams": 5,
            "hostBinding": {"namespace": {"from": "SELF"}}}),
        ),
    ] {
        let (read, findings) = accept(object(kind, spec.clone()));
        assert_eq!(findings, []);
        assert_eq!(serde_json::to_value(&read.spec).unwrap(), spec);
    }
}

#[test]
fn an_object_with_a_thousand_mistakes_is_told_the_first_of_them() {
    let headers: Map<String, Value> = (0..1000).map(|n| (format!("h{n}"), json!(n))).collect();
    let findings = refuse(object("Mapping", json!({"headers": headers})));
    assert_eq!(findings.len(), 32);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9*/.:-]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![
            Just("config"),
            Just("tls"),
            Just("labels"),
            Just("headers"),
            Just("cors"),
            Just("origins"),
            Just("host"),
            Just("prefix"),
            Just("service"),
            Just("ambassador_id"),
            Just("data"),
            Just("subsets"),
            Just("ports"),
            Just("x")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_decoded_without_panic(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        version in prop::sample::select(vec!["v3alpha1", "v2", "v1"]),
        spec in any_json(),
        meta in any_json(),
        named in any::<bool>(),
    ) {
        let group = if kind.is_emissary() { "getambassador.io/" } else { "" };
        let mut value = json!({
            "apiVersion": format!("{group}{version}"), "kind": kind.as_str(), "metadata": meta,
            "spec": spec, "data": spec, "subsets": spec,
        });
        if named {
            value["metadata"] = json!({"name": "ambassador"});
        }
        let first = decode(value.clone(), Origin::default(), &Reading::of_namespace("default"));
        prop_assert_eq!(&first, &decode(value, Origin::default(), &Reading::of_namespace("default")));
        if let Decoded::Broken { findings, .. } = first {
            prop_assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
        }
    }
}
