use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Environment, Kind, Selection, Spec, Variables};

fn yaml(text: &str) -> Manifest {
    Manifest::read(
        &Arc::from("a.yaml"),
        text.as_bytes(),
        Format::Yaml,
        &Reading::of_namespace("default"),
    )
}

fn good(manifest: &Manifest) -> Vec<String> {
    manifest
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Good { object, .. } => Some(format!(
                "{} @{} {}",
                object.key(),
                object.origin.line,
                object.key().resource_key()
            )),
            Item::Bad { .. } => None,
        })
        .collect()
}

fn lines(findings: &[Diagnostic]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn documents_lists_and_foreign_kinds_are_told_apart() {
    let manifest = yaml(
        "# quickstart\n---\napiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: l}\n\
         spec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}\n\
         ---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n\
         ---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    \
         name: quote\n    namespace: other\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n",
    );
    assert_eq!(manifest.findings, []);
    assert_eq!(
        good(&manifest),
        [
            "Listener default/l @3 l.default.1",
            "Service other/quote @15 quote.other.1",
            "ConfigMap default/c @20 c.default.1",
        ]
    );
}

#[test]
fn a_syntax_error_spares_the_other_documents_and_has_line_and_column() {
    let manifest = yaml(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: Mapping\n  bad: [\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n",
    );
    assert!(manifest.partial);
    assert_eq!(good(&manifest), ["Namespace a @1 a..1", "Namespace b @8 b..1"]);
    assert_eq!(manifest.findings.len(), 1);
    let finding = &manifest.findings[0];
    assert_eq!((finding.code, finding.origin.line), (SYNTAX, 6));
    assert!(finding.message.starts_with("column "), "{}", finding.message);
}

#[test]
fn findings_stand_on_the_line_of_their_field() {
    let manifest = yaml(
        "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata:\n  name: m\nspec:\n  \
         prefix: /\n  service: s\n  headers:\n    x-a: 1\n  circuit_breakers:\n  - max_requests: 1\n  \
         - priority: low\n  nonsense: 1\n",
    );
    let Item::Bad { findings, .. } = &manifest.items[0] else { panic!("expected a bad Mapping") };
    let found: Vec<(u32, &str)> =
        findings.iter().map(|finding| (finding.origin.line, finding.field.as_str())).collect();
    assert_eq!(
        found,
        [
            (9, "spec.headers[\"x-a\"]"),
            (12, "spec.circuit_breakers[1].priority"),
            (13, "spec.nonsense"),
        ]
    );
    let shown = findings[0].to_string();
    assert!(shown.starts_with("a.yaml:9: error: Mapping default/m: "), "{shown}");
}

#[test]
fn annotations_hold_flat_and_nested_objects() {
    let manifest = yaml(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: qotm\n  namespace: ns\n  labels: {app: q}\n  \
         annotations:\n    getambassador.io/config: |\n      ---\n      apiVersion: ambassador/v1\n      \
         kind: Mapping\n      name: flat\n      prefix: /qotm/\n      service: qotm\n      ---\n      \
         apiVersion: getambassador.io/v3alpha1\n      kind: Mapping\n      metadata:\n        name: nested\n        \
         labels: {a: b}\n      spec:\n        hostname: '*'\n        prefix: /n/\n        service: qotm\n      \
         ---\n      apiVersion: getambassador.io/v3alpha1\n      kind: Mapping\n      name: bad\n      ---\n      \
         kind: Mapping\n      name: versionless\n",
    );
    assert_eq!(
        good(&manifest),
        [
            "Service ns/qotm @1 qotm.ns.1",
            "Mapping ns/flat @10 qotm.ns.1",
            "Mapping ns/nested @16 qotm.ns.2",
        ]
    );
    let Item::Good { object, findings } = &manifest.items[1] else { panic!("expected flat") };
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(object.meta.labels["app"], "q");
    let Spec::Mapping(mapping) = &object.spec else { panic!("expected a Mapping") };
    assert_eq!(mapping.hostname.as_deref(), Some("*"));
    let Item::Bad { key, findings, .. } = &manifest.items[3] else { panic!("expected bad") };
    assert_eq!(key.resource_key(), "qotm.ns.3");
    assert_eq!(findings[0].message, "spec.prefix in body is required");
    let Item::Good { findings, .. } = &manifest.items[0] else { panic!("expected the Service") };
    assert!(findings[0].message.contains("apiVersion \"\" unsupported"), "{findings:?}");
}

#[test]
fn a_broken_annotation_spares_its_carrier_and_the_rest() {
    let manifest = yaml(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations:\n    \
         getambassador.io/config: \"a: [\\n---\\n{apiVersion: ambassador/v2, kind: Host, name: h}\"\n",
    );
    assert_eq!(
        good(&manifest),
        ["Service default/s @1 s.default.1", "Host default/h @9 s.default.1"]
    );
    let Item::Good { findings, .. } = &manifest.items[0] else { panic!("expected the Service") };
    assert_eq!(findings[0].code, BAD_ANNOTATION);
}

#[test]
fn what_is_flat_in_an_annotation_wins_and_labels_of_its_own_are_all_it_has() {
    let manifest = yaml(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  labels: {app: q}\n  annotations:\n    \
         getambassador.io/config: |\n      apiVersion: ambassador/v0\n      kind: Mapping\n      \
         name: flat\n      metadata: {name: nested, labels: {}}\n      prefix: /flat/\n      \
         spec: {prefix: /nested/}\n      service: s\n      generation: 7\n",
    );
    assert_eq!(
        good(&manifest),
        ["Service default/s @1 s.default.1", "Mapping default/flat @8 s.default.1"]
    );
    let Item::Good { object, findings } = &manifest.items[1] else { panic!("expected flat") };
    assert_eq!((findings.len(), object.meta.labels.len(), object.meta.generation), (0, 0, 7));
    let Spec::Mapping(mapping) = &object.spec else { panic!("expected a Mapping") };
    assert_eq!(mapping.prefix, "/flat/");
}

#[test]
fn objects_that_are_not_selected_are_not_there_and_carry_nothing() {
    let text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations:\n    \
         getambassador.io/config: |\n      {apiVersion: ambassador/v2, kind: Host, name: h}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {name: t, labels: {app: a}}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {name: u, namespace: other, labels: {app: a}}\n---\n\
         apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: i, labels: {app: a}}\n";
    let read = |selection: Selection| {
        let reading = Reading { selection, ..Reading::of_namespace("default") };
        let manifest =
            Manifest::read(&Arc::from("a.yaml"), text.as_bytes(), Format::Yaml, &reading);
        assert!(manifest.findings.is_empty());
        manifest.items.iter().map(|item| item.key().to_string()).collect::<Vec<_>>()
    };
    let labelled = Selection { labels: "app=a".parse().unwrap(), ..Selection::default() };
    assert_eq!(read(labelled), ["Secret default/t", "Secret other/u", "IngressClass i"]);
    let of_kind = Selection { kinds: Some([Kind::Secret].into()), ..Selection::default() };
    assert_eq!(read(of_kind), ["Secret default/t", "Secret other/u"]);
    let own = Selection { namespace: Some("default".into()), ..Selection::default() };
    assert_eq!(read(own), ["Service default/s", "Host default/h", "Secret default/t"]);
    let named = Selection { fields: "metadata.name!=t".parse().unwrap(), ..Selection::default() };
    assert_eq!(
        read(named),
        ["Service default/s", "Host default/h", "Secret other/u", "IngressClass i"]
    );
}

#[test]
fn variables_are_replaced_everywhere_but_in_secrets() {
    let text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations:\n    \
         getambassador.io/config: |\n      {apiVersion: ambassador/v2, kind: Host, name: $NAME, hostname: '${NAME}.$REDIS_URL'}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {name: t-$NAME}\nstringData: {key: $NAME}\n---\n\
         apiVersion: getambassador.io/v3alpha1\nkind: ConsulResolver\nmetadata: {name: c}\n\
         spec: {address: '$NAME$ABSENT:8500', datacenter: $ABSENT}\n";
    let variables = [("NAME", "x: {"), ("REDIS_URL", "hush")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = Environment::new(variables, &Variables::All);
    let reading = Reading { environment, ..Reading::of_namespace("default") };
    let manifest = Manifest::read(&Arc::from("a.yaml"), text.as_bytes(), Format::Yaml, &reading);
    let keys: Vec<_> = manifest.items.iter().map(|item| item.key().to_string()).collect();
    assert_eq!(
        keys,
        [
            "Service default/s",
            "Host default/x: {",
            "Secret default/t-x: {",
            "ConsulResolver default/c"
        ]
    );
    let Item::Good { object, findings } = &manifest.items[1] else { panic!("expected the Host") };
    let Spec::Host(host) = &object.spec else { panic!("expected a Host") };
    assert_eq!(host.hostname.as_deref(), Some("x: {.$REDIS_URL"));
    assert_eq!((findings.len(), findings[0].code), (1, crate::WITHHELD_VARIABLE));
    let Item::Good { object, .. } = &manifest.items[2] else { panic!("expected the Secret") };
    let Spec::Secret(secret) = &object.spec else { panic!("expected a Secret") };
    assert_eq!(secret.bytes("key"), Some(&b"$NAME"[..]));
    let Item::Good { object, .. } = &manifest.items[3] else { panic!("expected the resolver") };
    let Spec::ConsulResolver(resolver) = &object.spec else { panic!("expected a resolver") };
    assert_eq!(resolver.address.as_deref(), Some("x: {:8500"));
    assert_eq!(resolver.datacenter.as_deref(), Some("$ABSENT"));
}

#[test]
fn anchors_merge_keys_tags_and_quotes_mean_what_they_mean_in_kubernetes() {
    let manifest = yaml(
        "base: &base {a: 1, b: &b [x, yes]}\nuse:\n  <<: *base\n  a: 2\n  c: *b\n  quoted: \"yes\"\n  \
         tagged: !!str 5\n  8080: port\n  off: key\n  folded: >\n    one\n    two\n",
    );
    assert_eq!(manifest.findings[0].code, crate::NOT_AN_OBJECT);
    let mut found = None;
    let text = "base: &base {a: 1, b: &b [x, yes]}\nuse:\n  <<: *base\n  a: 2\n  c: *b\n  \
         quoted: \"yes\"\n  tagged: !!str 5\n  8080: port\n  off: key\n  folded: >\n    one\n    two\n";
    yaml::values(text, |value| found = Some(value.unwrap().0));
    assert_eq!(
        found.unwrap()["use"],
        json!({
            "a": 2, "b": ["x", true], "c": ["x", true], "quoted": "yes", "tagged": "5",
            "8080": "port", "false": "key", "folded": "one two\n",
        })
    );
}

#[test]
fn the_same_key_twice_is_a_warning() {
    let manifest = yaml("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  name: b\n");
    assert_eq!(good(&manifest), ["Namespace b @1 b..1"]);
    assert_eq!(
        lines(&manifest.findings),
        ["a.yaml:5: warning: the key \"name\" stands twice in one map; the last one counts; \
         remove one of the two",]
    );
}

#[test]
fn alias_bombs_are_refused_in_little_time() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let row = vec![format!("*a{}", n - 1); 10].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{row}]\n"));
    }
    let manifest = yaml(&text);
    assert_eq!(manifest.findings[0].code, TOO_LARGE);

    let long = "x".repeat(1 << 20);
    let text = format!("a: &a {long}\nb: [{}]\n", vec!["*a"; 20_000].join(", "));
    assert_eq!(yaml(&text).findings[0].code, TOO_LARGE);
    assert_eq!(yaml("a: &a [*a]\n").findings[0].code, SYNTAX);
}

