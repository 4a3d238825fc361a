use super::*;

fn fault(text: &str) -> String {
    parse_yaml("limits.yaml", text).unwrap_err().to_string()
}

#[test]
fn a_nested_file_is_read_with_every_field() {
    let text = "
domain: mongo_cps
descriptors:
  - key: database
    value: users
    shadow_mode: true
    detailed_metric: true
    metadata: {tier: gold, weight: 2}
    rate_limit: {unit: Second, requests_per_unit: 500, name: a, replaces: [{name: b}]}
    descriptors:
    - {key: path, value: /api/*, share_threshold: true, value_to_metric: true, quota_mode: true}
  - key: code
    value: 404
    rate_limit: {unlimited: true}
";
    let config = parse_yaml("x.yaml", text).unwrap();
    assert_eq!(config.domain, "mongo_cps");
    let users = &config.descriptors[0];
    assert!(users.shadow_mode && users.detailed_metric);
    assert_eq!(users.metadata, Some(serde_json::json!({"tier": "gold", "weight": 2})));
    let limit = users.rate_limit.as_ref().unwrap();
    assert_eq!((limit.unit, limit.requests_per_unit), (Some(Unit::Second), 500));
    assert_eq!(limit.replaces, ["b"]);
    let path = &users.descriptors[0];
    assert!(path.share_threshold && path.value_to_metric && path.quota_mode);
    assert_eq!(config.descriptors[1].value, "404");
    assert!(config.descriptors[1].rate_limit.as_ref().unwrap().unlimited);
}

#[test]
fn an_unknown_key_is_refused_with_file_path_and_line() {
    let error = fault("domain: a\ndescriptors:\n- key: b\n  ratelimit: {}\n");
    assert_eq!(
        error,
        "limits.yaml: descriptors[0].ratelimit: config error, unknown key 'ratelimit' (line 4)"
    );
}

#[test]
fn a_key_that_is_no_string_is_refused() {
    assert!(fault("domain: a\n1: b\n").contains("key is not of type string"));
}

#[test]
fn a_list_of_anything_but_maps_is_refused() {
    let error = fault("domain: a\ndescriptors:\n- b\n");
    assert!(error.contains("descriptors[0]"), "{error}");
    assert!(error.contains("list of type other than map"), "{error}");
}

#[test]
fn a_float_is_refused_wherever_it_stands() {
    assert!(fault("domain: 1.5\n").contains("expected a string"));
    let limit =
        "domain: a\ndescriptors:\n- key: b\n  rate_limit: {unit: day, requests_per_unit: 1.5}\n";
    assert!(fault(limit).contains("descriptors[0].rate_limit.requests_per_unit"));
}

#[test]
fn an_empty_domain_is_refused() {
    for text in ["", "domain: ''\n", "descriptors: []\n", "---\n"] {
        assert!(fault(text).contains("cannot have empty domain"), "{text:?}");
    }
}

#[test]
fn units_are_checked() {
    let with =
        |limit: &str| format!("domain: a\ndescriptors:\n- {{key: b, rate_limit: {limit}}}\n");
    assert!(
        fault(&with("{unit: foo, requests_per_unit: 5}")).contains("invalid rate limit unit 'foo'")
    );
    assert!(fault(&with("{requests_per_unit: 5}")).contains("invalid rate limit unit ''"));
    assert!(fault(&with("{unit: day, unlimited: true}")).contains("when unlimited"));
    assert!(fault(&with("{unit: day, requests_per_unit: -1}")).contains("whole number"));
    assert!(fault(&with("{unit: day, requests_per_unit: '5'}")).contains("the string '5'"));
    assert!(parse_yaml("f", &with("{unit: WeEk, requests_per_unit: 5}")).is_ok());
}

#[test]
fn text_that_is_not_yaml_is_refused_with_its_place() {
    let error = fault("domain: a\ndescriptors: [\n");
    assert!(error.starts_with("limits.yaml: line "), "{error}");
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (this, last) in ('b'..='j').zip('a'..) {
        let items = vec![format!("*{last}"); 10].join(", ");
        text.push_str(&format!("{this}: &{this} [{items}]\n"));
    }
    assert!(fault(&text).contains("more than a million nodes"));
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("domain: {}", "[".repeat(100_000));
    assert!(parse_yaml("f", &text).is_err());
}

#[test]
fn merge_keys_are_applied() {
    let text = "
domain: a
descriptors:
- &base {key: b, rate_limit: {unit: day, requests_per_unit: 5}}
- {<<: *base, key: c}
";
    let config = parse_yaml("f", text).unwrap();
    assert_eq!(config.descriptors[1].key, "c");
    assert_eq!(config.descriptors[1].rate_limit, config.descriptors[0].rate_limit);
}

#[test]
fn a_second_document_is_refused() {
    assert!(fault("domain: a\n---\ndomain: b\n").contains("only one document"));
}
