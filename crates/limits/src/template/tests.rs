use proptest::prelude::*;

use super::*;

fn root() -> Value {
    let status = Value::Map(BTreeMap::from([("Code", Value::Int(2))]));
    let response =
        BTreeMap::from([("OverallCode", Value::Int(2)), ("Statuses", Value::List(vec![status]))]);
    Value::Map(BTreeMap::from([
        ("RateLimitResponse", Value::Map(response)),
        ("RetryAfter", Value::Duration(Duration::from_secs(90))),
        ("status_code", Value::Int(429)),
        ("message", Value::Text("too \"many\"".into())),
    ]))
}

fn render(text: &str) -> String {
    match Template::parse(text, true).unwrap().render(&root()).unwrap() {
        Rendered::Text(text) => text,
        Rendered::DoNotSet => "DO NOT SET".into(),
    }
}

#[test]
fn fields_print_as_in_go() {
    assert_eq!(render("plain"), "plain");
    assert_eq!(render("{{ .RateLimitResponse.OverallCode }}"), "2");
    assert_eq!(render("wait {{.RetryAfter}}"), "wait 1m30s");
    assert_eq!(render("{{ .RetryAfter.Seconds }}"), "90");
    assert_eq!(render("{{ (index .RateLimitResponse.Statuses 0).Code }}"), "2");
}

#[test]
fn conditions_choose_a_branch() {
    let text = "{{ if eq .RateLimitResponse.OverallCode 1 }}ok{{ else if gt .status_code 400 }}over{{ else }}?{{ end }}";
    assert_eq!(render(text), "over");
    assert_eq!(
        render("{{ if and (hasKey . \"message\") (not (hasKey . \"request_id\")) }}y{{ end }}"),
        "y"
    );
}

#[test]
fn a_header_can_be_left_out() {
    assert_eq!(render("a{{ if .RetryAfter }}{{ doNotSet }}{{ end }}"), "DO NOT SET");
}

#[test]
fn json_quotes_text() {
    assert_eq!(render("{\"m\": {{ json .message }}}"), "{\"m\": \"too \\\"many\\\"\"}");
    assert_eq!(render("{{ .message | json }}"), "\"too \\\"many\\\"\"");
}

#[test]
fn trim_markers_and_comments_work() {
    assert_eq!(render("a {{- /* note */ -}} b"), "ab");
    assert_eq!(render("a\n{{- .status_code -}}\nb"), "a429b");
}

#[test]
fn what_is_not_supported_is_refused_when_parsed() {
    for text in [
        "{{ range .RateLimitResponse.Statuses }}{{ end }}",
        "{{ $x := 1 }}",
        "{{ printf \"%d\" 1 }}",
        "{{ .Retryafter }}",
        "{{ if true }}",
        "{{ end }}",
        "{{ .status_code",
        "{{ \"open }}",
        "{{ (1 }}",
        "{{ 1) }}",
        "{{ eq 1 }}",
        "{{ }}",
        "{{ 1.5 }}",
    ] {
        assert!(Template::parse(text, true).is_err(), "{text}");
    }
    let error = Template::parse("{{ json .message }}", false).unwrap_err();
    assert_eq!(error.to_string(), "`json` exists in bodyTemplate only (character 3)");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\{\\{|\\}\\}|-| |if|else|end|\\.|message|\"|`|\\(|\\)|\\||eq|1|é|/\\*|\\*/){0,24}") {
        if let Ok(template) = Template::parse(&text, true) {
            let _any = template.render(&root());
        }
    }
}