#[test]
fn long_keys_cannot_blow_up_the_table_of_lines() {
    let long = "k".repeat(1 << 20);
    let text = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {{{long}: [{}]}}\n- {{kind: Host}}\n",
        vec!["1"; 100_000].join(",")
    );
    let manifest = yaml(&text);
    assert!(manifest.findings.len() == 2 && !manifest.partial);
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(50_000)] {
        let manifest = yaml(&text);
        assert!(manifest.partial);
        assert!(matches!(manifest.findings[0].code, SYNTAX | TOO_LARGE));
    }
    let json = "[".repeat(100_000);
    let manifest = Manifest::read(
        &Arc::from("a.json"),
        json.as_bytes(),
        Format::Json,
        &Reading::of_namespace("d"),
    );
    assert!(manifest.partial);
}

#[test]
fn json_files_hold_one_or_several_objects() {
    let text = "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\n\"metadata\":{\"name\":\"a\\ud83d\\ude00\"}}\n\n\
                {\"apiVersion\":\"v1\",\"kind\":\"NamespaceList\",\"items\":[{\"apiVersion\":\"v1\",\
                \"kind\":\"Namespace\",\"metadata\":{\"name\":\"b\"}}]}\n{\"x\": \n oops}";
    let manifest = Manifest::read(
        &Arc::from("a.json"),
        text.as_bytes(),
        Format::Json,
        &Reading::of_namespace("default"),
    );
    assert_eq!(good(&manifest), ["Namespace a😀 @1 a😀..1", "Namespace b @4 b..1"]);
    assert_eq!(manifest.findings[0].origin.line, 6);
    assert!(manifest.partial);
}

#[test]
fn text_that_is_not_utf_8_is_told_with_its_line() {
    let manifest = Manifest::read(
        &Arc::from("a.yaml"),
        b"a: 1\nb: \xff\n",
        Format::Yaml,
        &Reading::of_namespace("default"),
    );
    assert_eq!(
        lines(&manifest.findings)[0].split(';').next(),
        Some("a.yaml:2: error: the text is not UTF-8")
    );
}

#[test]
fn empty_documents_are_nothing() {
    for text in ["", "---\n---\n", "# x\n", "null\n", "--- ~\n...\n", "\u{feff}"] {
        assert_eq!(yaml(text), Manifest::default(), "{text:?}");
    }
    assert_eq!(yaml("\u{feff}apiVersion: v1\nkind: Namespace\nmetadata: {name: a}").items.len(), 1);
}

#[test]
fn objects_become_changes_and_the_file_one_more() {
    let changes =
        yaml("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n").into_changes("a".into());
    assert!(
        matches!(&changes[0], Change::Apply { object, .. } if object.spec.kind() == Kind::Namespace)
    );
    assert!(matches!(&changes[1], Change::Input { findings, .. } if findings.is_empty()));
}

#[test]
fn what_users_write_is_read_without_a_finding() {
    let manifest = yaml(include_str!("tests/realistic.yaml"));
    assert_eq!(lines(&manifest.findings), <[String; 0]>::default());
    let mut kinds = std::collections::BTreeSet::new();
    for item in &manifest.items {
        let Item::Good { object, findings } = item else { panic!("{item:?}") };
        assert_eq!(lines(findings), <[String; 0]>::default());
        kinds.insert(object.spec.kind());
        // Every field that was written is printed again.
        let printed = serde_json::to_value(&object.spec).unwrap();
        assert_ne!(printed, json!(null), "{}", object.key());
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), Kind::ALL);
}

fn yamlish() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "a",
        "b: ",
        "- ",
        "\n",
        "  ",
        "\t",
        "? ",
        ": ",
        "&x ",
        "*x",
        "!!str ",
        "!t ",
        "|\n",
        ">-\n",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "'",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "<<: ",
        "\r\n",
        "kind: Service\n",
        "metadata:\n",
        "é",
        "\u{feff}",
        "\\",
        "0x",
        "~",
        "!<",
        "%TAG ! x\n",
    ]);
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Yaml, Format::Json] {
            let manifest = Manifest::read(&Arc::from("f"), &bytes, format, &Reading::of_namespace("d"));
            prop_assert_eq!(manifest.partial, manifest.findings.iter().any(
                |finding| matches!(finding.code, SYNTAX | TOO_LARGE)));
        }
    }

    #[test]
    fn anything_like_yaml_is_read_without_panic(text in yamlish()) {
        let first = yaml(&text);
        prop_assert_eq!(first, yaml(&text));
    }
}
